"""What is done with each latent vector of a model, and the map from what is sampled to the coordinates of a density."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.coordinates.adapted.law import draw
from brim.coordinates.adapted.which import Adapted
from brim.coordinates.integrated.density import log_marginal_function
from brim.coordinates.integrated.which import Integrated
from brim.coordinates.measured import Measured
from brim.coordinates.whitened import Whitened
from brim.model.model import Model, log_joint_function
from brim.parameters.param import Layout, Param, unconstrained_size
from brim.terms.latent import Part, named

__all__ = ["Plan", "Treatment", "around_of", "joined", "log_density_function"]

Arrays = Mapping[str, Any]
REGULAR = 50  # dimensions that a Laplace approximation is made in: a Hessian takes twice as many gradients


@dataclass(frozen=True)
class Treatment:
    """What is done with one latent vector.

    Attributes
    ----------
    latent
        What a reader calls it: ``student effects``, ``s(x)``.
    how
        ``"integrated"`` out exactly, ``"adapted"``: sampled in coordinates that follow its conditional law given the data, or
        ``"sampled"`` as it is, standard normal.
    information
        What its conditional law is computed from.
    why
        Why not more is done.
    """

    latent: str
    how: str
    information: str = ""
    why: str = ""

    def __str__(self) -> str:
        return ", ".join(x for x in (f"{self.latent}: {self.how}", self.information) if x) + (f" ({self.why})" if self.why else "")


@dataclass(frozen=True)
class Plan:
    """What is done with all latent vectors of a model: hashable, the static part of a compiled density.

    Sampled are the coordinates of the model without what is integrated out, ``e`` in place of each ``z`` that follows the data. Where the
    likelihood is expanded (``adapted``), the coordinates that ``e`` does not belong to come first, then those of ``measured``, then those
    of ``adapted``.

    Attributes
    ----------
    model
        The model.
    integrated
        What is integrated out.
    measured
        Noise-free values that follow their measurements.
    adapted
        What follows the likelihood expanded at the data.
    whitened
        Population coefficients sampled in other directions, where nothing is ``adapted``.
    treatments
        The same, vector by vector, for a reader.
    """

    model: Model
    integrated: Integrated | None = None
    measured: Measured | None = None
    adapted: Adapted | None = None
    whitened: Whitened | None = None
    treatments: tuple[Treatment, ...] = field(compare=False, default=())

    @cached_property
    def inner(self) -> Model:
        """The model whose coordinates the density has."""
        return self.model if self.integrated is None else self.integrated.rest

    def __str__(self) -> str:
        adapted = (*(self.adapted.latents if self.adapted else ()), *(self.measured.vectors if self.measured else ()))
        integrated = f"{self.integrated.named} integrated out exactly" if self.integrated and self.integrated.shapes else ""
        follows = f"{named(adapted)} in coordinates adapted to the data" if adapted else ""
        left = [t.latent for t in self.treatments if t.how == "sampled"]
        turned = "population effects in directions of the data" if self.whitened else ""
        return ", ".join(x for x in (integrated, follows, turned, f"{' and '.join(left)} non-centred" if left else "") if x)

    @property
    def moves(self) -> bool:
        """Whether what is sampled are other coordinates than those of ``inner``."""
        return self.measured is not None or self.adapted is not None or self.whitened is not None

    @property
    def regular(self) -> bool:
        """Whether few population effects and hyperparameters alone are left beside what is integrated out."""
        few = self.integrated is not None and not self.moves and self.dim <= REGULAR
        return few and all(p.in_lprior or len(p.constants) == p.size for p in self.inner.params)

    @property
    def _tail(self) -> tuple[str, ...]:
        """Names of the vectors whose ``e`` stand behind all else."""
        if self.adapted is None:
            return ()
        vectors = (*(() if self.measured is None else self.measured.vectors), *self.adapted.latents)
        return tuple(v.standardised for v in vectors)

    @cached_property
    def order(self) -> tuple[Param, ...]:
        """Whose coordinates are sampled, in their order."""
        tail, by_name = self._tail, {p.name: p for p in self.inner.params}
        return (*(p for p in self.inner.params if p.name not in tail), *(by_name[name] for name in tail))

    @property
    def head(self) -> int:
        """Number of first coordinates that no ``e`` is among; 0 where ``e`` stand between others."""
        return self.first.dim if self.adapted is not None else 0

    @cached_property
    def first(self) -> Layout:
        """The coordinates before those of vectors that stand behind all else."""
        return Layout(tuple(p for p in self.order if p.name not in self._tail))

    @property
    def dim(self) -> int:
        return self.inner.layout.dim

    def center(self) -> np.ndarray:
        """Where chains start, before they are spread."""
        out = Layout(self.order).center()
        for places in self.whitened.places if self.whitened is not None else ():
            out[places] = 0.0
        return out

    def split(self, q: Any) -> dict[str, Any]:
        """The coordinates of each parameter, by name: (..., its unconstrained size)."""
        out, at = {}, 0
        for p in self.order:
            n = unconstrained_size(p)
            out[p.name] = q[..., at : at + n]
            at += n
        return out

    def own(self, q: Any, data: Arrays) -> tuple[Any, Any]:
        """Coordinates of ``inner``, and ``log |dz / de|``."""
        if self.adapted is None:
            q, log_scale = (q, jnp.zeros(())) if self.whitened is None else self.whitened.follow(q, data["whitened"])
            q, more = (q, 0.0) if self.measured is None else self.measured.follow(q, data)
            return q, log_scale + more
        theta, normals, log_scale = self._theta(q[..., : self.head], self.split(q), data)
        drawn = draw(self.adapted, theta, normals, data)
        z = {v.standardised: z for v, z in zip(self.adapted.latents, drawn.z, strict=True)}
        return joined(self.inner, theta, z), log_scale + drawn.log_scale

    def at_modes(self, head: Any, data: Arrays) -> tuple[Any, tuple[Any, ...]]:
        """Coordinates of ``adapted.rest`` and ``e`` of its vectors, all ``e`` being 0."""
        zeros = {name: jnp.zeros(self._sizes[name]) for name in self._tail}
        theta, normals, _ = self._theta(head, zeros, data)
        return theta, normals

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {p.name: unconstrained_size(p) for p in self.order}

    def _theta(self, head: Any, parts: dict[str, Any], data: Arrays) -> tuple[Any, tuple[Any, ...], Any]:
        """Coordinates of ``adapted.rest``, ``e`` of its vectors, and ``log |dz / de|`` of the noise-free values among the former."""
        assert self.adapted is not None
        normals = tuple(parts[v.standardised].reshape(v.shape) for v in self.adapted.latents)
        if self.measured is None:
            return head, normals, 0.0
        theta = joined(self.adapted.rest, head, {v.standardised: parts[v.standardised] for v in self.measured.vectors})
        theta, log_scale = self.measured.follow(theta, data)
        return theta, normals, log_scale


def around_of(integrated: Integrated | None, adapted: Adapted | None) -> tuple[tuple[int, Part], ...]:
    """The parts of these vectors in the means of responses."""
    out = [] if integrated is None else [(0, Part(v, 0, v.shape[0])) for v in integrated.latents]
    if adapted is not None:
        seats = ((adapted.at(s), s.part) for own in adapted.seats for s in own)
        out += [(place.response, part) for place, part in seats if place.name == "mu"]
    return tuple(out)


def joined(model: Model, theta: Any, z: Mapping[str, Any]) -> Any:
    """Coordinates of a model from those of all else and the standardised vectors (any shape) of these names."""
    parts, at = [], 0
    for p in model.params:
        n = unconstrained_size(p)
        if p.name in z:
            parts.append(z[p.name].reshape(*theta.shape[:-1], n))
        else:
            parts.append(theta[..., at : at + n])
            at += n
    return jnp.concatenate(parts, axis=-1)


@lru_cache(maxsize=64)
def log_density_function(plan: Plan) -> Callable[[Any, Any], Any]:
    """``(q, data) ->`` log density of what is sampled; equal plans share the function, and so the program."""
    inner = log_joint_function(plan.model) if plan.integrated is None else log_marginal_function(plan.integrated)
    if not plan.moves:
        return inner

    def log_prob(q: Any, data: Arrays) -> Any:
        own, log_scale = plan.own(q, data)
        return inner(own, data["inner"]) + log_scale

    return log_prob
