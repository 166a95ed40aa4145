"""``algorithm="map"`` with flat priors against glmmTMB 1.1.5's maximum likelihood."""

import pandas as pd
import pytest

import brim
from references import FOLDER

#: The call, and what it gives: conditional coefficients, sd of the effects, dispersion, probability of extra zeros.
FITS = {
    # glmmTMB(y ~ tr + w + (1 | gg), ziformula = ~1, family = nbinom2, data = zinbsim): plogis of the intercept -0.8375971
    "zinbsim": (
        ("y ~ tr + w + (1 | gg)", "zero_inflated_negbinomial"),
        {
            "b_Intercept": 0.9078325,
            "b_trb": 0.5162234,
            "b_w": -0.8300395,
            "sd_gg__Intercept": 0.3014493,
            "shape": 2.2455790,
            "zi": 0.3020415,
        },
    ),
    # glmmTMB(y ~ x + (1 | gg), family = beta_family(), data = betasim)
    "betasim": (
        ("y ~ x + (1 | gg)", "beta"),
        {"b_Intercept": -0.1626781, "b_x": 0.4788622, "sd_gg__Intercept": 0.5640156, "phi": 6.7143691},
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_the_mode_with_flat_priors_is_glmmtmbs(name):
    (formula, family), expected = FITS[name]
    classes = ["Intercept", "sd", *(n for n in expected if n in ("shape", "zi", "phi"))]
    flat = sum((brim.prior("", class_=c) for c in classes[1:]), brim.prior("", class_=classes[0]))
    mode = brim.brm(formula, pd.read_csv(FOLDER / "data" / f"{name}.csv"), family, flat, algorithm="map", progress=False)
    found = mode.as_draws_df().iloc[0]
    assert {n: found[n] for n in expected} == pytest.approx(expected, rel=1e-4)
