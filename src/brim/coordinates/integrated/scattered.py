"""The rows of a linear Gaussian model whose crossed factors have many levels, as a sparse factorisation takes them."""

from __future__ import annotations

import numpy as np

from brim.coordinates.crossed.exact import Exact
from brim.coordinates.crossed.ratios import ratios
from brim.coordinates.integrated.sums import Sums, reference, rows_of
from brim.coordinates.integrated.which import Integrated
from brim.frames.frame import Frame
from brim.linalg.mixed.blocks import Factor

__all__ = ["exact_of"]


def exact_of(e: Integrated, frame: Frame) -> tuple[Exact, Sums]:
    """The sums that effects are drawn with, and those of all else."""
    some, parts = rows_of(e, frame)
    ref = reference(some, e)[: some.x.shape[1]]
    y, x, precision = (np.concatenate([getattr(part, name) for part in parts]) for name in ("y", "x", "precision"))
    factors = []
    for b, block in enumerate(e.crossed):
        codes = np.concatenate([part.crossed[b].level for part in parts]).astype(np.intp)
        columns = np.concatenate([part.crossed[b].columns for part in parts], axis=1)
        factors.append(Factor(codes, block.shape[1], columns))
    loads = ratios([(b.shape[0], b.has_cor) for b in e.crossed])
    exact = Exact.of(loads, factors, np.concatenate([(y - x @ ref)[:, None], x], axis=1), precision)
    log_sigma, constant = sum(part.log_sigma for part in parts), sum(part.constant for part in parts)
    return exact, Sums(ref, exact.squares, (), {}, log_sigma, constant)
