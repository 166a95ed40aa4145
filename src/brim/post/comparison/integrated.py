"""Pointwise log likelihoods with the group effects of an observation integrated out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from brim.compile.session import float64
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.model.model import ResponseModel
from brim.post.comparison.integrals import Integrand, grid_program, laplace_program, place_program
from brim.post.comparison.pointwise import Pointwise
from brim.post.predict import chunks
from brim.terms.groups.effect import GroupEffect

__all__ = ["IntegratedPointwise"]

_MOST = 5_000_000  # rows of all leave-one-out sets together
_LOW = -20.0  # what a grid leaves out has a log density so far below the largest
_SHARE = 0.3  # of an integral that one node may have: that of nodes 0.75 standard deviations apart
_FEWEST_NODES, _MOST_NODES = 32, 20_000
_WIDENED = 40  # times at most


@final
@dataclass(frozen=True)
class IntegratedPointwise(Pointwise):
    """``log p(y_i | y of the other rows of its group, parameters)``: the effects of the finest grouping are integrated out.

    With ``L(A) = log int prod_{k in A} p(y_k | u) dN(u)`` over the effects ``u`` of the group ``j`` of row ``i`` it is
    ``L(j) - L(j without i)``; all other parameters, effects of other groupings too, are those of the draw. One effect is summed over
    evenly spaced nodes, the same for all sets of a group, that are widened and refined until every integral has all its mass between
    them; several are integrated by Laplace's method, exact for normal responses.
    An effect of every single row (``(1 | obs)``) is integrated out of ``p(y_k | u)`` besides.
    """

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows in one block."""
        if self.newdata is not None:
            raise BrimError("integrated=True takes the training rows, not newdata")
        if self.options:
            raise BrimError(f"integrated=True takes all effects and draws as they are, not {', '.join(sorted(self.options))}=")
        values = self._values()
        yield slice(0, values.shape[1]), self._checked(values, 0)

    @cached_property
    def _integrand(self) -> Integrand:
        """The predictor, the effects of groups, and those of single rows, that are integrated out."""
        model = self.fit.model
        response = model.response(self.resp)
        if model.joint is not None or response.residual is not None or response.imputed:
            raise BrimError("integrated=True takes responses whose rows are independent given the predictors")
        found: dict[str, list[tuple[str, GroupEffect]]] = {}
        for r in model.responses:
            for p in r.predictors:
                for e in p.effects():
                    found.setdefault(e.block.key, []).append((p.name if r.name == response.name else "", e))
        usable: dict[tuple[str, tuple[str, ...]], tuple[GroupEffect, ...]] = {}
        for uses in found.values():
            holder, first = uses[0]
            if {name for name, _ in uses} == {holder} and holder in response.family.links and all(_normal(e) for _, e in uses):
                key = (holder, first.block.grouping.variables())
                usable[key] = (*usable.get(key, ()), *(e for _, e in uses))
        if not usable:
            raise BrimError(
                "no group effects can be integrated out",
                hint="they must be normal, without mm(), and stand in one predictor of the response",
            )
        return self._finest(response, usable)

    def _finest(self, response: ResponseModel, usable: dict[tuple[str, tuple[str, ...]], tuple[GroupEffect, ...]]) -> Integrand:
        """The effects of most levels; where each row has its own, and one, those of the next grouping of the predictor besides."""
        frame = self._frame(response)
        sizes = {key: len(np.unique(effects[0].block.grouping.codes(frame))) for key, effects in usable.items()}
        *others, finest = sorted(usable, key=lambda key: sizes[key])
        outer = [key for key in others if key[0] == finest[0]]
        single = sizes[finest] == frame.n and sum(len(e.coefs) for e in usable[finest]) == 1
        chosen = (usable[outer[-1]], usable[finest]) if single and outer else (usable[finest], ())
        return Integrand(self.fit.model, response.name, finest[0], *(tuple(e.key for e in some) for some in chosen))

    def _frame(self, response: ResponseModel) -> Frame:
        return response.response.kept(self.fit.frame.every("integrated loo"))

    def _values(self) -> np.ndarray:
        integrand = self._integrand
        model = self.fit.model
        response = model.response(self.resp)
        frame = self._frame(response)
        grouping = integrand.outer_effects[0].block.grouping
        used = {q.key for q in model.reported()}
        arrays = {k: v for k, v in self.fit.draws.flat().items() if k in used}
        codes = np.unique(grouping.codes(frame), return_inverse=True)[1]
        with float64():
            if integrand.size > 1:
                return self._by_laplace(integrand, frame, codes, grouping.by_index, arrays)
            return _on_grids(integrand, arrays, model.design(frame, only=response.name), codes, grouping.by_index)

    def _by_laplace(self, integrand: Integrand, frame: Frame, codes: np.ndarray, by: np.ndarray, arrays: dict[str, Any]) -> np.ndarray:
        """Every set on its own: the groups, and for each row its group without it."""
        rows, units, n_groups = _sets(codes)
        design = self.fit.model.design(frame.take(rows), only=integrand.resp)
        kernel = laplace_program(integrand, n_groups + frame.n)
        parts = []
        for chunk, n in chunks(np.arange(self.fit.draws.chains * self.fit.draws.draws), 4 * len(rows)):
            parts.append(np.asarray(kernel({k: v[chunk] for k, v in arrays.items()}, design, units, by))[:n])
        found = np.concatenate(parts)
        return found[:, codes] - found[:, n_groups:]


