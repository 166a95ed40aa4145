"""Which draws a fit holds."""

import numpy as np
import pytest

import brim

DATA = brim.load_data("sleepstudy")
ASKED = {"chains": 1, "iter": 150, "seed": 1, "progress": False}
FORMULA = "Reaction ~ Days + (1 | Subject)"


@pytest.fixture(scope="module")
def fits():
    return [brim.brm(FORMULA, DATA, **ASKED, keep=keep) for keep in ("all", "parameters", ["r_Subject"])]


def test_long_vectors_are_kept_on_request(fits, tmp_path):
    every, few, named = fits
    assert few.variables() == [v for v in every.variables() if not v.startswith("r_")]
    np.testing.assert_array_equal(few.as_draws_df(), every.as_draws_df()[few.as_draws_df().columns])
    assert named.variables() == every.variables()
    few.save(tmp_path / "fit.nc")
    assert brim.load(tmp_path / "fit.nc").variables() == few.variables()
    assert few.fixef().equals(every.fixef())
    assert str(few.summary().random["Subject"]) == str(every.summary().random["Subject"])


def test_what_needs_draws_that_were_not_kept_says_so(fits):
    few = fits[1]
    for ask in (few.ranef, few.coef, few.posterior_epred, few.loo):
        with pytest.raises(brim.BrimError, match="the draws of r_Subject were not kept"):
            ask()
    one = {"Days": [1.0], "Subject": ["308"]}
    np.testing.assert_array_equal(few.posterior_epred(one, re_formula=False), fits[0].posterior_epred(one, re_formula=False))
    assert "Days" in few.conditional_effects()


@pytest.mark.parametrize(("keep", "says"), [("some", "keep = 'some'"), (["r_subject"], "did you mean 'r_Subject'"), (1, "keep = 1")])
def test_wrong_names(keep, says):
    with pytest.raises(brim.BrimError, match=says):
        brim.brm(FORMULA, DATA, **ASKED, keep=keep)
