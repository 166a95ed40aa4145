"""Priors of all parameters of some classes of a predictor together, with parameters of their own: horseshoe, R2D2, lasso."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.distributions import densities
from brim.distributions.matrices import dirichlet
from brim.distributions.real import StudentT
from brim.errors import BrimError, suggest
from brim.frames.frame import Frame
from brim.parameters.param import Param, Piece, Where
from brim.parameters.reported import FAMILY, Reported
from brim.parameters.text import parse_prior
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, Traits
from brim.terms.latent import scales_of

__all__ = ["SHRINKAGE", "Shrinkage", "Shrunk", "main_arguments"]

#: Name of the prior -> its arguments and their defaults, in brms' order (``None``: none given).
SHRINKAGE: dict[str, dict[str, float | None]] = {
    "horseshoe": {
        "df": 1.0,
        "scale_global": 1.0,
        "df_global": 1.0,
        "scale_slab": 2.0,
        "df_slab": 4.0,
        "par_ratio": None,
        "autoscale": 1.0,
        "main": 0.0,
    },
    "R2D2": {"mean_R2": 0.5, "prec_R2": 2.0, "cons_D2": 0.5, "autoscale": 1.0, "main": 0.0},
    "lasso": {"df": 1.0, "scale": 1.0},
}

_STANDARD = (Piece("std_normal", None),)


def main_arguments(texts: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the prior that several classes of parameters have together.

    Parameters
    ----------
    texts
        Class -> the prior as written. The arguments are those of the only one, or of the one with ``main = TRUE``.

    Examples
    --------
    >>> main_arguments({"b": "horseshoe(3, main = TRUE)", "sd": "horseshoe()"})
    ('horseshoe', {'df': 3.0, 'main': 1.0})
    """
    read = {class_: _arguments(text) for class_, text in texts.items()}
    names = list(dict.fromkeys(name for name, _ in read.values()))
    if len(names) > 1:
        raise BrimError(f"{' and '.join(f'{n}()' for n in names)} are given to one predictor", hint="use the same prior for all classes")
    mains = [class_ for class_, (_, given) in read.items() if given.get("main")] if len(read) > 1 else list(read)
    if len(mains) != 1:
        found = f"main = TRUE stands at {' and '.join(mains)}" if mains else "none has main = TRUE"
        hint = f"say {names[0]}(..., main = TRUE) at the one whose arguments hold for all"
        raise BrimError(f"{names[0]}() is given to the classes {', '.join(read)}, and {found}", hint=hint)
    return read[mains[0]]


def _arguments(text: str) -> tuple[str, dict[str, Any]]:
    """Name of a prior and the arguments that are given."""
    parsed = parse_prior(text)
    names = list(SHRINKAGE[parsed.law])
    given: dict[str, Any] = dict(zip(names, parsed.args, strict=False)) | dict(parsed.named)
    unknown = next((n for n in given if n not in names), None)
    if unknown is not None:
        raise BrimError(f"{parsed.law}() has no argument '{unknown}'", source=text, hint=suggest(unknown, names, "arguments"))
    if len(parsed.args) > len(names):
        raise BrimError(f"{parsed.law}() has at most {len(names)} arguments", source=text)
    return parsed.law, given


@dataclass(frozen=True)
class Shrunk:
    """An array of parameters under the prior: coefficients, which have a sign, or standard deviations."""

    key: str
    shape: tuple[int, ...]
    signed: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def scales(self) -> str:
        """What brms calls the scales of the coefficients where it keeps them: ``sdar``, ``sdma``."""
        return f"sd{self.key}" if self.key.partition("_")[0] in ("ar", "ma") else ""


