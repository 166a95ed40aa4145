"""What a smooth asks of one basis, with its covariates, and the errors that mark it in the formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from brim.design.splines.places import MAX_KNOTS
from brim.errors import BrimError
from brim.language.expand import Call, deparse, fault

__all__ = ["Asked"]


@final
@dataclass(frozen=True)
class Asked:
    """One basis of a smooth.

    Attributes
    ----------
    call
        The whole call, ``s(x, z, bs = "ds")``.
    bs
        Name of the basis.
    names
        Its covariates as written.
    levels
        Levels of each covariate, none for a numeric one.
    k
        Dimension, ``None`` for the basis' own.
    m
        Orders, ``None`` where one is ``NA``; empty: the basis' own.
    knots
        Knots of each covariate; empty: the basis' own.
    extras
        ``xt = list(...)``: constants, and matrices of ``data2`` as ``(values, row names or None)``.
    """

    call: Call
    bs: str
    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    k: int | None = None
    m: tuple[float | None, ...] = ()
    knots: tuple[np.ndarray, ...] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def d(self) -> int:
        """Number of covariates."""
        return len(self.names)

    def error(self, what: str, hint: str | None = None, at: str = "") -> BrimError:
        """The error that marks the argument ``at``, or the whole call."""
        return fault(dict(self.call.kwargs).get(at, self.call), what, hint)

    def orders(self, n: int, meaning: str) -> tuple[float | None, ...]:
        """``m`` as ``n`` numbers, missing and negative ones ``None``."""
        if len(self.m) > n:
            raise self.error(f'm of bs = "{self.bs}" is {meaning}', at="m")
        return tuple(None if v is None or v < 0 else v for v in (*self.m, *[None] * (n - len(self.m))))

    def takes(self, *names: str, m: bool = True) -> None:
        """Refuse what the basis would not read: members of ``xt`` besides ``names``, and ``m``."""
        for name in self.extras:
            if name not in names:
                raise self.error(f'{name} in xt has no meaning for bs = "{self.bs}"', f"it takes {', '.join(names) or 'none'}", "xt")
        if self.m and not m:
            raise self.error(f'm has no meaning for bs = "{self.bs}"', "leave it out", "m")

    def numeric(self) -> None:
        """Refuse factors."""
        for name, levels in zip(self.names, self.levels, strict=True):
            if levels:
                raise self.error(f"{name} is a factor", 'use bs = "re", "fs" or "mrf", or give it as by')

    def single(self) -> None:
        """Refuse several covariates, and factors."""
        if self.d != 1:
            raise self.error(f'bs = "{self.bs}" is for one covariate', 'use bs = "tp", or t2()')
        self.numeric()

    def places(self) -> tuple[int, int]:
        """How many knots there are at most, and the seed of their sample: ``xt = list(max.knots = , seed = )``."""
        found = []
        for name, default in (("max.knots", MAX_KNOTS), ("seed", 1)):
            value = self.extras.get(name, default)
            if not isinstance(value, int | float) or value != value // 1 or value < 1:
                raise self.error(f"{name} in xt is a whole number, at least 1", at="xt")
            found.append(int(value))
        return found[0], found[1]

    def whole(self, value: float, what: str) -> int:
        """A whole number."""
        if value != int(value):
            raise self.error(f"{what} is a whole number, and {value:g} is none", at="m")
        return int(value)

    def knots_of(self, sizes: tuple[int, ...]) -> np.ndarray | None:
        """The knots of one covariate in ascending order, of one of these numbers."""
        if not self.knots:
            return None
        (given,) = self.knots
        if len(given) not in sizes:
            some = " or ".join(str(n) for n in dict.fromkeys(sizes))
            raise self.error(f"there are {len(given)} knots of {self.names[0]}, and {deparse(self.call)} takes {some}", "see k, or knots")
        return np.sort(given)
