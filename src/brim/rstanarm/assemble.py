"""From a call in rstanarm's words to a model of brim's with rstanarm's priors, and its fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from brim.api.perform import perform, requested
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.fit.run import sample
from brim.fit.running import Running
from brim.model.model import Model
from brim.parameters.param import Piece
from brim.rstanarm.call import Call
from brim.rstanarm.densities import AbstractPriorTerm, Covariance
from brim.rstanarm.fit import StanFit
from brim.rstanarm.priors import Decov
from brim.rstanarm.scales import Scaled
from brim.terms.base import AbstractTerm
from brim.terms.population import Population

__all__ = ["SHRUNKEN", "Draft", "covariance_priors", "describe", "fitted", "pieces_of", "population", "with_priors"]

#: Priors whose coefficients are computed from parameters of the prior's own.
SHRUNKEN = ("hs", "hs_plus", "lasso", "product_normal")

_RUN = ("cores", "init", "progress", "empty")
_SETTINGS = {
    "chains": 4,
    "iter": 2000,
    "warmup": None,
    "thin": 1,
    "seed": None,
    "algorithm": "sampling",
    "control": None,
    "marginalize": "auto",
}


@final
@dataclass(frozen=True)
class Draft:
    """A model built with brms' priors, whose design tells rstanarm's."""

    record: FitRecord
    run: Mapping[str, Any]

    @staticmethod
    def build(formula: Any, data: Any, family: Any, arguments: Mapping[str, Any], prior_PD: bool = False) -> Draft:
        """Build; ``arguments`` are those of the call that concern sampling."""
        given = dict(arguments)
        given.pop("refresh", None)
        if "adapt_delta" in given:
            given["control"] = {**(given.get("control") or {}), "adapt_delta": given.pop("adapt_delta")}
        unknown = next((k for k in given if k not in (*_RUN, *_SETTINGS)), None)
        if unknown is not None:
            raise BrimError(f"there is no argument '{unknown}'", hint=f"sampling takes {', '.join((*_SETTINGS, *_RUN, 'adapt_delta'))}")
        settings = {**_SETTINGS, **{k: v for k, v in given.items() if k in _SETTINGS}}
        request = requested(formula, family=family, prior=None, data2=None, data_name="data", sample_prior="no", **settings)
        record = perform(request, data, empty=True)
        record = replace(record, model=replace(record.model, prior_only=prior_PD))
        return Draft(record, {k: v for k, v in given.items() if k in _RUN})

    @property
    def model(self) -> Model:
        """The model."""
        return self.record.model

    def columns(self, resp: str | None = None, dpar: str = "mu") -> np.ndarray:
        """The design of a predictor without its intercept, (rows, k)."""
        response = self.model.response(resp)
        frame = response.response.kept(self.record.frame)
        return np.asarray(population(self.model, resp, dpar).design(frame)["X"])

    def y(self, resp: str | None = None) -> np.ndarray:
        """The response."""
        response = self.model.response(resp)
        return np.asarray(response.response.design(response.response.kept(self.record.frame), response.family)["y"], float)


def population(model: Model, resp: str | None = None, dpar: str = "mu") -> Population:
    """The population-level part of a predictor."""
    predictor = model.response(resp).predictor(dpar)
    assert predictor is not None
    return next(t for t in predictor.terms if isinstance(t, Population))


def pieces_of(scaled: Scaled) -> tuple[Piece, ...]:
    """A prior of independent parameters as pieces, one an element."""
    if scaled.prior is None:
        return ()
    law = {"cauchy": "cauchy", "normal": "normal", "student_t": "student_t", "laplace": "double_exponential"}[scaled.prior.dist]
    out = []
    for i, (at, scale) in enumerate(zip(scaled.location, scaled.scale, strict=True)):
        own = () if scaled.df is None or law == "cauchy" else (float(scaled.df[i]),)
        out.append(Piece(law, (i,), (*own, float(at), float(scale))))
    return tuple(out)


def with_priors(model: Model, pieces: Mapping[str, tuple[Piece, ...]], terms: Sequence[AbstractTerm] = ()) -> Model:
    """The model with these priors of its parameters in place of its own, and terms that are priors.

    A term's own parameters come in; one that computes parameters of the model (``computes``) takes their place.
    """
    computed = {name for t in terms if isinstance(t, AbstractPriorTerm) for name in t.computes}
    added = tuple(p for t in terms for p in t.params())
    kept = tuple(replace(p, pieces=pieces.get(p.name, p.pieces), special="") for p in model.params if p.name not in computed)
    return replace(model, params=(*added, *kept), shared=(*terms, *model.shared))


def covariance_priors(model: Model, prior: Decov, sigma: str) -> tuple[dict[str, tuple[Piece, ...]], list[AbstractTerm]]:
    """``decov()`` for every grouping factor: pieces of the correlations, terms for the standard deviations."""
    pieces: dict[str, tuple[Piece, ...]] = {}
    terms: list[AbstractTerm] = []
    for block in model.blocks:
        k = len(block.coefs)
        if not block.correlated and k > 1:
            raise BrimError("decov() is a prior of whole covariance matrices", hint="write (x | g) for (x || g), or several terms")
        names = [p.name for p in block.params()]
        pieces[names[0]] = ()
        if block.has_cor:
            pieces[names[1]] = (Piece("lkj_corr_cholesky", None, (float(prior.regularization),)),)
        given = prior.concentration
        counts = given if isinstance(given, tuple) else (given,) * k
        if len(counts) != k:
            raise BrimError(f"decov() has {len(counts)} concentrations for {k} group effects", hint="give one number, or one for each")
        terms.append(Covariance(names[0], sigma, float(prior.shape), float(prior.scale), counts))
    return pieces, terms


def describe(scaled: Scaled, **more: Any) -> dict[str, Any]:
    """A prior as ``prior_summary`` holds it."""
    if scaled.prior is None:
        return {"dist": None, "location": scaled.location, "scale": scaled.specified, "adjusted_scale": None, "df": None, **more}
    return {
        "dist": scaled.prior.dist,
        "location": scaled.location,
        "scale": scaled.specified,
        "adjusted_scale": scaled.scale if scaled.adjusted and not np.array_equal(scaled.scale, scaled.specified) else None,
        "df": scaled.df,
        **more,
    }


def fitted(draft: Draft, model: Model, call: Call) -> StanFit:
    """Sampled, unless ``empty=True``."""
    fit = StanFit.wrap(replace(draft.record, model=model), call)
    run = {k: v for k, v in draft.run.items() if k != "empty"}
    return fit if draft.run.get("empty") else sample(fit, Running(**run))
