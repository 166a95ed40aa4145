"""Modes of latent vectors given all other parameters, and the normal law of the expansion there, inside a compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from brim.coordinates.adapted.expansion import positive, score_and_curvature
from brim.coordinates.adapted.law import Border, effects_of, on_rows
from brim.coordinates.adapted.sums import border_of, gram
from brim.coordinates.adapted.which import Adapted
from brim.coordinates.nested.structure import NestArrays
from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.meetings import TRACED
from brim.coordinates.quadratic.nested_levels import Chain
from brim.terms.latent import Loadings, spread_together

__all__ = ["Here", "Quadratic", "mode_of"]

MOST_STEPS = 30
CLOSE = 0.2  # longest step in a standardised effect that needs no further one: the law is that of the last expansion

Arrays = Mapping[str, Any]


@dataclass(frozen=True)
class Here:
    """One value of all other parameters, and what it makes of the model.

    Attributes
    ----------
    adapted
        Which vectors there are.
    full
        Transformed parameters.
    loadings
        Of each vector.
    rest
        By unit, the predictors without effects (places, rows).
    known
        The arrays.
    """

    adapted: Adapted
    full: Arrays
    loadings: tuple[Loadings, ...]
    rest: tuple[Any, ...]
    known: NestArrays

    def effects(self, i: int, z: Any) -> Any:
        """Effects (k, levels) of vector ``i`` from its ``z``."""
        return effects_of(self.loadings[i], z)

    def added(self, z: Mapping[int, Any]) -> tuple[Any, ...]:
        """What these vectors add to the predictors, by unit (places, rows)."""
        found = on_rows(self.adapted, z, {i: self.effects(i, value) for i, value in z.items()}, self.known.seats)
        return tuple(
            jnp.stack([found.get((u, p), jnp.zeros(rest.shape[1:])) for p in range(len(rest))]) for u, rest in enumerate(self.rest)
        )

    def log_lik(self, u: int, eta: Any) -> Any:
        """Log likelihood (rows,) of a unit at these predictors."""
        t = self.adapted
        value = t.units[u].log_lik(t.rest, eta, self.full, self.known.inner["design"])
        return jnp.broadcast_to(value, eta.shape[1:])


class Quadratic(NamedTuple):
    """The log likelihood around some effects, as in ``Chain`` and ``Bordered``; of a border alone the chain's parts are empty."""

    gram: dict[tuple[int, int], Any]
    cross: tuple[Any, ...]
    border: Border | None
    border_cross: Any

    def law(self, here: Here) -> Chain | Bordered:
        """The law of the effects."""
        t, (_, border, chain) = here.adapted, here.adapted.parts
        within = tuple(here.loadings[i].within for i in chain)
        inner = Chain(tuple(v.cells for v in t.chain), within, self.gram, self.cross, here.known.parents, None)
        if self.border is None:
            return inner
        joint = spread_together((here.loadings[i], t.shapes[i]) for i in border)
        return Bordered(inner, joint, self.border.gram, self.border_cross, self.border.couplings)


def _expanded(here: Here, free: tuple[int, ...], z: Mapping[int, Any]) -> tuple[Any, Quadratic]:
    """Log density of the data and the effects ``z``, up to a constant, and the likelihood expanded there in those that are ``free``."""
    t, (_, border, chain) = here.adapted, here.adapted.parts
    held = here.added({i: v for i, v in z.items() if i not in free})
    own = here.added({i: z[i] for i in free})
    value, precision, residual = jnp.zeros(()), [], []
    for u, unit in enumerate(t.units):
        eta = here.rest[u] + held[u] + own[u]
        value = value + jnp.sum(here.log_lik(u, eta))
        score, curvature = score_and_curvature(unit, t.rest, eta, here.full, here.known.inner["design"])
        w = positive(curvature)
        precision.append(w)
        residual.append(score + jnp.sum(w * own[u], axis=1))
    value = value - 0.5 * sum(jnp.sum(jnp.square(z[i])) for i in free)

    def cross(i: int) -> Any:
        seats = zip(t.seats[i], here.known.seats[i], strict=True)
        return jnp.concatenate([incidence.sums(residual[s.unit][s.place], t.shapes[i][1]) for s, incidence in seats])

    def pair(i: int, j: int) -> Any:
        return gram(t, here.known.seats, precision, i, j, TRACED)

    grams = {(b, c): pair(chain[b], chain[c]) for b in range(len(chain)) for c in range(b, len(chain))}
    joint = border_of(t, here.known.seats, precision, TRACED) if any(i in free for i in border) else None
    flat = jnp.concatenate([jnp.ravel(cross(i)) for i in border]) if joint is not None else jnp.zeros(0)
    return value, Quadratic(grams, tuple(cross(i) for i in chain), joint, flat)


