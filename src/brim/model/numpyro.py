"""The model as a NumPyro program, for users of NumPyro's own tools and as an oracle in tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from brim.errors import BrimError
from brim.model.data import ModelData
from brim.model.model import Model
from brim.parameters.param import Param

__all__ = ["to_numpyro"]


def to_numpyro(model: Model, data: ModelData) -> Callable[[], None]:
    """A NumPyro model with one site a parameter and the same log density.

    Parameters
    ----------
    model
        A model.
    data
        ``model.data(frame)``.

    Returns
    -------
    callable
        A function without arguments for ``numpyro.infer``; sites have brim's parameter keys (``b``, ``sd_1``, ``z_1``).

    Raises
    ------
    BrimError
        When a ``constant()`` prior holds only a part of an array.

    Examples
    --------
    >>> import brim, jax.numpy as jnp
    >>> from brim.model.numpyro import to_numpyro
    >>> from numpyro.infer.util import log_density
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    >>> program = to_numpyro(fit.model, fit.model.data(fit.frame))
    >>> value, _ = log_density(program, (), {}, {"Intercept": 300.0, "b": jnp.array([10.0]), "sigma": 50.0})
    >>> round(float(value), 1)
    -960.7
    """

    def program() -> None:
        params = {p.name: _site(p, data["fixed"]) for p in model.params}
        full = model.transform(params, data["design"])
        design, args = data["design"], data["prior"]
        numpyro.factor("prior", model.log_prior(full, design, args) + model.log_internal(full, design, args))
        numpyro.factor("log_lik", model.log_lik(full, design))

    return program


def _site(param: Param, fixed: Mapping[str, Any]) -> Any:
    if len(param.constants) == param.size:
        return jnp.reshape(fixed[param.name], param.shape)
    if param.constants:
        raise BrimError(f"constant() for a part of '{param.name}' has no NumPyro form")
    return numpyro.sample(param.name, _flat(param))


def _flat(param: Param) -> dist.Distribution:
    """The improper uniform law on a parameter's space; its prior comes as a factor."""
    constraints = dist.constraints
    if param.space != "real":
        space = {"cholesky_corr": constraints.corr_cholesky, "simplex": constraints.simplex, "ordered": constraints.ordered_vector}[
            param.space
        ]
        events = space.event_dim
        return dist.ImproperUniform(space, param.shape[: len(param.shape) - events], param.shape[len(param.shape) - events :])
    if param.lb is None and param.ub is None:
        space = constraints.real
    elif param.ub is None:
        space = constraints.greater_than(param.lb)
    elif param.lb is None:
        space = constraints.less_than(param.ub)
    else:
        space = constraints.interval(param.lb, param.ub)
    return dist.ImproperUniform(space, param.shape, ())
