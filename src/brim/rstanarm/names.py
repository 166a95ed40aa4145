"""Parameters under rstanarm's names and brms', both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, final

import numpy as np

from brim.errors import BrimError, suggest
from brim.frames.frame import Frame
from brim.terms.groups.group import GroupBlock

__all__ = ["GroupNames", "Names", "group_names", "groups_of"]

Draws = Mapping[str, np.ndarray]


@final
@dataclass(frozen=True)
class GroupNames:
    """The effects of one grouping factor: ``b[coef group:level]`` and ``Sigma[group:coef,coef]``.

    Attributes
    ----------
    group
        Name of the factor.
    coefs
        R's names of the coefficients.
    levels
        The factor's levels.
    effects
        brms' names of the effects, (coefficients, levels).
    sd, cor
        brms' names of standard deviations (k,), and of the correlations of each pair ``(i, j)``, ``i < j``.
    """

    group: str
    coefs: tuple[str, ...]
    levels: tuple[str, ...]
    effects: np.ndarray = field(repr=False)
    sd: tuple[str, ...]
    cor: Mapping[tuple[int, int], str]

    def effect_pairs(self) -> list[tuple[str, str]]:
        """``(rstanarm's name, brms' name)`` of every effect: coefficients within levels."""
        return [
            (f"b[{c} {self.group}:{level.replace(' ', '_')}]", str(self.effects[i, j]))
            for j, level in enumerate(self.levels)
            for i, c in enumerate(self.coefs)
        ]

    def sigma_names(self) -> dict[tuple[int, int], str]:
        """``(row, column) -> Sigma[...]`` of the lower triangle, by columns."""
        k = range(len(self.coefs))
        return {(i, j): f"Sigma[{self.group}:{self.coefs[i]},{self.coefs[j]}]" for j in k for i in k if i >= j}

    def to_brms(self, draws: Draws) -> dict[str, np.ndarray]:
        """Standard deviations and correlations of a covariance."""
        names = self.sigma_names()
        sd = [np.sqrt(draws[names[i, i]]) for i in range(len(self.coefs))]
        out = dict(zip(self.sd, sd, strict=True))
        out.update({name: draws[names[j, i]] / (sd[i] * sd[j]) for (i, j), name in self.cor.items()})
        return out

    def to_stan(self, draws: Callable[[str], np.ndarray]) -> dict[str, np.ndarray]:
        """The covariance of standard deviations and correlations; uncorrelated effects have covariance 0."""
        sd = [draws(name) for name in self.sd]
        out = {}
        for (i, j), name in self.sigma_names().items():
            cor: Any = 1.0 if i == j else draws(self.cor[j, i]) if (j, i) in self.cor else 0.0
            out[name] = sd[i] * sd[j] * cor
        return out


def group_names(block: GroupBlock, prefix: Mapping[str, str], frame: Frame, label: str = "") -> GroupNames:
    """The names of a block; ``prefix`` is what stands before the coefficients of each response (``"y1|"``).

    Levels are in the order of R's factors, those of ``a:b`` called ``"a1:b2"``, the first factor's running slowest. ``label``: lme4's
    name of the factor, where it is another.
    """
    by_key = {q.key.partition("_")[0]: q for q in block.reported()}
    coefs = tuple(prefix.get(m.where.resp, "") + c for m in block.members for c in (m.matrix.names if m.matrix is not None else ()))
    pairs = [(i, j) for j in range(len(coefs)) for i in range(j)]
    cor = [] if "cor" not in by_key else [str(n) for n in np.ravel(by_key["cor"].names)]
    effects = np.concatenate([np.atleast_2d(q.names) for q in block.reported() if q.key.startswith("r_")])
    places = [{level: i for i, level in enumerate(frame[name].as_factor().levels)} for name in block.grouping.factors[0]]
    keys = block.grouping.keys
    order = sorted(range(len(keys)), key=lambda i: [place[v] for place, v in zip(places, keys[i], strict=True)])
    return GroupNames(
        label or block.grouping.label,
        coefs,
        tuple(":".join(keys[i]) for i in order),
        effects[:, order],
        tuple(str(n) for n in np.ravel(by_key["sd"].names)),
        dict(zip(pairs, cor, strict=True)) if cor else {},
    )


def groups_of(blocks: Sequence[GroupBlock], written: Sequence[tuple[str, str]], frame: Frame) -> tuple[GroupNames, ...]:
    """Names of all blocks in lme4's order: as written, unless a later factor has more levels; then those with most levels first.

    ``written`` holds, term by term, the label of a block and lme4's name of the factor.
    """
    left = list(blocks)
    out = []
    for own, label in written:
        block = next(b for b in left if b.grouping.label == own)
        left.remove(block)
        out.append(group_names(block, {}, frame, label))
    counts = [len(g.levels) for g in out]
    if any(b > a for a, b in pairwise(counts)):
        out = [out[i] for i in sorted(range(len(out)), key=lambda i: (counts[i], i), reverse=True)]
    return tuple(out)


@final
@dataclass(frozen=True)
class Names:
    """All names of a fit.

    Attributes
    ----------
    first
        ``(rstanarm's, brms')`` of what stands before the group effects: coefficients.
    groups
        Grouping factors.
    last
        What stands between effects and covariances: auxiliary parameters.
    fixed
        Values of what brms reports and rstanarm does not (``disc``).
    factors
        brms' name -> what its value is divided by to give rstanarm's (signs of smooths' columns); 1 for all others.
    unsure
        Smooths whose columns have signs that nothing determines: draws made elsewhere mean others.
    """

    first: tuple[tuple[str, str], ...]
    groups: tuple[GroupNames, ...] = ()
    last: tuple[tuple[str, str], ...] = ()
    fixed: tuple[tuple[str, float], ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()

    def to_brms(self, draws: Draws) -> dict[str, np.ndarray]:
        """Columns under brms' names; ``draws`` has rstanarm's."""
        pairs = [*self.first, *(p for g in self.groups for p in g.effect_pairs()), *self.last]
        wanted = [stan for stan, _ in pairs] + [n for g in self.groups for n in g.sigma_names().values()]
        missing = next((name for name in wanted if name not in draws), None)
        if missing is not None:
            raise BrimError(f"the draws have no column '{missing}'", hint=suggest(missing, list(draws), "columns"))
        out = {brms: self.factors.get(brms, 1.0) * np.asarray(draws[stan], float) for stan, brms in pairs}
        for g in self.groups:
            out.update(g.to_brms(draws))
        out.update({name: np.full(len(next(iter(out.values()))), value) for name, value in self.fixed})
        return out

    def to_stan(self, draws: Callable[[str], np.ndarray], effects: bool = True) -> dict[str, np.ndarray]:
        """Draws by rstanarm's names, in its order; ``effects=False`` leaves out the levels'."""
        out = {stan: draws(brms) / self.factors.get(brms, 1.0) for stan, brms in self.first}
        if effects:
            out.update({stan: draws(brms) for g in self.groups for stan, brms in g.effect_pairs()})
        out.update({stan: draws(brms) / self.factors.get(brms, 1.0) for stan, brms in self.last})
        for g in self.groups:
            out.update(g.to_stan(draws))
        return out