def _normal(effect: GroupEffect) -> bool:
    grouping = effect.block.grouping
    return effect.plain and grouping.dist != "student" and grouping.cov is None and not grouping.weight_name


def _on_grids(integrand: Integrand, draws: dict[str, np.ndarray], design: Any, codes: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Differences of log integrals over one effect, ``(draws, rows)``: grids are widened and refined until they hold every integral."""
    n_groups = int(codes.max()) + 1
    total = len(next(iter(draws.values())))

    def over(program: Callable[..., Any], at: np.ndarray, own: tuple[np.ndarray, ...] = (), shared: tuple[Any, ...] = ()) -> Any:
        parts = []
        for chunk, n in chunks(at, _FEWEST_NODES * len(codes)):
            found = program({k: v[chunk] for k, v in draws.items()}, design, codes, by, *(a[chunk] for a in own), *shared)
            parts.append([np.asarray(a)[:n] for a in found])
        return [np.concatenate(a) for a in zip(*parts, strict=True)]

    pending = np.arange(total)
    low, high, step = over(place_program(integrand, n_groups), pending)
    values = np.empty((total, len(codes)))
    for _ in range(_WIDENED):
        needed = float(np.max((high[pending] - low[pending]) / step[pending])) + 1
        if not needed < _MOST_NODES:
            break
        nodes = _nodes(needed)
        program = grid_program(integrand, n_groups)
        values[pending], left, right, share = over(program, pending, (low, high), (np.linspace(0.0, 1.0, nodes),))
        left, right, share = left > _LOW, right > _LOW, share > _SHARE
        length = high[pending] - low[pending]
        low[pending] -= np.where(left, 0.5 * length, 0.0)
        high[pending] += np.where(right, 0.5 * length, 0.0)
        step[pending] = np.where(share, length / (1.5 * (nodes - 1)), step[pending])
        pending = pending[(left | right | share).any(axis=1)]
        if not pending.size:
            return values
    raise BrimError("a group's integral over its effect does not end", hint="give the standard deviations a proper prior")


def _nodes(needed: float) -> int:
    """As many or some more: few lengths, so that few programs are compiled."""
    return int(np.ceil(_FEWEST_NODES * 2 ** (np.ceil(4 * np.log2(max(needed / _FEWEST_NODES, 1.0))) / 4)))


def _sets(place: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows of all sets, the set of each, and the number of groups: first the groups, then for each row its group without it."""
    members = [np.flatnonzero(place == j) for j in range(place.max() + 1)]
    size = sum(len(m) ** 2 for m in members)
    if size > _MOST:
        raise BrimError(
            "the groups are too large for integrated=True with several effects a group",
            hint="it is for groups of few rows, whose effects follow single observations",
        )
    rows, units = [np.arange(len(place))], [place]
    for i, j in enumerate(place):
        others = members[j][members[j] != i]
        rows.append(others)
        units.append(np.full(len(others), len(members) + i))
    return np.concatenate(rows), np.concatenate(units), len(members)
