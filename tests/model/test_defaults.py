"""Default priors that follow the response, against ``get_prior`` of brms 2.18 on the same data."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import bf, default_prior, gaussian, lognormal, negbinomial2, student, von_mises

AT = np.linspace(0, 1, 41)
D = pd.DataFrame({"y": np.exp(np.linspace(-12, 12, 41)), "o": AT**2, "z": 4 * AT - 3, "x": np.resize([0, 1], 41)})

CASES = {  # (formula, family): rows of get_prior() with a prior
    "each under its own link": (bf("y ~ x", "sigma ~ x"), gaussian(), {"Intercept": (1, 2.5), "Intercept sigma": (0, 8.9)}),
    "an offset is not rounded": ("y ~ x + offset(o)", student("log"), {"Intercept": (-0.3375, 8.9), "sigma": (0, 2.5)}),
    "nor changes the spread": ("y ~ x + offset(o)", gaussian(), {"Intercept": (0.6625, 2.5), "sigma": (0, 2.5)}),
    "no log of some": ("z ~ x", student("log"), {"Intercept": (0, 2.5), "sigma": (0, 2.5)}),
    "terms under mu's": (bf("y ~ x + (1 | x)", "sigma ~ x"), gaussian("inverse"), {"sd": (0, 2.5), "Intercept sigma": (0, 8.9)}),
    "logscale": (bf("y ~ x", "sigma ~ x"), lognormal(), {"Intercept": (0, 8.9), "Intercept sigma": (0, 8.9)}),
}


@pytest.mark.parametrize("case", CASES)
def test_location_and_scale(case):
    formula, family, wanted = CASES[case]
    table = default_prior(formula, D, family)
    found = {f"{row['class']} {row['dpar']}".strip(): row["prior"] for _, row in table.iterrows() if not row["coef"] and row["prior"]}
    for name, (location, scale) in wanted.items():
        numbers = [float(v) for v in found[name].removeprefix("student_t(").rstrip(")").split(",")]
        assert numbers == pytest.approx([3, location, scale], abs=1e-12), name


def test_changed_since():
    """brms 2.23: von_mises' own default is that of its tan_half link alone; negbinomial2."""
    prior = lambda formula, family, name: default_prior(formula, D, family).set_index("class").loc[name, "prior"]  # noqa: E731
    assert prior("z ~ 1", von_mises(), "Intercept") == "student_t(1, 0, 1)"
    assert prior("z ~ 1", von_mises("identity"), "Intercept") == "student_t(3, -1, 2.5)"
    assert prior("x ~ 1", negbinomial2(), "sigma") == "gamma(0.4, 0.3)"


def test_a_lognormal_component_puts_default_priors_on_the_log_scale():
    """brms 2.18: get_prior(y ~ x + (1 | g), family = mixture(lognormal, weibull)), and the other way round."""
    y = np.array([12.0, 20, 31, 38, 39, 45, 58, 77, 140, 210])
    rows = {"y": y, "x": np.arange(10.0), "g": list("aabbccddee")}
    at = round(float(np.median(np.log(y))), 1)
    for components in (("lognormal", "weibull"), ("weibull", "lognormal")):
        table = brim.default_prior("y ~ x + (1 | g)", rows, brim.mixture(*components))
        mine = {(c, d): p for c, d, p in zip(table["class"], table["dpar"], table["prior"], strict=True) if p}
        for mu in ("mu1", "mu2"):
            assert mine["Intercept", mu] == f"student_t(3, {at:g}, 2.5)"
            assert mine["sd", mu] == "student_t(3, 0, 2.5)"