def mean_of(here: Here, quadratic: Quadratic, own: Any = None) -> tuple[dict[int, Any], Any]:
    """Means of the free vectors, those of the chain given the border at ``own`` standard normals; and the border's log density there."""
    t, (_, border, chain) = here.adapted, here.adapted.parts
    law, zeros = quadratic.law(here), tuple(jnp.zeros(t.shapes[i]) for i in chain)
    if isinstance(law, Chain):
        return dict(zip(chain, law.draw(zeros)[0], strict=True)), jnp.zeros(())
    size = sum(v.size for v in t.border)
    (*inner, flat), _, density = law.drawn((*zeros, jnp.zeros(size) if own is None else own))
    out, at = dict(zip(chain, inner, strict=True)), 0
    for i, v in zip(border, t.border, strict=True):
        out[i] = flat[at : at + v.size].reshape(v.shape)
        at += v.size
    return out, density


def mode_of(here: Here, free: tuple[int, ...], start: Mapping[int, Any]) -> tuple[dict[int, Any], Quadratic]:
    """``z`` near the mode in the vectors that are ``free``, and the expansion there, by Newton steps halved until the density rises.

    The law's own mean is a step nearer.
    """

    def look(z: Mapping[int, Any]) -> tuple[Any, Quadratic, dict[int, Any]]:
        value, quadratic = _expanded(here, free, z)
        mean = mean_of(here, quadratic)[0]
        return value, quadratic, {i: mean[i] - z[i] for i in free}

    def moved(z: Mapping[int, Any], step: Mapping[int, Any], size: Any) -> dict[int, Any]:
        return {i: v + size * step[i] if i in free else v for i, v in z.items()}

    def going(state: Any) -> Any:
        count, _, _, _, longest = state
        return (count < MOST_STEPS) & (longest > CLOSE)

    def onward(state: Any) -> Any:
        count, size, z, (value, quadratic, step), _ = state
        trial = moved(z, step, size)
        found = look(trial)
        risen, nowhere = found[0] >= value - 1e-9 * jnp.abs(value), value == -jnp.inf
        # where the density is nothing at the start, from zeros
        z = _chosen(risen, trial, {i: jnp.where(nowhere & (i in free), 0.0, v) for i, v in z.items()})
        kept = _chosen(risen, found, (value, quadratic, step))
        longest = jnp.where(risen, _longest(found[2]), jnp.where(nowhere, jnp.inf, _longest(step)))
        return count + 1, jnp.where(risen, 1.0, 0.5 * size), z, kept, longest

    z = dict(start)
    # the first look is that of a step of no length: the program has it once
    none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(look, z))
    state = (jnp.zeros((), int), jnp.ones(()), z, (jnp.full((), -jnp.inf), *none[1:]), jnp.full((), jnp.inf))
    _, _, z, (_, quadratic, _), _ = lax.while_loop(going, onward, state)
    return z, quadratic


def _chosen(which: Any, new: Any, old: Any) -> Any:
    """All of the one, or all of the other."""
    return jax.tree.map(lambda a, b: jnp.where(which, a, b), new, old)


def _longest(step: Mapping[int, Any]) -> Any:
    return jnp.max(jnp.stack([jnp.max(jnp.abs(v)) for v in step.values()]))
