"""Whole posteriors against those of brms (reference/full), and the README's example; slow."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import brim
from brim.infer.diagnostics import mcse_mean, rhat
from references import data, family, formula, priors, reference

pytestmark = [pytest.mark.slow, pytest.mark.default_precision]

BUILT = "gpa_demo sleep_slopes poisson mi".split()


@pytest.mark.parametrize("name", BUILT)
def test_posterior_means_are_those_of_brms(name):
    """Every variable, within five combined Monte Carlo errors; nothing diverges and all chains agree."""
    ref = reference(f"full/{name}")
    spec = ref["spec"]
    given = priors({"spec": spec, "prior_summary": []}) or None
    fit = brim.brm(formula(spec), data=data(spec["data"]), family=family(spec["family"]), prior=given, seed=1, progress=False)
    theirs = pd.DataFrame(ref["summary"]).set_index("variable").drop("lp__", errors="ignore")
    draws = fit.as_draws_df()[theirs.index].to_numpy().reshape(4, 1000, -1)
    error = np.hypot(theirs["sd"] / np.sqrt(theirs["ess_bulk"]), mcse_mean(draws))
    assert (abs(draws.mean((0, 1)) - theirs["mean"]) < 5 * error).all()
    assert rhat(draws).max() < 1.01
    assert fit.stats["diverging"].sum() == 0


def test_the_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    space = {}
    exec(code, space)
    assert space["fit"].fixef().loc["occasion", "Estimate"] == pytest.approx(0.1063, abs=0.002)
    assert brim.load("fit.nc").fixef().equals(space["fit"].fixef())
