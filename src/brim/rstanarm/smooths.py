"""``stan_gamm4``'s smooths: all coefficients of a smooth are penalised, those of its null space by a standard deviation of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm, t

from brim.design.splines.call import SmoothCall
from brim.design.splines.effects import Slopes
from brim.design.splines.mixed import Single, mgcv_order
from brim.design.splines.tensor import SeparateTensor
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import deparse, fault
from brim.model.model import Model
from brim.parameters.param import Param, Piece
from brim.parameters.reported import Reported
from brim.rstanarm.densities import AbstractPriorTerm
from brim.rstanarm.priors import Prior
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.curves.smooth import SDS, Smooth

__all__ = ["Penalised", "SmoothScales", "labels_of", "penalised", "smooths_of"]

_STANDARD = (Piece("std_normal", None),)


@final
@dataclass(frozen=True)
class SmoothScales(AbstractPriorTerm):
    """The prior of a smooth's standard deviations, and of the coefficients that brms leaves without a penalty.

    ``smooth_sd = unit u`` with ``u`` exponential or half normal, Student-t or Cauchy, and ``unit = sigma`` of Gaussian models, else 1;
    unpenalised coefficients ``b = smooth_sd z`` with one standard deviation for each curve.

    Attributes
    ----------
    sds, bs
        Keys of the standard deviations and of the unpenalised coefficients, empty for none.
    curves, size
        Number of curves (levels of ``by``), and of unpenalised coefficients of each.
    sigma
        Key of the residual scale, empty for none.
    factor
        What the model's standard deviations of penalised coefficients are divided by to give rstanarm's.
    law
        ``dist``, scale, degrees of freedom; ``""`` for a flat prior.
    """

    sds: str
    bs: str
    curves: int
    size: int
    sigma: str
    factor: float
    law: tuple[str, float, float]

    @property
    def key(self) -> str:
        return f"smooth_sd:{self.sds or self.bs}"

    @property
    def null_key(self) -> str:
        """Key of the standard deviations of unpenalised coefficients."""
        return f"null_{self.bs}"

    @property
    def computes(self) -> tuple[str, ...]:
        return (self.bs,) if self.bs else ()

    def params(self) -> tuple[Param, ...]:
        if not self.bs:
            return ()
        return (Param(f"z_{self.bs}", (self.curves * self.size,), pieces=_STANDARD), Param(self.null_key, (self.curves,), lb=0.0))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return {self.bs: params[f"z_{self.bs}"] * jnp.repeat(params[self.null_key], self.size)} if self.bs else {}

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        return {f"z_{self.bs}": params[self.bs] / jnp.repeat(params[self.null_key], self.size)} if self.bs else {}

    def log_prior(self, params: Params, design: Design) -> Any:
        unit = params[self.sigma] if self.sigma else 1.0
        own = self._log_law(params[self.sds] / (unit * self.factor), unit * self.factor) if self.sds else 0.0
        return own + self._log_law(params[self.null_key] / unit, unit) if self.bs else own

    def _log_law(self, u: Any, unit: Any) -> Any:
        dist, scale, df = self.law
        if not dist:
            return 0.0
        z = u / scale
        half = -z if dist == "exponential" else (norm.logpdf(z) if dist == "normal" else t.logpdf(z, df)) + np.log(2.0)
        return jnp.sum(half - np.log(scale) - jnp.log(unit))

    def reported(self) -> tuple[Reported, ...]:
        if not self.bs:
            return ()
        names = tuple(f"{self.null_key}_{i + 1}" for i in range(self.curves))
        dim = f"{self.null_key}_dim"
        return (Reported(self.null_key, np.array(names, dtype=object), SDS, self.null_key, (dim,), {dim: names}),)


@final
@dataclass(frozen=True)
class Penalised:
    """Names and priors of all smooths of a model.

    Attributes
    ----------
    coefs, scales
        ``(rstanarm's, brms')`` names of coefficients (``s(x).1``) and of standard deviations (``smooth_sd[s(x)1]``).
    factors
        See ``Names``.
    pieces, terms
        Priors.
    unsure
        Smooths whose columns have signs that nothing determines: draws made elsewhere mean others.
    """

    coefs: tuple[tuple[str, str], ...] = ()
    scales: tuple[tuple[str, str], ...] = ()
    factors: Mapping[str, float] = field(default_factory=dict)
    pieces: Mapping[str, tuple[Piece, ...]] = field(default_factory=dict)
    terms: tuple[AbstractTerm, ...] = ()
    unsure: tuple[str, ...] = ()


def penalised(model: Model, frame: Frame, prior: Prior | None, sigma: str) -> Penalised:
    """The smooths of a model with one response; without any, nothing."""
    coefs: list[tuple[str, str]] = []
    scales: list[tuple[str, str]] = []
    factors: dict[str, float] = {}
    pieces: dict[str, tuple[Piece, ...]] = {}
    terms: list[AbstractTerm] = []
    unsure: list[str] = []
    for smooth in smooths_of(model):
        one = _Named.of(smooth, frame)
        keys = {q.key.partition("_")[0]: q.key for q in smooth.reported()}
        term = SmoothScales(keys.get("sds", ""), keys.get("bs", ""), len(smooth.levels), one.free.shape[1], sigma, one.scale, _law(prior))
        terms.append(term)
        pieces.update({keys[k]: () for k in ("sds",) if k in keys})
        null = [str(n) for q in term.reported() for n in np.ravel(q.names)]
        for i, label in enumerate(one.labels):
            brms = [*one.penalised[i], *one.free[i]]
            coefs += [(f"{label}.{j + 1}", name) for j, name in enumerate(brms)]
            factors.update(zip(brms, one.factors, strict=True))
            mine = [*one.sds[i], *null[i : i + 1]]
            scales += [(f"smooth_sd[{label}{end}]", name) for end, name in zip(one.ends, mine, strict=True)]
            factors.update(dict.fromkeys(one.sds[i], one.scale))
        unsure += [] if one.determined else [one.labels[0]]
    return Penalised(tuple(coefs), tuple(scales), factors, pieces, tuple(terms), tuple(unsure))


def smooths_of(model: Model) -> tuple[Smooth, ...]:
    """The smooths of a model of one response."""
    return tuple(s for p in model.responses[0].predictors for s in p.terms if isinstance(s, Smooth))


def labels_of(smooth: Smooth) -> tuple[str, ...]:
    """mgcv's label of each curve, ``s(x):fa``."""
    call = SmoothCall.read(smooth.call)
    return tuple(call.label + ("" if call.by is None else f":{deparse(call.by)}{level}") for level in smooth.levels)


