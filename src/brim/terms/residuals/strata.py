"""Conditional logistic regression, ``strata(gr)``: the law of 0/1 responses given how many of each stratum are 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.frames.frame import Frame
from brim.language.expand import Call, arguments, fault
from brim.terms.base import Context, Design, Params, Read
from brim.terms.residuals.law import AbstractJointLaw, ResidualMargin
from brim.terms.residuals.series import Series

__all__ = ["ConditionalLogistic", "read"]

_NOTHING = -1e30  # log of no weight: finite, so that derivatives are


def read(call: Call, context: Context) -> Read:
    """``strata(gr)`` of a bernoulli response with logit link."""
    if (context.family, context.link) != ("bernoulli", "logit"):
        raise fault(call, f"strata() needs family bernoulli with link logit, not {context.family} with {context.link}")
    series = Series.read(call)
    if series.group is None or "time" in arguments(call)[1]:
        raise fault(call, "strata() needs the column of the strata", "write strata(stratum)")
    return Read(
        (), residual=ConditionalLogistic(context.where.suffix, series, context.response, context.response_columns).learn(context.frame)
    )


@final
@dataclass(frozen=True)
class ConditionalLogistic(AbstractJointLaw):
    """``p(y | sum y = d) = exp(sum y_i eta_i) / e_d(exp eta)`` within a stratum, with the elementary symmetric polynomial ``e_d``.

    ``e_d`` sums over all sets of ``d`` rows; it is computed exactly, row by row: ``e_j <- e_j + exp(eta_i) e_{j-1}`` (Gail, Lubin and
    Rubinstein 1981), for ``n - d`` rows that are 0 where those are fewer. New data without a response have one case a stratum.
    """

    suffix: str
    series: Series
    response: Callable[[Frame], Any] = field(compare=False, repr=False)
    columns_of_response: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"strata{self.suffix}"

    @property
    def what(self) -> str:
        return "strata()"

    @property
    def takes_intercept(self) -> bool:
        return True

    def learn(self, frame: Frame) -> Self:
        design = self.design(frame)
        if not np.any((design["cases"] > 0) & (design["cases"] < design["size"])):
            raise fault(self.series.call, "every stratum has responses of one kind", "none of them tells anything: are these the strata?")
        return self

    def variables(self) -> tuple[str, ...]:
        return self.series.variables()

    def design(self, frame: Frame) -> Design:
        """Rows of each stratum, how many there are and how many are 1; ``order``: as many as the longest recursion needs."""
        grid = self.series.grid(frame)
        inside = grid >= 0
        size = inside.sum(axis=1)
        cases = np.minimum(1, size)
        if all(name in frame for name in self.columns_of_response):
            y = np.asarray(self.response(frame), float)
            cases = np.where(inside, y[grid], 0.0).sum(axis=1).astype(np.int32)
        fewer = np.minimum(cases, size - cases)
        return {"grid": grid, "cases": cases, "size": size, "order": np.arange(int(fewer.max(initial=0)) + 1)}

    def margin(self, dpars: Mapping[str, Any], data: Mapping[str, Any], rows: int) -> ResidualMargin:
        return ResidualMargin(jnp.broadcast_to(dpars["mu"].eta, (rows,)), None, None, None)

    def held(self, design: Design) -> int:
        return int(design["grid"].size * len(design["order"]))

    # ------------------------------------------------------------------ numbers

    def _turned(self, eta: Any, design: Design) -> tuple[Any, Any, Any]:
        """``eta`` of each place, its sign turned where rows that are 0 are fewer; which strata those are; how many to choose."""
        grid, cases = jnp.asarray(design["grid"]), jnp.asarray(design["cases"])
        turn = 2 * cases > jnp.asarray(design["size"])
        own = jnp.where(turn[:, None], -eta[grid], eta[grid])
        return jnp.where(grid >= 0, own, _NOTHING), turn, jnp.where(turn, jnp.asarray(design["size"]) - cases, cases)

    def _table(self, own: Any, design: Design) -> Any:
        """``log e_j`` of the first ``i`` places, (places + 1, strata, order)."""
        start = jnp.where(jnp.asarray(design["order"]) == 0, 0.0, _NOTHING) * jnp.ones((own.shape[0], 1))

        def step(table: Any, eta: Any) -> tuple[Any, Any]:
            more = jnp.concatenate([jnp.full_like(table[:, :1], _NOTHING), table[:, :-1]], axis=1)
            new = jnp.logaddexp(table, eta[:, None] + more)
            return new, new

        return jnp.concatenate([start[None], jax.lax.scan(step, start, own.T)[1]])

    def _log_total(self, eta: Any, design: Design) -> Any:
        """``log e_d`` of each stratum."""
        own, turn, chosen = self._turned(eta, design)
        last = self._table(own, design)[-1]
        every = jnp.sum(jnp.where(jnp.asarray(design["grid"]) >= 0, eta[jnp.asarray(design["grid"])], 0.0), axis=1)
        return jnp.take_along_axis(last, chosen[:, None], axis=1)[:, 0] + jnp.where(turn, every, 0.0)

    def log_joint(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        grid = jnp.asarray(design["grid"])
        return jnp.sum(jnp.where(grid >= 0, (y * margin.mu)[grid], 0.0), axis=1) - self._log_total(margin.mu, design)

    def log_lik(self, y: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """Of each stratum: ``(strata,)``."""
        return self.log_joint(y, margin, params, design)

    def mean(self, mu: Any, params: Params, design: Design) -> Any:
        """The chance of each row to be 1, given the stratum's sum: the slope of ``log e_d``."""
        return jax.grad(lambda eta: jnp.sum(self._log_total(eta, design)))(mu)

    def sample(self, key: Any, margin: ResidualMargin, params: Params, design: Design) -> Any:
        """From the last place to the first: row ``i`` is chosen with chance ``exp(eta_i) e_{j-1} / e_j`` of the rows up to it."""
        own, turn, chosen = self._turned(margin.mu, design)
        table = self._table(own, design)

        def step(left: Any, given: Any) -> tuple[Any, Any]:
            eta, before, here, u = given
            fewer = jnp.take_along_axis(before, jnp.maximum(left - 1, 0)[:, None], axis=1)[:, 0]
            chance = jnp.exp(eta + fewer - jnp.take_along_axis(here, left[:, None], axis=1)[:, 0])
            take = (u < chance) & (left > 0)
            return left - take, take

        u = jax.random.uniform(key, own.T.shape)
        taken = jax.lax.scan(step, chosen, (own.T, table[:-1], table[1:], u), reverse=True)[1].T
        y = jnp.where(turn[:, None], ~taken, taken).astype(margin.mu.dtype)
        grid, rows = jnp.asarray(design["grid"]), margin.mu.shape[0]
        return jnp.zeros(rows + 1).at[jnp.where(grid < 0, rows, grid)].set(y)[:rows]
