"""``stan_lmer stan_glmer stan_glmer_nb``: generalised linear models with group effects under ``decov()``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from brim.rstanarm.again import remembered
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import Extras, Priors, generalised
from brim.rstanarm.priors import Decov, Prior, default_prior_coef, default_prior_intercept, exponential

__all__ = ["stan_glmer", "stan_glmer_nb", "stan_lmer"]

_COEF, _INTERCEPT, _AUX, _DECOV = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True), Decov()


@remembered
def stan_glmer(
    formula: str,
    data: Any,
    family: Any = "gaussian",
    *,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_aux: Prior | None = _AUX,
    prior_covariance: Decov = _DECOV,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A generalised linear mixed model with rstanarm's priors: ``stan_glm``'s, and ``decov()`` for covariances of group effects.

    Parameters
    ----------
    formula
        As ``lme4``'s: ``y ~ x + (1 + x | g)``.
    prior_covariance
        ``decov()``; variances are in units of ``sigma^2`` for Gaussian models.
    data, family, weights, offset, prior, prior_intercept, prior_aux, prior_PD, QR, sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_glmer("TICKS ~ YEAR + (1 | BROOD)", brim.load_data("grouseticks"), "poisson", empty=True)
    >>> fit.variables()[:4], fit.variables()[-1]
    (['(Intercept)', 'YEAR96', 'YEAR97', 'b[(Intercept) BROOD:501]'], 'Sigma[BROOD:(Intercept),(Intercept)]')
    """
    priors = Priors(prior, prior_intercept, prior_aux, prior_covariance)
    return generalised("stan_glmer", formula, data, family, priors, Extras(weights, offset, prior_PD=prior_PD, QR=QR, sampling=sampling))


@remembered
def stan_lmer(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_aux: Prior | None = _AUX,
    prior_covariance: Decov = _DECOV,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """``stan_glmer`` of a Gaussian response.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_lmer("Reaction ~ Days + (1 + Days | Subject)", brim.load_data("sleepstudy"), empty=True)
    >>> fit.variables()[-3:]
    ['Sigma[Subject:(Intercept),(Intercept)]', 'Sigma[Subject:Days,(Intercept)]', 'Sigma[Subject:Days,Days]']
    """
    priors = Priors(prior, prior_intercept, prior_aux, prior_covariance)
    return generalised("stan_lmer", formula, data, "gaussian", priors, Extras(weights, offset, prior_PD=prior_PD, QR=QR, sampling=sampling))


@remembered
def stan_glmer_nb(formula: str, data: Any, *, link: str = "log", **arguments: Any) -> StanFit:
    """``stan_glmer`` with ``family = neg_binomial_2(link)``.

    Examples
    --------
    >>> import brim
    >>> brim.rstanarm.stan_glmer_nb("count ~ zAge + (1 | patient)", brim.load_data("epilepsy"), empty=True).variables()[-2]
    'reciprocal_dispersion'
    """
    fit = stan_glmer(formula, data, f"neg_binomial_2({link})", **arguments)
    return replace(fit, call=replace(fit.stan, function="stan_glmer.nb"))
