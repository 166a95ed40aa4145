"""``stan_lm stan_aov stan_glm stan_glm_nb``: models without group effects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from brim.errors import BrimError
from brim.language.expand import deparse
from brim.parameters.param import Piece
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import Draft, describe, fitted, pieces_of, population, with_priors
from brim.rstanarm.call import Call
from brim.rstanarm.densities import Explained, root_of
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import Extras, Priors, generalised, intercept_prior, names_of
from brim.rstanarm.language import read_family, response_of, sides, with_columns, without_groups
from brim.rstanarm.priors import R2, Prior, default_prior_coef, default_prior_intercept, exponential
from brim.terms.population import Population

__all__ = ["stan_aov", "stan_glm", "stan_glm_nb", "stan_lm"]

_COEF, _INTERCEPT, _AUX, _R2 = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True), R2()


@remembered
def stan_glm(
    formula: str,
    data: Any,
    family: Any = "gaussian",
    *,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_aux: Prior | None = _AUX,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A generalised linear model with rstanarm's priors.

    Coefficients ``b_j ~ N(0, 2.5 s / sd(x_j))`` with ``s = sd(y)`` for Gaussian models and 1 for others, the intercept at the mean of
    the predictors ``~ N(mean(y), 2.5 s)`` (0 unless Gaussian with identity link), ``sigma ~ exponential(1 / sd(y))``.

    Parameters
    ----------
    formula
        As R's ``glm``; ``cbind(successes, failures)`` for binomial counts.
    data
        A data frame.
    family
        R's name, with a link if it is not R's default: ``"binomial(probit)"``, ``"Gamma(log)"``, ``"neg_binomial_2"``.
    weights, offset
        A column's name or a vector. With a binomial response that is a share, weights are the numbers of trials.
    prior, prior_intercept, prior_aux
        Priors made by this module's ``normal()``, ``student_t()``, ``hs()``, ...; ``None`` is flat. Only defaults, and priors with
        ``autoscale=True``, are scaled to the data.
    prior_PD
        Sample the prior.
    QR
        The prior is about the coefficients of orthogonal columns, ``theta = R b / sqrt(n - 1)``.
    sampling
        ``chains iter warmup thin seed cores init control adapt_delta algorithm progress empty``, as ``brm`` takes them. Besides, as R's
        functions have them: ``subset`` (``"x > 2"`` or a truth value for each row), ``na_action`` (``"na.omit"``, ``"na.fail"``) and
        ``contrasts`` (``{"f": "contr.sum"}``, for population-level terms). ``sparse`` and ``mean_PPD`` change no number.

    Returns
    -------
    StanFit

    Raises
    ------
    BrimError
        For everything wrong with formula, data, priors or arguments.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_glm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'Days', 'sigma']
    >>> round(float(fit.prior_summary()["prior"]["adjusted_scale"][0]), 3)
    48.892
    """
    extras = Extras(weights, offset, prior_PD=prior_PD, QR=QR, sampling=sampling)
    return generalised("stan_glm", formula, data, family, Priors(prior, prior_intercept, prior_aux), extras)


@remembered
def stan_glm_nb(formula: str, data: Any, *, link: str = "log", **arguments: Any) -> StanFit:
    """``stan_glm`` with ``family = neg_binomial_2(link)``: ``var(y) = mu + mu^2 / reciprocal_dispersion``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_glm_nb("count ~ zAge", brim.load_data("epilepsy"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'zAge', 'reciprocal_dispersion']
    """
    fit = stan_glm(formula, data, f"neg_binomial_2({link})", **arguments)
    return replace(fit, call=replace(fit.stan, function="stan_glm.nb"))


