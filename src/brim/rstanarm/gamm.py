"""``stan_gamm4``: generalised additive mixed models."""

from __future__ import annotations

from typing import Any

from brim.errors import BrimError
from brim.language.expand import parse, special, walk
from brim.rstanarm.again import remembered
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import Extras, Priors, generalised
from brim.rstanarm.priors import Decov, Prior, default_prior_coef, default_prior_intercept, exponential

__all__ = ["stan_gamm4"]

_COEF, _INTERCEPT, _AUX = default_prior_coef(), default_prior_intercept(), exponential(autoscale=True)
_SMOOTH, _DECOV = exponential(), Decov()


@remembered
def stan_gamm4(
    formula: str,
    data: Any,
    family: Any = "gaussian",
    *,
    random: str | None = None,
    weights: Any = None,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_intercept: Prior | None = _INTERCEPT,
    prior_smooth: Prior | None = _SMOOTH,
    prior_aux: Prior | None = _AUX,
    prior_covariance: Decov = _DECOV,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A generalised additive mixed model, ``y ~ s(x) + z`` with group effects.

    A smooth is ``f = S b`` with mgcv's basis in the form in which its penalty is ``sum b^2``: the first coefficients
    ``b_j ~ N(0, smooth_sd1)``, those of the penalty's null space (the linear part) ``N(0, smooth_sd2)``.

    Parameters
    ----------
    formula
        As ``mgcv``'s: ``s()`` and ``t2()`` beside other terms.
    random
        Group terms, ``"~ (1 | g)"``; they may stand in ``formula`` as well.
    prior_smooth
        Of the standard deviations, in units of ``sigma`` for Gaussian models: ``exponential(rate)``, or ``normal()``, ``student_t()``,
        ``cauchy()`` at 0.
    data, family, weights, offset, prior, prior_intercept, prior_aux, prior_covariance, prior_PD, QR, sampling
        As in ``stan_glmer``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.rstanarm.stan_gamm4("accel ~ s(times, k = 5)", brim.load_data("mcycle"), empty=True)
    >>> fit.variables()
    ['(Intercept)', 's(times).1', 's(times).2', 's(times).3', 's(times).4', 'sigma', 'smooth_sd[s(times)1]', 'smooth_sd[s(times)2]']
    """
    priors = Priors(prior, prior_intercept, prior_aux, prior_covariance, prior_smooth)
    if not any(found is not None and found.kind == "smooth" for found in map(special, walk(parse(formula)))):
        raise BrimError("stan_gamm4() needs a smooth term", source=formula, hint="write s(x), or use stan_glmer()")
    extras = Extras(weights, offset, random=random or "", prior_PD=prior_PD, QR=QR, sampling=sampling)
    return generalised("stan_gamm4", formula, data, family, priors, extras)
