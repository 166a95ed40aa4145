"""``subset=``, ``contrasts=``, ``na_action=`` of the ``stan_*`` functions: R's design matrices, scales of priors and densities."""

import pickle

import numpy as np
import pandas as pd
import pytest

import brim

rs = brim.rstanarm


def glm(**arguments):
    return rs.stan_glm("angle ~ recipe * temp", brim.load_data("cake"), empty=True, **arguments)


def test_rows_and_codes_are_those_of_r():
    """Scales 2.5 sd(y) / sd(x) over R's ``model.matrix``, ``dnorm`` at a point."""
    fit = glm(contrasts={"recipe": "contr.sum"}, subset="temp > 180", sparse=True, mean_PPD=True)
    names = ["(Intercept)", "recipe1", "recipe2", "temp", "recipe1:temp", "recipe2:temp", "sigma"]
    assert fit.variables() == names
    scales = [25.0253723101, 25.0253723101, 1.4448405440, 0.1217855378, 0.1217855378]
    assert fit.prior_summary()["prior"]["adjusted_scale"] == pytest.approx(scales, rel=1e-8)
    at = pd.DataFrame([[30, 1, -0.5, 0.02, 0.01, -0.01, 5]], columns=names)
    found = fit.with_draws(at).log_lik()[0, [0, 1, 2, 179]]
    assert found == pytest.approx([-4.314426446, -4.588826446, -2.596826446, -3.248376446], abs=1e-8)
    assert fit.call.formula == "angle ~ recipe * temp"
    assert pickle.loads(pickle.dumps(fit)).variables() == names


def test_group_terms_keep_their_codes_and_vectors_follow_the_rows():
    rows = brim.load_data("cake")
    weights = np.where(np.asarray(rows["temp"]) > 180, 2.0, 99.0)
    chosen = {"subset": np.asarray(rows["temp"]) > 180, "contrasts": {"recipe": "helmert"}, "na_action": "na.fail"}
    fit = rs.stan_lmer("angle ~ recipe + (recipe | replicate)", rows, weights=weights, empty=True, **chosen)
    assert fit.variables()[1:5] == ["recipe1", "recipe2", "b[(Intercept) replicate:1]", "b[recipeB replicate:1]"]
    assert fit.nobs() == 225
    assert set(fit.frame.numbers(".weights")) == {2.0}


def test_other_functions_take_them_too():
    rows = brim.load_data("cake")
    fit = rs.stan_aov("angle ~ recipe", rows, prior=rs.R2(0.3, "mean"), contrasts={"recipe": "contr.sum"}, empty=True)
    assert fit.variables()[:3] == ["(Intercept)", "recipe1", "recipe2"]
    fit = rs.stan_polr("rating ~ treat", brim.load_data("inhaler"), prior=rs.R2(0.3, "mean"), subset="period > 0", empty=True)
    assert fit.nobs() == 286


def test_new_data_are_chosen_from_again_where_the_choice_is_an_expression():
    fit, rows = glm(subset="temp > 180"), brim.load_data("cake")
    assert fit.update(newdata=rows, empty=True).nobs() == 225
    assert glm(subset=np.asarray(rows["temp"]) > 180).update(newdata=rows, subset=None, empty=True).nobs() == 270
    with pytest.raises(brim.BrimError, match="subset of their own"):
        glm(subset=np.asarray(rows["temp"]) > 180).update(newdata=rows, empty=True)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"contrasts": {"recip": "contr.sum"}}, "did you mean 'recipe'"),
        ({"contrasts": {"temp": "contr.sum"}}, "which is numeric"),
        ({"contrasts": {"recipe": np.eye(3)}}, "put the coded columns into the data"),
        ({"contrasts": {"recipe": "contr.sun"}}, "contr.sum"),
        ({"na_action": "na.pass"}, "na.omit"),
        ({"subset": "temp"}, "no logical expression"),
        ({"subset": [True]}, "True/False for each of the 270 rows"),
        ({"sparse": 2}, "True or False"),
    ],
)
def test_what_is_wrong_says_what_to_do(arguments, what):
    with pytest.raises(brim.BrimError) as error:
        glm(**arguments)
    assert what in f"{error.value}"


def test_missing_values_fail_where_asked():
    rows = brim.load_data("cake").copy()
    rows.loc[3, "angle"] = np.nan
    with pytest.raises(brim.BrimError, match="missing values in 1 row"):
        rs.stan_glm("angle ~ recipe", rows, na_action="na.fail", empty=True)
