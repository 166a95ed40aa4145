"""Arguments of another type or range, and unknown ones, end in brim's error wherever they are given."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import arguments
from fits import random_draws

pytestmark = pytest.mark.default_precision

SEEDS = (-1, "a", 1.5, 2**70, [1, 2], True, np.nan, np.random.default_rng(1), np.array([1]))
NUMBERS = {
    "chains": (0, 1.5, "4", True, None, [4]),
    "iter": (0, "2000", np.nan, np.inf),
    "warmup": (-1, 0.5, "a"),
    "thin": (0, 2.5),
    "cores": (0, 1.5, "all"),
    "control": ([1], "adapt_delta", {"adapt_delta": 1}, {"adapt_delta": True}, {"max_treedepth": 2.5}, {1: 2}),
    "sample_prior": ("ja", 2, None),
    "algorithm": ("nuts2", 3),
    "progress": ("no", None),
    "empty": (1,),
    "file": (3, b"x", ""),
    "file_refit": ("sometimes", None),
    "seed": SEEDS,
}


@pytest.mark.parametrize("name", NUMBERS)
def test_arguments_of_brm(name):
    for value in NUMBERS[name]:
        with pytest.raises(brim.BrimError):
            brim.brm("dist ~ speed", {"dist": [1.0, 2, 4], "speed": [1.0, 2, 3]}, **{"empty": True, name: value})


def test_numbers_of_other_types_mean_what_they_say():
    fit = brim.brm(
        "y ~ x", {"y": [1.0, 2, 4], "x": [1.0, 2, 3]}, chains=np.int32(2), iter=1e3, thin=2.0, seed=np.uint64(7), empty=True,
        control={"max_treedepth": np.int64(8), "adapt_delta": np.float32(0.9)},
    )  # fmt: skip
    assert (fit.settings.chains, fit.settings.iter, fit.settings.warmup, fit.settings.thin, fit.settings.seed) == (2, 1000, 500, 2, 7)


AFTER = {
    "posterior_predict": ("seed", "ndraws", "draw_ids"),
    "posterior_epred": ("seed", "ndraws", "draw_ids"),
    "posterior_linpred": ("ndraws", "draw_ids"),
    "log_lik": ("ndraws", "draw_ids", "seed"),
    "fitted": ("ndraws", "draw_ids"),
    "predict": ("seed", "ndraws"),
    "residuals": ("ndraws",),
    "predictive_error": ("seed",),
    "conditional_effects": ("seed", "ndraws", "draw_ids"),
    "pp_check": ("seed", "ndraws", "draw_ids"),
}
WRONG = {
    "seed": SEEDS,
    "ndraws": ("a", True, 2.5, 0, -1, 10**6, [3]),
    "draw_ids": ("a", "12", slice(0, 3), [1.5], [], -1, [0, -1], 10**6, [True, False], [[0, 1]], object(), {"a": 1}),
}


@pytest.mark.parametrize("method", AFTER)
def test_arguments_after_the_fit(method):
    fit = random_draws("y ~ x + (1 | g)")
    for name in AFTER[method]:
        for value in WRONG[name]:
            with pytest.raises(brim.BrimError):
                getattr(fit, method)(**{name: value})


def test_draws_by_position():
    fit = random_draws("y ~ x")
    whole = fit.posterior_epred()
    for ids, at in ((2, [2]), ([2, 0.0], [2, 0]), (range(2), [0, 1]), (np.array([3, 3]), [3, 3]), (pd.Series([1]), [1]), ({1}, [1])):
        np.testing.assert_array_equal(fit.posterior_epred(draw_ids=ids), whole[at])
    assert len(fit.posterior_epred(ndraws=2.0)) == 2


@pytest.mark.parametrize(
    ("call", "name", "hint"),
    [
        ("brm", "draws", "did you mean 'iter'"),
        ("brm", "random_seed", "did you mean 'seed'"),
        ("brm", "adapt_delta", "write control={'adapt_delta': 0.95}"),
        ("brm", "max_treedepth", "write control="),
        ("brm", "tune", "did you mean 'warmup'"),
        ("brm", "n_jobs", "did you mean 'cores'"),
        ("brm", "sed", "did you mean 'seed'"),
        ("brm", "zzz", "arguments: formula, data, family"),
        ("update", "random_seed", "did you mean 'seed'"),
        ("posterior_epred", "nsamples", "did you mean 'ndraws'"),
        ("posterior_epred", "re_form", "did you mean 're_formula'"),
        ("fitted", "ndraw", "did you mean 'ndraws'"),
        ("pp_check", "nsamples", "did you mean 'ndraws'"),
        ("conditional_effects", "probs", "prob=0.95 gives the interval"),
        ("ranef", "prob", "did you mean 'probs'"),
        ("summary", "probs", "prob=0.95 gives the interval"),
        ("default_prior", "famly", "did you mean 'family'"),
        ("predictions", "nsamples", "did you mean 'ndraws'"),
        ("comparisons", "robst", "did you mean 'robust'"),
        ("slopes", "conf_lvl", "did you mean 'conf_level'"),
    ],
)
def test_unknown_arguments_name_the_nearest(call, name, hint):
    of_package = call in ("brm", "default_prior")
    function = getattr(brim if of_package else random_draws("y ~ x + (1 | g)"), call)
    given = ("y ~ x", {"y": [1.0, 2.0], "x": [1.0, 2.0]}) if of_package else ()
    with pytest.raises(brim.BrimError, match=f"has no argument '{name}'") as error:
        function(*given, **{name: 1})
    assert hint in str(error.value)


def test_dialects_name_arguments_that_they_do_not_have():
    rows = brim.load_data("sleepstudy")
    fit = brim.lmer("Reaction ~ Days + (1 | Subject)", rows)
    for call in (fit.residuals, fit.summary, fit.VarCorr, fit.logLik, fit.predict):
        with pytest.raises(brim.BrimError, match="has no argument 'tipe'"):
            call(tipe="pearson")
    with pytest.raises(brim.BrimError, match="missing a required argument: 'data'"):
        brim.rstanarm.stan_glm("Reaction ~ Days")


def test_missing_and_surplus_arguments():
    with pytest.raises(brim.BrimError, match="missing a required argument: 'data'"):
        brim.brm("y ~ x")
    with pytest.raises(brim.BrimError, match="too many positional"):
        brim.brm("y ~ x", {"y": [1.0]}, "gaussian", None, "yes")


def test_addresses_of_priors():
    assert brim.prior("normal(0, 1)", coef=1) == brim.prior("normal(0, 1)", coef="1")
    assert brim.prior("normal(0, 1)", group=None, coef=np.int64(2)) == brim.prior("normal(0, 1)", coef="2")
    for name in ("coef", "group", "resp", "dpar", "nlpar"):
        for value in (1.5, True, object()):
            with pytest.raises(brim.BrimError, match=name):
                brim.prior("normal(0, 1)", **{name: value})
    for value in ("low", object(), float("nan")):
        with pytest.raises(brim.BrimError, match="lb = "):
            brim.prior("normal(0, 1)", lb=value)


def test_quantiles_and_probabilities():
    fit = random_draws("y ~ x + (1 | g)")
    for method in ("fixef", "ranef", "coef", "VarCorr", "posterior_summary", "fitted"):
        for probs in ("a", 2, (0.1, -0.1), None, [[0.1]], (np.nan,)):
            with pytest.raises(brim.BrimError, match="probs"):
                getattr(fit, method)(probs=probs)
    for prob in ("a", 1, 0, None, True, np.nan):
        with pytest.raises(brim.BrimError, match="prob"):
            fit.summary(prob=prob)
    assert list(fit.fixef(probs=0.5).columns) == ["Estimate", "Est.Error", "Q50"]


def test_help_shows_the_arguments():
    import inspect

    assert "random_seed" not in inspect.signature(brim.brm).parameters
    assert list(inspect.signature(brim.brm).parameters)[:4] == ["formula", "data", "family", "prior"]
    assert "ndraws" in inspect.signature(brim.Fit.posterior_epred).parameters


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(brim.BrimError) as error:
        arguments.whole("iter", pd.DataFrame({"a": range(100)}))
    assert len(str(error.value)) < 150


@pytest.mark.parametrize(
    ("function", "name", "hint"),
    [
        ("brm", "contrasts", "C(f, contr.sum)"),
        ("brm", "subset", "choose the rows before"),
        ("brm", "weights", "y | weights(w)"),
        ("lmer", "na.action", "did you mean 'na_action'"),
        ("lmer", "devFunOnly", "fit.search()"),
        ("glmer", "mustart", "'fixef'"),
    ],
)
def test_rs_arguments_beside_the_formula_have_their_place_named(function, name, hint):
    with pytest.raises(brim.BrimError) as error:
        getattr(brim, function)("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"), **{name: "x"})
    assert hint in f"{error.value}"