@final
@dataclass(frozen=True)
class Shrinkage(AbstractTerm):
    """The joint prior of parameters of one predictor: coefficients, and standard deviations of what varies around zero.

    Every parameter has a scale ``s``; a coefficient (class ``b``, special effects with it, ``ar``, ``ma``) is ``s z`` with ``z`` standard
    normal, and a standard deviation (``sds sdgp sderr sdcar sd``) is ``s`` itself, being the scale of standardised effects.

    ``horseshoe``: ``s = lambda~ tau``, ``lambda~^2 = c^2 lambda^2 / (c^2 + tau^2 lambda^2)``, local ``lambda ~ t+(df)``, global
    ``tau ~ t+(df_global, scale_global sigma)``, slab ``c^2 = scale_slab^2 s``, ``s ~ inv_gamma(df_slab / 2, df_slab / 2)``
    (Piironen & Vehtari 2017). ``R2D2``: ``s = sqrt(phi tau^2)``, ``phi ~ dirichlet(cons_D2)``, ``R^2 ~ beta`` with mean and
    precision given, ``tau^2 = sigma^2 R^2 / (1 - R^2)`` (Zhang et al. 2022; over several classes R2D2M2, Aguilar & Bürkner 2023).
    ``lasso``, of class ``b`` alone: ``b ~ double_exponential(0, scale l)``, ``l ~ chi_square(df)`` (Park & Casella 2008).
    ``sigma`` counts where it is a parameter without predictor, unless ``autoscale = FALSE``. All classes share the global parameters;
    the local ones run over all of them. ``main = TRUE`` says which of several classes holds the arguments; those of others are not used.

    Attributes
    ----------
    name
        ``"horseshoe" | "R2D2" | "lasso"``.
    args
        Values of its arguments, in the order of ``SHRINKAGE``; numbers, part of the model's structure.
    parts
        The arrays of parameters, in the order of their scales.
    where
        The predictor.
    sigma
        Key of the residual scale, ``""`` where there is none.
    concentration
        ``cons_D2`` of R2D2, one a scale.
    """

    name: str
    args: tuple[float, ...]
    parts: tuple[Shrunk, ...]
    where: Where
    sigma: str = ""
    concentration: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        return f"shrinkage{self.where.suffix}"

    @staticmethod
    def of(name: str, given: dict[str, Any], parts: tuple[Shrunk, ...], where: Where, sigma: str, rows: int) -> Shrinkage:
        """From the arguments a user gave; ``par_ratio`` sets the global scale to ``par_ratio / sqrt(rows)``."""
        values: dict[str, Any] = {**SHRINKAGE[name], **given}
        size = sum(p.size for p in parts)
        share = np.atleast_1d(values.pop("cons_D2", 1.0))
        if len(share) not in (1, size):
            raise BrimError(f"{name}(): cons_D2 has {len(share)} values for {size} scales", hint=f"give 1 or {size}")
        wrong = next((k for k, v in values.items() if np.ndim(v)), None)
        if wrong is not None:
            raise BrimError(f"{name}(): the argument {wrong} is one number")
        ratio, scaled, _ = values.pop("par_ratio", None), values.pop("autoscale", 1.0), values.pop("main", 0.0)
        if ratio is not None:
            values["scale_global"] = ratio / np.sqrt(rows)
        bad = next((k for k, v in values.items() if not (v is not None and v > 0)), None)
        if bad is not None or not (share > 0).all() or (name == "R2D2" and not values["mean_R2"] < 1):
            raise BrimError(
                f"{name}(): the argument {bad or 'mean_R2 or cons_D2'} is out of range", hint="all are positive; mean_R2 is below 1"
            )
        shares = tuple(np.broadcast_to(share, size).tolist()) if name == "R2D2" else ()
        return Shrinkage(name, tuple(float(v) for v in values.values() if v is not None), parts, where, sigma if scaled else "", shares)

    @property
    def traits(self) -> Traits:
        return replace(COUNTABLE, hides_prior=self.name == "horseshoe")

    def learn(self, frame: Frame) -> Self:
        return self

    def design(self, frame: Frame) -> Design:
        return {}

    def _key(self, base: str) -> str:
        return f"{base}{self.where.suffix}"

    @property
    def size(self) -> int:
        """Number of scales."""
        return sum(p.size for p in self.parts)

    @property
    def vector(self) -> str:
        """The population coefficients that all of the standard normal numbers are of; empty if there are none, or others too."""
        signed = [p.key for p in self.parts if p.signed]
        return signed[0] if signed == [self._key("b")] and self.name != "lasso" else ""

    @property
    def scaling(self) -> tuple[str, ...]:
        """Names of the parameters that nothing but the scales depends on."""
        return tuple(p.name for p in self.params() if p.name != self._key("zb"))

    def _split(self, scales: Any, z: Any) -> dict[str, Any]:
        """The arrays of parameters from all scales and the standardised coefficients; those without, where the latter are left out."""
        out, at, used = {}, 0, 0
        for p in self.parts:
            mine = scales[at : at + p.size]
            if p.scales:
                out[p.scales] = mine
            if p.signed:
                out[scales_of(p.key)] = mine
                at += p.size
                if z is not None:
                    out[p.key] = jnp.reshape(mine * z[used : used + p.size], p.shape)
                used += p.size
                continue
            out[p.key] = jnp.reshape(mine, p.shape)
            at += p.size
        return out

    def params(self) -> tuple[Param, ...]:
        n, signed = self.size, sum(p.size for p in self.parts if p.signed)
        if self.name == "lasso":
            return (*(Param(p.key, p.shape) for p in self.parts), Param(self._key("lasso_inv_lambda"), lb=0.0))
        z = (Param(self._key("zb"), (signed,), pieces=_STANDARD),) if signed else ()
        if self.name == "R2D2":
            return (*z, Param(self._key("R2D2_phi"), (n,), space="simplex"), Param(self._key("R2D2_R2"), lb=0.0, ub=1.0))
        local = Param(self._key("hs_local"), (n,), lb=0.0)
        return (*z, local, Param(self._key("hs_global"), lb=0.0, center=-2.0), Param(self._key("hs_slab"), lb=0.0))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return {} if self.name == "lasso" else self._split(self._scales(params), params.get(self._key("zb")))

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        if self.name == "lasso" or self.scaling[0] not in params or not any(p.signed for p in self.parts):
            return {}
        scales = self._split(self._scales(params), None)
        return {self._key("zb"): jnp.concatenate([jnp.ravel(params[p.key]) / scales[scales_of(p.key)] for p in self.parts if p.signed])}

    def _scales(self, params: Params) -> Any:
        """The scales of all parameters."""
        if self.name == "R2D2":
            r2 = params[self._key("R2D2_R2")]
            tau2 = self._scale(params) ** 2 * r2 / (1.0 - r2)
            return jnp.sqrt(params[self._key("R2D2_phi")] * tau2)
        local, tau = params[self._key("hs_local")], params[self._key("hs_global")]
        c2 = self.args[3] ** 2 * params[self._key("hs_slab")]
        return tau * local * jnp.sqrt(c2 / (c2 + (tau * local) ** 2))

    def _scale(self, params: Params) -> Any:
        return params[self.sigma] if self.sigma else 1.0

    def log_prior(self, params: Params, design: Design) -> Any:
        """The part of ``lprior``: densities of the global parameters."""
        if self.name == "lasso":
            return densities.gamma(params[self._key("lasso_inv_lambda")], 0.5 * self.args[0], 0.5)
        if self.name == "R2D2":
            mean, precision = self.args
            return densities.beta(params[self._key("R2D2_R2")], mean * precision, (1 - mean) * precision)
        _, scale_global, df_global, _, df_slab = self.args
        tau = StudentT(df_global, 0.0, scale_global * self._scale(params)).log_prob(params[self._key("hs_global")]) + np.log(2.0)
        return tau + densities.inv_gamma(params[self._key("hs_slab")], 0.5 * df_slab, 0.5 * df_slab)

    def log_density(self, params: Params, design: Design) -> Any:
        if self.name == "lasso":
            scale = self.args[1] * params[self._key("lasso_inv_lambda")]
            return sum(jnp.sum(densities.double_exponential(params[p.key], 0.0, scale)) for p in self.parts)
        if self.name == "R2D2":
            return dirichlet(params[self._key("R2D2_phi")], jnp.array(self.concentration))
        local = StudentT(self.args[0], 0.0, 1.0).log_prob(params[self._key("hs_local")])
        return jnp.sum(local) + self.size * np.log(2.0)

    def reported(self) -> tuple[Reported, ...]:
        """brms keeps the parameters of R2D2 and lasso, not those of the horseshoe, and the scales of autoregressive coefficients."""
        return (*self._reported_scales(), *self._reported_own())

    def _reported_scales(self) -> tuple[Reported, ...]:
        out = []
        for p in self.parts:
            if p.scales:
                lags = tuple(str(i + 1) for i in range(p.size))
                names = np.array([f"{p.scales}[{i}]" for i in lags], dtype=object)
                out.append(Reported(p.scales, names, FAMILY, p.scales, (f"{p.scales}_lag",), {f"{p.scales}_lag": lags}))
        return tuple(out)

    def _reported_own(self) -> tuple[Reported, ...]:
        if self.name == "lasso":
            name = self._key("lasso_inv_lambda")
            return (Reported(name, np.array(name, dtype=object), FAMILY, name),)
        if self.name == "horseshoe":
            return ()
        phi, r2 = self._key("R2D2_phi"), self._key("R2D2_R2")
        numbers = tuple(str(i + 1) for i in range(self.size))
        names = np.array([f"{phi}[{i}]" for i in numbers], dtype=object)
        dim = self._key("R2D2_coef")
        return (
            Reported(phi, names, FAMILY, phi, (dim,), {dim: numbers}),
            Reported(r2, np.array(r2, dtype=object), FAMILY, r2),
        )
