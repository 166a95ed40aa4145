"""``subset=``, ``contrasts=``, ``na_action=``, ``start=`` of the classical fits: numbers of lme4 1.1-31, stopped at 1e-12."""

import numpy as np
import pandas as pd
import pytest

import brim

CAKE, SLEEP = "angle ~ recipe * temperature + (1 | replicate)", "Reaction ~ Days + (Days | Subject)"


def cake(formula, **arguments):
    return brim.lmer(formula, brim.load_data("cake"), **arguments)


@pytest.mark.parametrize(
    ("contrasts", "criterion", "beta"),
    [
        ({"recipe": "contr.sum"}, 1621.9904962728, {"recipe1": 1.0, "recipe2": -0.4777777778, "recipe2:temperature^5": 0.0993906577}),
        (
            {"recipe": "sum", "temperature": "contr.helmert"},
            1656.0907251372,
            {"recipe1": 1.0, "temperature4": 1.0922222222, "recipe2:temperature5": 0.0777777778},
        ),
    ],
)
def test_named_contrasts_are_lme4s(contrasts, criterion, beta):
    fit = cake(CAKE, contrasts=contrasts)
    assert fit.criterion == pytest.approx(criterion, abs=1e-6)
    assert fit.fixef()["Estimate"][list(beta)].to_dict() == pytest.approx(beta, abs=1e-6)
    row = brim.load_data("cake").iloc[:3]
    assert fit.predict(row) == pytest.approx(cake(CAKE).predict(row), abs=1e-6)  # learned once: new rows are coded alike


def test_matrices_are_contrasts_and_leave_group_terms_alone():
    fit = cake("angle ~ recipe + (1 | replicate)", contrasts={"recipe": [1, -0.5, -0.5]})
    assert fit.names == ("(Intercept)", "recipe1")
    assert fit.criterion == pytest.approx(1733.2913217181, abs=1e-6)
    assert fit.anova(type="III", ddf="Satterthwaite").table["NumDF"].tolist() == [1]
    table = pd.DataFrame({"u": [-0.5, -0.5, 1.0], "v": [1.0, -1.0, 0.0]}, index=["B", "C", "A"])
    fit = cake("angle ~ recipe + (recipe | replicate)", contrasts={"recipe": table})
    assert fit.criterion == pytest.approx(1723.2004387059, abs=1e-6)
    assert fit.fixef()["Estimate"].to_dict() == pytest.approx({"(Intercept)": 32.1222222, "recipeu": 1.0, "recipev": 0.0222222}, abs=1e-6)
    assert list(fit.ranef()["replicate"].columns) == ["(Intercept)", "recipeB", "recipeC"]
    assert fit.drop1().table["npar"].tolist()[1] == 2


def test_rows_are_chosen_by_expression_or_mask():
    rows = brim.load_data("sleepstudy")
    fit = brim.lmer(SLEEP, rows, subset="Days > 2", na_action="na.fail", verbose=0)
    assert fit.nobs() == 126
    assert fit.criterion == pytest.approx(1238.79900791, abs=1e-6)
    assert fit.beta == pytest.approx([247.70208056, 11.06321171], abs=1e-6)
    days = np.asarray(rows["Days"])
    assert brim.lmer(SLEEP, rows, subset=days > 2, weights=np.ones(180)).criterion == pytest.approx(fit.criterion, abs=1e-9)
    nullable = pd.array([None, *(days[1:] > 2)], dtype="boolean")
    assert brim.lmer(SLEEP, rows, subset=nullable).nobs() == 126
    fit = brim.lmer(
        "Reaction ~ factor(Days) + (1 | Subject)",
        rows,
        subset="Days > 2 & Reaction < 400",
        contrasts={"factor(Days)": "contr.poly"},
    )
    assert fit.criterion == pytest.approx(1105.84521572, abs=1e-6)
    assert fit.fixef()["Estimate"]["factor(Days).Q"] == pytest.approx(6.61396443, abs=1e-6)


def test_generalized_and_nonlinear_models_take_them_too():
    call = "cbind(incidence, size - incidence) ~ period + (1 | herd)", brim.load_data("cbpp")
    chosen = {"subset": 'period != "4"', "contrasts": {"period": "contr.sum"}}
    fit = brim.glmer(*call, **chosen)
    assert fit.criterion == pytest.approx(161.10637, abs=1e-5)
    assert fit.beta == pytest.approx([-2.109695, 0.696591, -0.280167], abs=2e-5)
    again = brim.glmer(*call, **chosen, start={"theta": [2.0], "fixef": [0.0, 0.0, 0.0]})
    assert again.criterion == pytest.approx(fit.criterion, abs=1e-7)
    start = {"Asym": 200, "xmid": 725, "scal": 350}
    fit = brim.nlmer("circumference ~ SSlogis(age, Asym, xmid, scal) ~ Asym | Tree", brim.load_data("orange"), start, subset="age > 200")
    assert fit.nobs() == 30
    assert fit.criterion == pytest.approx(231.18032720882, abs=1e-4)  # lme4's stop


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"contrasts": {"recipes": "contr.sum"}}, "did you mean 'recipe'"),
        ({"contrasts": {"replicate": "contr.sum"}}, "no factor of the population-level terms"),
        ({"contrasts": {"temp": "contr.sum"}}, "which is numeric"),
        ({"contrasts": {"recipe": "contr.summ"}}, "contr.sum"),
        ({"contrasts": {"recipe": np.eye(3)}}, "up to 2 columns"),
        ({"contrasts": {"recipe": [1.0, 1.0, 1.0]}}, "singular"),
        ({"contrasts": {"recipe": pd.DataFrame({"u": [1, 2, 3]}, index=["A", "B", "D"])}}, "the levels are A, B, C"),
        ({"contrasts": "contr.sum"}, "give a mapping"),
        ({"contrasts": {1: "contr.sum"}}, "factors there: recipe"),
        ({"subset": "temp"}, "no logical expression"),
        ({"subset": "temp > 1000"}, "keeps no row"),
        ({"subset": [True, False]}, "True/False for each of the 270 rows"),
        ({"subset": np.arange(270)}, "True/False for each of the 270 rows"),
        ({"na_action": "na.exclude"}, "na.omit"),
        ({"start": {"thet": 1.0}}, "theta"),
    ],
)
def test_what_is_wrong_says_what_to_do(arguments, what):
    with pytest.raises(brim.BrimError) as error:
        cake("angle ~ recipe + temp + (1 | replicate)", **arguments)
    assert what in f"{error.value}"


def test_missing_values_fail_where_asked():
    rows = brim.load_data("sleepstudy").copy()
    rows.loc[4, "Reaction"] = np.nan
    assert brim.lmer(SLEEP, rows).nobs() == 179
    with pytest.raises(brim.BrimError, match="missing values in row"):
        brim.lmer(SLEEP, rows, na_action="na.fail")
    assert brim.lmer(SLEEP, rows, na_action="na.fail", subset="Days > 4").nobs() == 90


def test_contrasts_beside_the_formula_do_not_reach_the_bayesian_fit():
    with pytest.raises(brim.BrimError, match=r"C\(recipe, contr.sum\)"):
        cake("angle ~ recipe + (1 | replicate)", contrasts={"recipe": "contr.sum"}).to_bayes(empty=True)
