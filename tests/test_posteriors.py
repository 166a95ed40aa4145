"""Whole posteriors against those of brms (reference/full), and the README's example; slow."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import brim
from brim.infer.diagnostics import ess_mean, mcse_mean, rhat
from references import data, family, formula, priors, reference

pytestmark = [pytest.mark.slow, pytest.mark.default_precision]

BUILT = "gpa_demo sleep_slopes poisson mi cumulative nl_loss mv_id mv_rescor ar2 me courses few_points".split()
# In these brms' chains diverge at its default adapt_delta of 0.8 (46 of 4000 transitions, 6 and 1); brim's may as often
DIVERGING = {"ar2": 46, "nl_loss": 6, "mv_id": 1, "courses": 1, "few_points": 1}
# More draws of brim's where its own Monte Carlo error, of the sd of heavy-tailed effects, would decide
LONGER = {"mv_rescor": {"iter": 10000, "warmup": 1000, "control": {"adapt_delta": 0.95}}}


def mcse_sd(draws):
    """Monte Carlo errors of standard deviations, ``mcse(v) / (2 sd)`` with ``v`` the squared distances from the mean."""
    square = (draws - draws.mean((0, 1))) ** 2
    return square.std((0, 1)) / np.sqrt(ess_mean(square)) / (2 * draws.std((0, 1)))


def sampled(name, **settings):
    """The reference's statistics by variable, the fit, and its draws of the same variables, (chains, draws, variables)."""
    ref = reference(f"full/{name}")
    spec = ref["spec"]
    given = priors({"spec": spec, "prior_summary": []}) or None
    rows = pd.DataFrame(ref["data"]) if "data" in ref else data(spec["data"])
    fit = brim.brm(formula(spec), data=rows, family=family(spec["family"]), prior=given, seed=1, progress=False, **settings)
    theirs = pd.DataFrame(ref["summary"]).set_index("variable").drop(["lp__", "lprior"], errors="ignore")
    theirs = theirs[theirs["sd"].astype(float) > 0].astype(float)
    return theirs, fit, fit.as_draws_df()[theirs.index].to_numpy().reshape(4, -1, len(theirs))


def compare(theirs, draws, within=4.0):
    """Means and standard deviations within as many combined Monte Carlo errors; older references have no errors of the sd."""
    error = np.hypot(theirs.get("mcse_mean", theirs["sd"] / np.sqrt(theirs["ess_bulk"])), mcse_mean(draws))
    np.testing.assert_array_less(abs(draws.mean((0, 1)) - theirs["mean"]) / error, within)
    shape = mcse_sd(draws) * np.sqrt(ess_mean((draws - draws.mean((0, 1))) ** 2))
    error = np.hypot(theirs.get("mcse_sd", shape / np.sqrt(theirs[["ess_bulk", "ess_tail"]].min(axis=1))), mcse_sd(draws))
    np.testing.assert_array_less(abs(draws.std((0, 1), ddof=1) - theirs["sd"]) / error, within)


@pytest.mark.parametrize("name", BUILT)
def test_posterior_means_and_sds_are_those_of_brms(name):
    """Every variable; all chains agree, and none diverges where brms' do not."""
    theirs, fit, draws = sampled(name, **LONGER.get(name, {}))
    compare(theirs, draws)
    assert rhat(draws).max() < 1.01
    assert fit.stats["diverging"].sum() <= DIVERGING.get(name, 0)


def test_the_posterior_of_a_smooth_is_that_of_brms():
    """s(times): its coefficients after the signs of mgcv's basis, which nothing determines, are made brim's."""
    theirs, fit, draws = sampled("s_tp", iter=4000, control={"adapt_delta": 0.95})
    (smooth,) = (t for t in fit.model.terms() if t.key.startswith("smooth"))
    mine, bases = smooth.design(fit.frame), reference("smooth_bases")["s_tp"]
    for columns, basis, names in (
        ("Z", bases["Zs"]["Zs_1_1"], [f"s_stimes_1[{i}]" for i in range(1, 9)]),
        ("X", bases["Xs"], ["bs_stimes_1"]),
    ):
        sign = np.sign(np.sum(mine[columns] * np.array(basis), axis=0))
        np.testing.assert_allclose(mine[columns], sign * np.array(basis), atol=1e-6 * np.abs(basis).max())
        theirs.loc[names, "mean"] *= sign
    compare(theirs, draws)
    assert rhat(draws).max() < 1.01
    assert fit.stats["diverging"].sum() <= 4


def test_the_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    space = {}
    exec(code, space)
    assert space["fit"].fixef().loc["occasion", "Estimate"] == pytest.approx(0.1063, abs=0.002)
    assert brim.load("fit.nc").fixef().equals(space["fit"].fixef())
