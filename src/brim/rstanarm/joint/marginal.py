"""The likelihood of each subject with its effects integrated out, and cross-validation over subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.linalg import cholesky, solve
from brim.model.model import Model
from brim.post.comparison.pointwise import Pointwise
from brim.rstanarm.joint.draws import over_draws
from brim.rstanarm.joint.modes import curvature
from brim.rstanarm.joint.process import EventProcess

if TYPE_CHECKING:
    from brim.rstanarm.joint.jm import JmFit

__all__ = ["Subjectwise", "conditional", "marginal"]

_STEPS, _LONGEST = 8, 3.0  # Newton steps to where the nodes are centred; the longest, in standard deviations of the effects
_NODES = {1: 11, 2: 7, 3: 5, 4: 3}  # of each effect, by their number; beyond: Laplace's approximation


def conditional(fit: JmFit) -> np.ndarray:
    """``log p(markers, event | effects)`` of each subject, ``(draws, subjects)``."""
    law = Likelihood(fit.model, fit.parts.process, len(fit.parts.events.subjects))
    return over_draws(("conditional", law), law.log_lik, fit.draws.flat(), _data(fit))


def marginal(fit: JmFit, nodes: int | None = None) -> np.ndarray:
    """``log int p(markers, event | b) dN(b; 0, Sigma)`` of each subject, ``(draws, subjects)``.

    Adaptive Gauss-Hermite quadrature: ``nodes`` for each effect, around the mode and as wide as the curvature there. Exact for normal
    markers without an association; the effects of other groupings are those of the draw.
    """
    blocks = [b for b in fit.model.blocks if b.grouping.label == fit.parts.id_var]
    if len(blocks) != 1:
        raise BrimError(
            f"the subjects' effects stand in {len(blocks)} terms of '{fit.parts.id_var}'",
            hint="log_lik(marginal=False) is the likelihood given them; write one term, (x | id)",
        )
    block, subjects = blocks[0], fit.parts.events.subjects
    level = {v: i for i, v in enumerate(block.grouping.levels)}
    key = next(q.key for q in block.reported() if q.key.startswith("r_"))
    at, n, k = np.array([level[s] for s in subjects]), len(subjects), len(block.coefs)
    law = Likelihood(fit.model, fit.parts.process, n)
    x, log_weight = _grid(_NODES.get(k, 1) if nodes is None else nodes, k)

    def one(params: Any, data: Any) -> Any:
        low = block.scaled({**params, **block.invert(params, {})}, data["design"][block.key]["by"])

        def log_p(z: Any) -> Any:
            own = {**params, key: params[key].at[:, data["at"]].set(low @ z.T)}
            return law.log_lik(own, data) - 0.5 * jnp.sum(z * z, axis=1) - 0.5 * k * math.log(2.0 * math.pi)

        z = _centre(log_p, n, k)
        root = cholesky(curvature(log_p, z)[1])

        def at_node(_: Any, node: Any) -> tuple[Any, Any]:
            away = solve(jnp.swapaxes(root, 1, 2), jnp.broadcast_to(node, (n, k))[..., None])[..., 0]
            return None, log_p(z + math.sqrt(2.0) * away)

        values = jax.lax.scan(at_node, None, data["x"])[1] + data["log_weight"][:, None]
        log_det = jnp.sum(jnp.log(jnp.diagonal(root, axis1=1, axis2=2)), axis=1)
        return logsumexp(values, axis=0) + 0.5 * k * math.log(2.0) - log_det

    data = {**_data(fit), "x": x, "log_weight": log_weight, "at": at}
    return over_draws(("marginal", law, block.key), one, fit.draws.flat(), data)


def _grid(nodes: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of ``k`` effects, and the logs of ``w exp(x^2)``."""
    x, w = np.polynomial.hermite.hermgauss(nodes)
    return np.array(list(product(x, repeat=k))), np.array([sum(v) for v in product(np.log(w) + x * x, repeat=k)])


def _centre(log_p: Any, n: int, k: int) -> Any:
    """The mode, nearly: steps of Newton's method, none of them long."""

    def step(z: Any, _: Any) -> tuple[Any, None]:
        grad, precision = curvature(log_p, z)
        full = solve(precision, grad[..., None])[..., 0]
        length = jnp.sqrt(jnp.sum(full * full, axis=1, keepdims=True))
        return z + full * jnp.minimum(1.0, _LONGEST / jnp.maximum(length, 1e-12)), None

    return jax.lax.scan(step, jnp.zeros((n, k)), None, length=_STEPS)[0]


def _data(fit: JmFit) -> dict[str, Any]:
    """Arrays of the likelihood; ``owners`` the number of the subject of each interval at risk, and of each marker's rows."""
    owners = (np.asarray(fit.parts.events.subject), [np.asarray(c) for c in fit.marker_subjects()])
    return {"design": fit.model.design(fit.frame), "event": dict(fit.parts.process.data), "owners": owners}


@final
@dataclass(frozen=True)
class Likelihood:
    """The likelihood of ``n`` subjects: of their markers and their events."""

    model: Model
    process: EventProcess
    n: int

    def log_lik(self, params: Any, data: Any) -> Any:
        """Of each subject, given its effects."""
        event, codes = data["owners"]
        out = jnp.zeros(self.n).at[event].add(self.process.log_lik(params, data["event"]))
        for response, c in zip(self.model.responses, codes, strict=True):
            out = out.at[c].add(response.log_lik(params, data["design"]))
        return out


@final
@dataclass(frozen=True)
class Subjectwise(Pointwise):
    """The log likelihood of subjects, as cross-validation takes it."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All subjects in one block."""
        whole = self.fit.log_lik(**self.options)  # type: ignore[attr-defined]
        yield slice(0, whole.shape[1]), self._checked(whole, 0)

    def rows(self) -> Frame | None:
        """A subject's rows belong together."""
        return None

    @property
    def dim(self) -> str:
        """Name of the axis of subjects."""
        return "subject"
