"""``stan_clogit``: conditional logistic regression."""

from __future__ import annotations

from typing import Any

from brim.rstanarm.again import remembered
from brim.rstanarm.fit import StanFit
from brim.rstanarm.generalised import Extras, Priors, generalised
from brim.rstanarm.priors import Decov, Prior, default_prior_coef

__all__ = ["stan_clogit"]

_COEF, _DECOV = default_prior_coef(), Decov()


@remembered
def stan_clogit(
    formula: str,
    data: Any,
    *,
    strata: Any,
    offset: Any = None,
    prior: Prior | None = _COEF,
    prior_covariance: Decov = _DECOV,
    prior_PD: bool = False,
    QR: bool = False,
    **sampling: Any,
) -> StanFit:
    """A conditional logistic regression: the law of 0/1 responses given how many of each stratum are 1.

    ``p(y | sum y = d) = exp(sum_i y_i eta_i) / sum over all sets of d rows``, exact for any ``d``. There is no intercept: what all
    rows of a stratum share cancels. ``log_lik()`` has one value a stratum, ``posterior_epred()`` each row's chance.

    Parameters
    ----------
    formula
        As ``survival``'s ``clogit``, with group terms as ``lme4``'s; its intercept is left out.
    strata
        The column of the strata, by name or as a vector; rows may stand in any order.
    offset, prior, prior_covariance, prior_PD, QR, sampling
        As in ``stan_glmer``.

    Examples
    --------
    >>> import brim, pandas as pd
    >>> rows = {"case": [1, 0, 0, 1, 0, 1], "x": [0.3, 1.2, -0.4, 2.0, 0.1, 0.7], "set": [1, 1, 1, 2, 2, 2]}
    >>> fit = brim.rstanarm.stan_clogit("case ~ x", rows, strata="set", empty=True)
    >>> fit.with_draws(pd.DataFrame({"x": [0.0]})).log_lik().round(4)
    array([[-1.0986, -1.0986]])
    """
    extras = Extras(offset=offset, strata=strata, prior_PD=prior_PD, QR=QR, sampling=sampling, family_text="binomial [clogit]")
    return generalised("stan_clogit", formula, data, "binomial", Priors(prior, None, None, prior_covariance), extras)