@remembered
def stan_lm(
    formula: str, data: Any, *, prior: R2 | None = _R2, prior_intercept: Prior | None = None, weights: Any = None, **sampling: Any
) -> StanFit:
    """A linear model with a prior on the share of variance explained, ``R2 ~ beta(k / 2, eta)``.

    The direction of ``R b`` (with the triangular root ``R`` of the centred predictors) is uniform, the scale of the outcome
    ``log(sqrt(v + sigma^2) / sd(y))`` and the intercept flat. See ``Explained`` for the density.

    Parameters
    ----------
    formula, data
        As R's ``lm``.
    prior
        ``R2(location, what)``; ``None`` for a uniform law.
    prior_intercept
        A normal prior of the intercept; flat by default.
    weights
        A column's name or a vector.
    sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> fit = rs.stan_lm("gpa ~ occasion + sex", brim.load_data("gpa"), prior=rs.R2(0.3, "mean"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 'occasion', 'sexfemale', 'sigma', 'log-fit_ratio', 'R2']
    """
    return _linear("stan_lm", formula, data, prior, prior_intercept, weights, sampling)


@remembered
def stan_aov(formula: str, data: Any, *, prior: R2 | None = _R2, weights: Any = None, **sampling: Any) -> StanFit:
    """``stan_lm`` under the name of R's ``aov``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> rs.stan_aov("angle ~ recipe", brim.load_data("cake"), prior=rs.R2(0.3, "mean"), empty=True).variables()[:2]
    ['(Intercept)', 'recipeB']
    """
    return _linear("stan_aov", formula, data, prior, None, weights, sampling)


def _linear(
    function: str, formula: str, data: Any, prior: R2 | None, intercept: Prior | None, weights: Any, sampling: dict[str, Any]
) -> StanFit:
    frame, given = with_columns(data, weights=weights)
    left, right = sides(formula)
    without_groups(right, function)
    asked = read_family("gaussian")
    response, _ = response_of(left, asked, tuple(f"weights(`{c}`)" for c in given.values()))
    draft = Draft.build(f"{response} ~ {deparse(right)}", frame, asked.family, sampling)
    pop, y, x = population(draft.model), draft.y(), draft.columns()
    if not pop.coefs:
        raise BrimError(f"{function}() needs a predictor: its prior is about what predictors explain", hint="use stan_glm()")
    at = intercept_prior(intercept, asked, y, float(np.std(y, ddof=1)))
    k, root = len(pop.coefs), _weighted_root(x, pop.intercept, draft, given)
    eta = 1.0 if prior is None else prior.eta(k)
    term = Explained(len(y), eta, k, root, uniform=prior is None)
    pieces: dict[str, tuple[Piece, ...]] = {pop.key: (), "sigma": ()}
    pieces[pop.intercept_key] = tuple(replace(p, index=None) for p in pieces_of(at))
    told = {
        "prior": {"dist": None if prior is None else "R2", "location": prior and prior.location, "what": prior and prior.what},
        "prior_intercept": describe(at) if at.prior is not None else dict.fromkeys(describe(at)),
    }
    explained = (float(np.std(y, ddof=1)), len(y), root)
    aux = ("R2", "log-fit_ratio", "sigma")
    names = names_of(draft, asked)
    squares = _squares(pop) if function == "stan_aov" else {}
    coefs = tuple(stan for stan, _ in names.first)
    call = Call(function, asked.text, formula, names, told, coefs, aux, explained=explained, squares=squares)
    return fitted(draft, with_priors(draft.model, pieces, [term]), call)


def _weighted_root(x: np.ndarray, center: bool, draft: Draft, given: dict[str, str]) -> np.ndarray:
    """The root of the predictors' crossproducts, those of weighted rows about the unweighted means, as in rstanarm."""
    if not given:
        return root_of(x, center)
    weights = draft.record.frame.numbers(given["weights"])
    return root_of(np.sqrt(weights)[:, None] * (x - x.mean(0) if center else x), center=False)


def _squares(pop: Population) -> dict[str, tuple[int, ...]]:
    """The positions of each term's coefficients, the intercept left out."""
    assert pop.matrix is not None
    numbers = pop.matrix.assign[pop.dropped :]
    labels = [":".join(deparse(f) for f in term) for term in pop.terms.terms]
    return {label: tuple(i for i, n in enumerate(numbers) if n == k + 1) for k, label in enumerate(labels)}