def _law(prior: Prior | None) -> tuple[str, float, float]:
    """The prior of standard deviations in units of ``sigma``; ``autoscale`` has no meaning there, as in rstanarm."""
    if prior is None:
        return "", 1.0, 1.0
    if prior.dist == "exponential":
        return "exponential", 1.0 / float(prior.more["rate"]), 1.0
    if prior.dist not in ("normal", "student_t", "cauchy") or np.any(np.asarray(prior.location, float) != 0):
        raise BrimError(f"prior_smooth = {prior!r}", hint="use exponential(), or normal(), student_t(), cauchy() at 0, or None")
    return prior.dist, float(1.0 if prior.scale is None else prior.scale), float(1.0 if prior.df is None else prior.df)


@final
@dataclass(frozen=True)
class _Named:
    """One smooth in mgcv's order: names of the coefficients of each curve, of their standard deviations, and their factors."""

    labels: tuple[str, ...]
    penalised: np.ndarray
    free: np.ndarray
    sds: np.ndarray
    ends: tuple[str, ...]
    factors: np.ndarray
    determined: bool
    scale: float = 1.0

    @staticmethod
    def of(smooth: Smooth, frame: Frame) -> _Named:
        basis, curves = smooth.smooth, len(smooth.levels)
        if not isinstance(basis, Single | Slopes | SeparateTensor) or (isinstance(basis, Single) and basis.fixed):
            raise fault(
                smooth.call, f"stan_gamm4() has no prior for {deparse(smooth.call)}", "use s() or t2() with a penalty, or brim.brm()"
            )
        by_key = {q.key.partition("_")[0]: np.ravel(q.names).reshape(curves, -1) for q in smooth.reported()}
        own, free = by_key.get("s", np.empty((curves, 0), object)), by_key.get("bs", np.empty((curves, 0), object))
        sds = by_key.get("sds", np.empty((curves, 0), object))
        labels = labels_of(smooth)
        scale = 1.0
        ends: tuple[str, ...] = ("1", "2") if free.shape[1] else ("",)
        if isinstance(basis, Single):
            place = np.argsort(mgcv_order(own.shape[1], free.shape[1]))
            own, free = own[:, place], free[:, ::-1]
        elif isinstance(basis, Slopes):
            own = own[:, ::-1]
        else:
            scale, ends = basis.scale, basis.patterns
        signs = smooth.orientation(frame)
        factors = np.concatenate([np.full(own.shape[1], scale), np.ones(free.shape[1])])
        if signs is not None:
            factors = factors * (np.ones_like(factors) if isinstance(basis, Slopes) else signs)
        return _Named(labels, own, free, sds, ends, factors, signs is not None, scale)
