"""Where chains start by the user's values of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.compile.session import float64
from brim.coordinates.base import Coordinates
from brim.errors import BrimError, suggest
from brim.model.model import Model
from brim.parameters.param import Param, constrain, unconstrain, unconstrained_size

__all__ = ["given_points"]


def given_points(space: Coordinates, values: tuple[Mapping[str, Any], ...], seed: int) -> np.ndarray:
    """A first point of each chain, ``(chains, dim)``: at random, but where ``values`` say otherwise.

    They are of parameters as Stan programs of brms name them (``b``, ``Intercept`` of centred predictors, ``sd_1``), or of variables
    of a fit that are sampled as they are (``b_x``, ``sigma``, ``sd_g__Intercept``). What is integrated out, or sampled in coordinates
    that follow its law given the rest, has no value of its own to start from.
    """
    plan = space.plan
    read = [_by_parameter(plan.model, one) for one in values]
    vectors = (*(plan.adapted.latents if plan.adapted is not None else ()), *(plan.measured.vectors if plan.measured is not None else ()))
    followed = {v.standardised for v in vectors}
    data = space.target.data["inner"] if plan.moves else space.target.data
    out = []
    with float64():
        for number, given in enumerate(read):
            q = np.asarray(space.target.init(np.random.default_rng([seed, number])), float)
            if plan.whitened is not None:
                q = np.array(plan.whitened.follow(jnp.asarray(q), space.target.data["whitened"])[0])
            at = 0
            for p in plan.order:
                n = unconstrained_size(p)
                if n and p.name in given and p.name not in followed:
                    q[at : at + n] = _placed(p, q[at : at + n], data["fixed"].get(p.name, ()), given[p.name])
                at += n
            out.append(q if plan.whitened is None else plan.whitened.back(q, space.target.data["whitened"]))
    return np.stack(out)


def _placed(p: Param, u: np.ndarray, fixed: Any, given: Mapping[int, float]) -> np.ndarray:
    """The coordinates of a parameter with some of its elements, or all, at given values."""
    x = np.array(constrain(p, jnp.asarray(u), fixed)[0], float).ravel()
    x[list(given)] = list(given.values())
    placed = np.asarray(unconstrain(p, jnp.asarray(x.reshape(p.shape))))
    if not np.isfinite(placed).all():
        inside = " and ".join(f"{'above' if side == 'lb' else 'below'} {b:g}" for side, b in (("lb", p.lb), ("ub", p.ub)) if b is not None)
        shown = ", ".join(f"{v:g}" for v in given.values())
        raise BrimError(f"init: {p.name} = {shown} is outside of its range", hint=f"it lies {inside}" if inside else f"it is a {p.space}")
    return placed


def _by_parameter(model: Model, values: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """The values of elements of each parameter that are given."""
    params = {p.name.replace(":", "_"): p for p in model.params}
    places: dict[str, tuple[Param, int]] = {}
    for q in model.reported():
        p = next((p for p in model.params if p.name == q.key), None)
        if p is not None and p.space == "real" and p.size == q.names.size:
            places |= {str(name): (p, i) for i, name in enumerate(np.ravel(q.names))}
    out: dict[str, dict[int, float]] = {}
    for name, value in values.items():
        numbers = _numbers(str(name), value)
        if name in params:
            p, index = params[str(name)], list(range(params[str(name)].size))
        elif name in places:
            p, index = places[str(name)][0], [places[str(name)][1]]
        else:
            raise _unknown(str(name), model, {**params, **places})
        if len(numbers) not in (1, len(index)) or (p.space != "real" and len(numbers) != len(index)):
            raise BrimError(f"init: {name} has {len(numbers)} values", hint=f"it takes {len(index)}")
        out.setdefault(p.name, {}).update(zip(index, np.broadcast_to(numbers, len(index)).tolist(), strict=True))
    return out


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        numbers = np.asarray(value, float).ravel()
    except (TypeError, ValueError):
        raise BrimError(f"init: {name} = {value!r} is no number", hint=f"write init={{'{name}': 1.0}}") from None
    if not np.isfinite(numbers).all():
        raise BrimError(f"init: {name} = {value!r} is not finite")
    return numbers


def _unknown(name: str, model: Model, known: Mapping[str, Any]) -> BrimError:
    """No parameter, or one that is computed from others."""
    if name not in {str(n) for q in model.reported() for n in np.ravel(q.names)}:
        return BrimError(f"init: the model samples no '{name}'", hint=suggest(name, known, "parameters"))
    own = name.removeprefix("b_").replace("_Intercept", "")
    centred = "Intercept" if name == "b_Intercept" else f"Intercept_{own}"
    hint = f"give '{centred}', the one at the mean of the predictors" if centred in known else suggest(name, known, "parameters")
    return BrimError(f"init: '{name}' is computed from what is sampled", hint=hint)
