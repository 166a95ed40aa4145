"""The mode of a density in the model's own coordinates, after effects were integrated out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from brim.infer.approximate.mode import maximise_part
from brim.infer.target import Draws, Target
from brim.parameters.param import Layout, unconstrained_size

__all__ = ["complete_mode"]


def complete_mode(target: Target, draws: Draws, layout: Layout, kept: Layout) -> Draws:
    """The one draw of ``maximum`` with the normal effects that were integrated out at their conditional mode (and mean).

    Parameters
    ----------
    target
        The density with all effects.
    draws
        The mode of the others, completed with any effects.
    layout, kept
        All parameters, and those that were not integrated out.
    """
    names = {p.name for p in kept.params}
    sizes = [(unconstrained_size(p), p.name not in names) for p in layout.params]
    free = np.flatnonzero(np.repeat([gone for _, gone in sizes], [size for size, _ in sizes]))
    q, lp = maximise_part(target, draws.q[0, 0], free)
    return replace(draws, q=q[None, None], stats={"lp": np.array([[lp]])})
