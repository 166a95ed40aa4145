"""``stan_betareg``: beta regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from brim.errors import BrimError
from brim.language.brms import bf
from brim.language.expand import Binary, deparse
from brim.parameters.param import Piece
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import Draft, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.call import Call
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import aux_prior, rotated
from brim.rstanarm.language import sides, with_columns, without_groups
from brim.rstanarm.names import Names
from brim.rstanarm.priors import Prior, default_prior_coef, default_prior_intercept, exponential
from brim.rstanarm.scales import scaled
from brim.terms.base import AbstractTerm

__all__ = ["stan_betareg"]

_COEF, _INTERCEPT, _AUX = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True)


@remembered
def stan_betareg(
    formula: str,
    data: Any,
    *,
    link: str = "logit",
    link_phi: str | None = None,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_z: Prior | None = _COEF,
    prior_intercept_z: Prior | None = _INTERCEPT,
    prior_phi: Prior | None = _AUX,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A beta regression, ``y ~ beta(mu phi, (1 - mu) phi)``; ``y ~ x | z`` has predictors ``z`` of ``phi``.

    Parameters
    ----------
    formula, data
        As ``betareg``'s.
    link, link_phi
        Of the mean, and of ``phi``: ``"log"`` where it has predictors, else ``phi`` itself has a prior; with ``"log"`` or ``"sqrt"`` and no
        predictors it has an intercept.
    weights, offset, prior, prior_intercept, prior_PD, QR, sampling
        As in ``stan_glm``; a column of two values is scaled by their distance. ``QR`` rotates predictors where there are several.
    prior_z, prior_intercept_z, prior_phi
        Priors of the coefficients of ``phi``, or of ``phi`` itself.

    Examples
    --------
    >>> import brim, numpy as np
    >>> rows = {"y": np.linspace(0.1, 0.9, 20), "x": np.arange(20.0) % 7, "z": np.arange(20.0) % 3}
    >>> brim.rstanarm.stan_betareg("y ~ x | z", rows, empty=True).variables()
    ['(Intercept)', 'x', '(phi)_(Intercept)', '(phi)_z']
    """
    from brim.families import family as resolve

    frame, given = with_columns(data, weights=weights, offset=offset)
    parts = _formulas(formula, given, link_phi)
    modelled = len(parts) > 1
    used = resolve("beta", link=link, link_phi=link_phi or "log")
    draft = Draft.build(bf(*parts), frame, used, sampling, prior_PD)
    pieces: dict[str, tuple[Piece, ...]] = {}
    first: list[tuple[str, str]] = []
    told: dict[str, Any] = {}
    terms: list[AbstractTerm] = []
    for dpar, label, suffix, coef, at in (("mu", "", "", prior, prior_intercept), ("phi", "(phi)_", "_z", prior_z, prior_intercept_z)):
        if dpar == "phi" and not modelled:
            continue
        pop = population(draft.model, dpar=dpar)
        x = draft.columns(dpar=dpar)
        own = scaled(coef, len(pop.coefs) if QR else x, link if dpar == "mu" else "log", 1.0, two="range")
        pieces[pop.key], told[f"prior{suffix}"] = pieces_of(own), describe(own) if pop.coefs else None
        if QR and coef is not None and len(pop.coefs) > 1:
            pieces[pop.key] = ()
            terms.append(rotated(coef, own, x, pop.key, pop.intercept))
            told[f"prior{suffix}"]["QR"] = True
        middle = scaled(at if at is None or at.location is not None else replace(at, location=0.0), 1, link if dpar == "mu" else "log", 1.0)
        pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(middle))
        told[f"prior_intercept{suffix}"] = describe(middle)
        assert pop.matrix is not None
        prefix = f"b_{pop.where.prefix}"
        brms = [prefix + c for c in (*(("Intercept",) if pop.intercept else ()), *pop.coefs)]
        first += zip((label + n for n in pop.matrix.names[len(pop.matrix.names) - len(brms) :]), brms, strict=True)
    last: tuple[tuple[str, str], ...] = ()
    if not modelled:
        pieces["phi"], told["prior_aux"] = aux_prior(prior_phi, 1.0, "phi")
        last = (("(phi)", "phi"),)
    call = Call(
        "stan_betareg",
        f"beta [{link}, link.phi={used.links['phi'] if modelled else 'identity'}]",
        formula,
        Names(tuple(first), last=last),
        told,
        tuple(n for n, _ in (*first, *last)),
    )
    if QR and not terms:
        raise BrimError("QR = TRUE needs several predictors", hint="leave it out")
    return fitted(draft, with_priors(draft.model, pieces, terms), call)


def _formulas(formula: str, given: Mapping[str, str], link_phi: str | None) -> list[str]:
    """The formula of the mean, with weights and offset; and that of ``phi``, where it is not a parameter of its own."""
    left, right = sides(formula)
    split = isinstance(right, Binary) and right.op == "|"
    mean = right.left if isinstance(right, Binary) and split else right
    without_groups(mean, "stan_betareg")
    response = deparse(left) + "".join(f" | weights(`{c}`)" for n, c in given.items() if n == "weights")
    plus = "".join(f" + offset(`{c}`)" for n, c in given.items() if n == "offset")
    parts = [f"{response} ~ {deparse(mean)}{plus}"]
    if split or link_phi not in (None, "identity"):
        parts.append(f"phi ~ {deparse(right.right) if isinstance(right, Binary) and split else '1'}")
    return parts
