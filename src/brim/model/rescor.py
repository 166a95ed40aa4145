"""Residual correlations between responses, ``set_rescor(TRUE)``: the joint law of several gaussian or student responses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from brim.errors import BrimError
from brim.families.additions import scale_of
from brim.frames.frame import Frame
from brim.language.expand import Call, fault
from brim.linalg import cholesky, whitened
from brim.parameters.param import Param, Slot
from brim.parameters.reported import FAMILY, Reported, ReportKind, Section, called
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, Traits

__all__ = ["ResidualCorrelation"]

#: Correlations between responses.
RESCOR = ReportKind("rescor", Section("rescor_pars", "Residual Correlations: ", 7), called)

Dpars = Sequence[Mapping[str, Any]]


@final
@dataclass(frozen=True)
class ResidualCorrelation(AbstractTerm):
    """``y_n ~ N(mu_n, S_n L L' S_n)`` over responses, ``S_n`` the diagonal of their ``sigma``; Student with common ``nu``.

    Attributes
    ----------
    names
        The responses.
    student
        Whether the joint law is Student's t.
    """

    names: tuple[str, ...]
    student: bool = False

    @property
    def key(self) -> str:
        return "rescor"

    @staticmethod
    def of(names: tuple[str, ...], families: tuple[Any, ...], additions: tuple[tuple[Call, ...], ...]) -> ResidualCorrelation:
        """The joint law of these responses, or an error when they have none."""
        kinds = {f.name for f in families}
        hint = "add set_rescor(False); effects can still be correlated through (1 | ID | g)"
        if len(kinds) > 1 or kinds > {"gaussian", "student"} or not kinds <= {"gaussian", "student"}:
            raise BrimError(f"residual correlations need all responses gaussian or all student, not {', '.join(sorted(kinds))}", hint=hint)
        if any(f.links["mu"] != "identity" for f in families):
            raise BrimError("residual correlations need the identity link", hint=hint)
        for name, added in zip(names, additions, strict=True):
            for call in added:
                if call.fn not in ("mi", "index", "se", "weights"):
                    raise fault(call, f"{call.fn}() of '{name}' does not go with residual correlations", hint)
        weights = [next((c for c in added if c.fn == "weights"), None) for added in additions]
        if len(set(weights)) > 1:  # the joint density of a row has one weight
            different = next(c for c in weights if c is not None)
            raise fault(different, "responses with residual correlations have the same weights", "give all of them the same weights()")
        return ResidualCorrelation(names, kinds == {"student"})

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return {}

    def params(self) -> tuple[Param, ...]:
        k = len(self.names)
        low = Param("Lrescor", (k, k), (Slot("Lrescor", default="lkj_corr_cholesky(1)"),), space="cholesky_corr")
        return (low, Param("nu", slots=(Slot("nu", default="gamma(2, 0.1)"),), lb=1.0, center=2.0)) if self.student else (low,)

    @property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = np.array([(i, j) for j in range(len(self.names)) for i in range(j)])
        return pairs[:, 0], pairs[:, 1]

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        low = params["Lrescor"]
        return {"rescor": (low @ low.T)[self._pairs]}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        rows, cols = self._pairs
        full = jnp.eye(len(self.names)).at[rows, cols].set(reported["rescor"]).at[cols, rows].set(reported["rescor"])
        return {"Lrescor": cholesky(full)}

    def reported(self) -> tuple[Reported, ...]:
        rows, cols = self._pairs
        pairs = tuple(f"{self.names[i]}__{self.names[j]}" for i, j in zip(rows, cols, strict=True))
        names = np.array([f"rescor__{p}" for p in pairs], dtype=object)
        out = [Reported("rescor", names, RESCOR, "rescor", ("rescor_pair",), {"rescor_pair": pairs})]
        if self.student:
            out.append(Reported("nu", np.array("nu", dtype=object), FAMILY, "nu"))
        return tuple(out)

    # ------------------------------------------------------------------ numbers

    def log_lik(self, y: Sequence[Any], dpars: Dpars, data: Sequence[Mapping[str, Any]], params: Params) -> Any:
        """Joint log density of each row, ``(rows,)``, times its weight."""
        low, k = params["Lrescor"], len(self.names)
        scales = [scale_of(d, x) for d, x in zip(dpars, data, strict=True)]
        e = [(y[i] - dpars[i]["mu"].value) / scales[i] for i in range(k)]
        log_det = sum(jnp.log(scale) for scale in scales) + jnp.sum(jnp.log(jnp.diagonal(low)))
        distance = sum(v * v for v in whitened(low, e))
        weights = data[0].get("weights", 1.0)
        if not self.student:
            return weights * (-0.5 * distance - log_det - 0.5 * k * math.log(2 * math.pi))
        nu = params["nu"]
        constant = gammaln(0.5 * (nu + k)) - gammaln(0.5 * nu) - 0.5 * k * jnp.log(nu * math.pi)
        return weights * (constant - log_det - 0.5 * (nu + k) * jnp.log1p(distance / nu))

    def sample(self, key: Any, dpars: Dpars, data: Sequence[Mapping[str, Any]], params: Params) -> Any:
        """New responses of every row, ``(rows, responses)``."""
        mu = jnp.stack([d["mu"].value for d in dpars], axis=-1)
        scales = [jnp.broadcast_to(scale_of(d, x), mu.shape[:1]) for d, x in zip(dpars, data, strict=True)]
        normal, chi = jax.random.split(key)
        e = jax.random.normal(normal, mu.shape, mu.dtype) @ params["Lrescor"].T
        if self.student:
            nu = params["nu"]
            e = e * jnp.sqrt(nu / jax.random.chisquare(chi, nu, (mu.shape[0], 1), mu.dtype))
        return mu + jnp.stack(scales, axis=-1) * e
