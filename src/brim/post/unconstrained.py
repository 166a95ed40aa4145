"""The draws of a fit on the unconstrained scale, with the densities that go with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.bounded import bounded
from brim.compile.session import float64
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.model.model import Model, log_joint

__all__ = ["Unconstrained"]

_CHUNK = 500  # draws at once


@final
@dataclass(frozen=True)
class Unconstrained:
    """Unconstrained coordinates of a fit's draws, recovered from what it reports.

    Raises
    ------
    BrimError
        A sampled parameter cannot be told from what is reported (local scales of a horseshoe, for instance), or was not kept (``keep=``).
    """

    fit: FitRecord

    @cached_property
    def _data(self) -> Any:
        return self.fit.model.data(self.fit.frame.every("the log density of the parameters"))

    @cached_property
    def draws(self) -> np.ndarray:
        """``(draws, dim)``, chains in order."""
        model = self.fit.model
        for q in model.reported():
            self.fit.draws.array(q)  # says what was not kept
        arrays = {k: v for k, v in self.fit.draws.flat().items() if k in {q.key for q in model.reported()}}
        _check_complete(model, arrays, self._data)
        found = _in_chunks(_unconstrain_program(model), self._data, arrays)
        if not np.isfinite(found).all():
            raise BrimError(
                "some draws lie on the border of their parameter's range", hint="a standard deviation of exactly 0 has no logarithm"
            )
        return found

    def log_joint(self, q: np.ndarray) -> np.ndarray:
        """Log of prior times likelihood at ``q (n, dim)``, constants included, with the Jacobian of the map: ``(n,)``."""
        return _in_chunks(_joint_program(self.fit.model), self._data, q)

    def log_lik(self, q: np.ndarray, row: int) -> np.ndarray:
        """Log likelihood of one row of the only response at ``q (n, dim)``: ``(n,)``."""
        return _in_chunks(_row_program(self.fit.model), (self._data, jnp.asarray(row)), q)


def _in_chunks(program: Callable[[Any, Any], Any], data: Any, values: Any) -> np.ndarray:
    """A program of a pytree of draws, some of them at once."""
    n = len(jax.tree.leaves(values)[0])
    parts = []
    with float64():
        for at in range(0, n, _CHUNK):
            rows = np.minimum(np.arange(at, at + min(_CHUNK, n)), n - 1)
            parts.append(np.asarray(program(jax.tree.map(lambda a, rows=rows: a[rows], values), data))[: n - at])
    return np.concatenate(parts)


def _params(model: Model, reported: Any, data: Any) -> dict[str, Any]:
    """All sampled parameters from the reported quantities of one draw."""
    shapes = {p.name: p.shape for p in model.params}
    fixed = {name: jnp.reshape(v, shapes[name]) for name, v in data["fixed"].items()}
    params = model.invert({**fixed, **reported}, data["design"])
    for t in model.terms():
        params.update(t.standardise(params, data["design"].get(t.key, {})))
    return params


def _check_complete(model: Model, arrays: Any, data: Any) -> None:
    one = {k: v[0] for k, v in arrays.items()}
    with float64():
        known = jax.eval_shape(lambda r, d: _params(model, r, d), one, data)
    lost = [p.name for p in model.params if p.name not in known and len(p.constants) < max(p.size, 1)]
    if lost:
        raise BrimError(
            f"the draws do not hold all sampled parameters: {', '.join(lost)} cannot be told from them",
            hint="a fit keeps no draws of these, with keep='all' neither. R2D2() and lasso() keep those that horseshoe() does not; "
            "loo(), loo(reloo=True) and kfold() compare models without them",
        )


def _unconstrain_program(model: Model) -> Callable[[Any, Any], Any]:
    def one(reported: Any, data: Any) -> Any:
        return model.layout.unconstrain(_params(model, reported, data))

    return bounded(("unconstrained", model), lambda: jax.vmap(one, in_axes=(0, None)))


def _joint_program(model: Model) -> Callable[[Any, Any], Any]:
    return bounded(("log joint", model), lambda: jax.vmap(lambda q, data: log_joint(model, q, data), in_axes=(0, None)))


def _row_program(model: Model) -> Callable[[Any, Any], Any]:
    def one(q: Any, given: Any) -> Any:
        data, row = given
        params, _ = model.layout.constrain(q, data["fixed"])
        return model.responses[0].log_lik(model.transform(params, data["design"]), data["design"])[row]

    return bounded(("log likelihood of a row", model), lambda: jax.vmap(one, in_axes=(0, None)))
