"""What brms 2.18 computes from the same draws: names, priors, log likelihood, predictions, log prior (tests/reference/README.md).

No sampling: each model is built, given the reference's draws, and asked for the same quantities.
"""

import re

import numpy as np
import pytest
from scipy import stats

from references import array, changed, draws, model, reference

pytestmark = pytest.mark.default_precision

# all references but those of smooths, whose parameters are determined up to signs (tests/terms/test_smooths.py compares them)
BUILT = (
    "gpa_demo gpa_lm sleep_slopes sim_int two_groups nested_colon interaction_factor no_intercept weights se_meta rate student"
    " bernoulli binomial poisson negbinomial distributional gr_by mm mo me mi acat_cs gp ar2 skew_normal lognormal gamma weibull"
    " asym_laplace beta von_mises zi_negbinomial zi_id zoi_beta hurdle_lognormal wiener cumulative categorical cens_lognormal"
    " trunc_poisson mixture growth_mixture mv_id mv_rescor nl_loss nl_seed"
).split()

PRIOR_COLUMNS = ("prior", "class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub")


def having(quantity):
    """The models whose reference has the quantity, with each response of a multivariate one (None otherwise)."""
    cases = []
    for name in BUILT:
        values = reference(f"models/{name}").get(quantity)
        if values is not None:
            cases += [(name, resp) for resp in (values if isinstance(values, dict) else [None])]
    return cases


# gp: lscale with its 12 printed digits already moves the values by 1e-5 (the covariance's smallest eigenvalues are 1e-12)
LOOSE = {"gp": 1e-4}


def close(mine, theirs, name=""):
    theirs = array(theirs)
    assert np.shape(mine) == theirs.shape
    np.testing.assert_allclose(mine, theirs, rtol=LOOSE.get(name, 1e-6), atol=LOOSE.get(name, 1e-6) / 10)


def compare(name, resp, quantity, method):
    _, fit = model(name)
    theirs = reference(f"models/{name}")[quantity]
    if resp is None:
        close(getattr(fit, method)(), theirs, name)
    else:
        close(getattr(fit, method)(resp=resp), theirs[resp], name)


@pytest.mark.parametrize("name", BUILT)
def test_variables(name):
    empty, _ = model(name)
    theirs = draws(reference(f"models/{name}")).columns
    internal = re.compile(r"Intercept(_\d+)?(\[|$)")  # brms' centred thresholds
    assert set(empty.variables()) - {"lp__"} == {c for c in theirs if not internal.match(c)}


@pytest.mark.parametrize("name", BUILT)
def test_prior_summary(name):
    def rows(records):
        texts = (tuple(str(row[c] or "").replace(" ", "") for c in PRIOR_COLUMNS) for row in records if not changed(row, ref))
        return sorted(texts)

    empty, _ = model(name)
    ref = reference(f"models/{name}")
    assert rows(empty.prior_summary().to_dict("records")) == rows(ref["prior_summary"])


@pytest.mark.parametrize(("name", "resp"), [case for case in having("log_lik") if case[0] != "trunc_poisson"])
def test_log_lik(name, resp):
    compare(name, resp, "log_lik", "log_lik")


def test_log_lik_of_a_truncated_response():
    """brms 2.18 computes the truncation in log_lik() but returns the value without it; its Stan program has it. Not copied."""
    _, fit = model("trunc_poisson")
    log_window = stats.poisson(np.exp(fit.posterior_linpred())).logcdf(10)
    close(fit.log_lik() + log_window, reference("models/trunc_poisson")["log_lik"])


@pytest.mark.parametrize(("name", "resp"), having("epred"))
def test_posterior_epred(name, resp):
    compare(name, resp, "epred", "posterior_epred")


@pytest.mark.parametrize(("name", "resp"), having("linpred"))
def test_posterior_linpred(name, resp):
    compare(name, resp, "linpred", "posterior_linpred")


@pytest.mark.parametrize("name", [n for n in BUILT if "lprior" in reference(f"models/{n}")["draws"]])
def test_log_prior(name):
    """Constants included; the standardised group effects are no part of brms' lprior."""
    _, fit = model(name)
    close(fit.log_prior(), np.atleast_1d(reference(f"models/{name}")["draws"]["lprior"]))


@pytest.mark.parametrize(("name", "dpar"), having("dpars"))
def test_distributional_parameters(name, dpar):
    _, fit = model(name)
    close(fit.posterior_epred(dpar=dpar), reference(f"models/{name}")["dpars"][dpar])
