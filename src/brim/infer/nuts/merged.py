"""Chains that ran in several places, as if they had run together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np

from brim.infer.info import Info
from brim.infer.target import Draws

__all__ = ["merged"]

_ByChain = Literal["chain_seconds", "warmup_steps", "inv_mass", "last_q", "chain_numbers"]
_Seconds = Literal["compile_seconds", "warmup_seconds", "sampling_seconds"]
_BY_CHAIN: tuple[_ByChain, ...] = get_args(_ByChain)
_SECONDS: tuple[_Seconds, ...] = get_args(_Seconds)


def merged(parts: Sequence[Draws]) -> Draws:
    """The draws of all parts, chain after chain; seconds are those of the part that took longest."""
    first = parts[0].info
    together = {name: np.concatenate([p.info[name] for p in parts]) for name in _BY_CHAIN}
    longest = {name: max(float(p.info[name]) for p in parts) for name in _SECONDS}
    disk = all(p.info["compiled_from_disk"] for p in parts)
    info = cast("Info", {**first, **together, **longest, "compiled_from_disk": disk, "cores": len(parts)})
    stats = {name: np.concatenate([p.stats[name] for p in parts]) for name in parts[0].stats}
    return Draws(np.concatenate([p.q for p in parts]), stats, info)
