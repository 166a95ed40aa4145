"""Smooths against brms and mgcv: bases, penalties, names and prior rows.

reference/smooths.json.gz holds, for each smooth below, ``Zs`` and ``Xs`` of ``standata(fit)`` and
``standata(fit, newdata = new, internal = TRUE)`` with ``fit = brm(y ~ <smooth>, data = data, empty = TRUE)`` (brms 2.18.0, mgcv
1.8-41); for ``te`` and ``ti``, which brms has not, the kernel ``X S^- X'`` with ``S = sum(lambda * S)`` and the null space of
``smoothCon(<smooth>, data, absorb.cons = TRUE)``, the kernel taken orthogonally to constant and null space.

Columns of ``Zs`` are determined up to sign, several unpenalised columns up to a linear map: compared are kernels and spaces.
"""

import jax
import numpy as np
import pandas as pd
import pytest

import brim
from brim.design.splines import places
from brim.design.splines.cubic import CubicRegression
from brim.design.splines.mixed import Single
from brim.design.splines.pspline import PSpline
from brim.design.splines.thinplate import ThinPlate
from brim.frames.frame import Frame
from brim.parameters.prior import prior
from references import data, draws, model, reference
from smooth_columns import columns

REFERENCE = reference("smooths")
TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}


def frame_of(columns):
    frame = pd.DataFrame(columns)
    return frame.assign(o=pd.Categorical(frame.o, ["lo", "mid", "hi"], ordered=True))


DATA, NEW = frame_of(REFERENCE["data"]), frame_of(REFERENCE["new"])


def term_of(fit, dpar="mu"):
    """The one smooth of a predictor."""
    predictor = fit.model.responses[0].predictor(dpar)
    (term,) = [t for t in predictor.terms if t.key.startswith("smooth")]
    return term


def smooth(text, **more):
    return brim.brm(f"y ~ {text}", data=DATA, empty=True, **more)


def close(mine, theirs):
    assert mine.shape == theirs.shape
    scale = np.abs(theirs).max() if theirs.size else 1.0
    np.testing.assert_allclose(mine / scale, theirs / scale, **TOLERANCE)


def matrix(values):
    values = np.array(values, dtype=float)
    return values if values.ndim == 2 else values.reshape(len(values), -1)


DETERMINED = [s for s in REFERENCE["brms"] if s != 's(x, g, bs = "fs", k = 5)']


@pytest.mark.parametrize("text", DETERMINED)
def test_basis_and_penalty_are_those_of_mgcv(text):
    ref = REFERENCE["brms"][text]
    term = term_of(smooth(text))
    (x, z), (x_new, z_new) = columns(term, DATA), columns(term, NEW)
    sizes = [matrix(part).shape[1] for part in ref["train"]["Zs"]]
    at = np.cumsum([0, *sizes])
    assert z.shape[1] == at[-1]
    for i, j, train, new in zip(at[:-1], at[1:], ref["train"]["Zs"], ref["new"]["Zs"], strict=True):
        train, new = matrix(train), matrix(new)
        close(z[:, i:j] @ z[:, i:j].T, train @ train.T)
        close(z_new[:, i:j] @ z[:, i:j].T, new @ train.T)
    theirs = matrix(ref["train"]["Xs"])
    assert x.shape == theirs.shape
    if theirs.size:
        turn = np.linalg.lstsq(x, theirs, rcond=None)[0]
        close(x @ turn, theirs)
        close(x_new @ turn, matrix(ref["new"]["Xs"]))


@pytest.mark.parametrize(
    "text", ["s(x)", "s(x, z)", 's(x, bs = "cr")', 's(x, bs = "cc")', "s(x, by = f, k = 5)", 's(g, bs = "re")', "t2(x, z)"]
)
def test_columns_have_the_order_and_scale_of_brms(text):
    """So that draws of brms differ in signs only."""
    ref = REFERENCE["brms"][text]["train"]
    x, z = columns(term_of(smooth(text)), DATA)
    close(np.abs(z), np.abs(np.hstack([matrix(part) for part in ref["Zs"]])))
    theirs = matrix(ref["Xs"])
    if theirs.size and text not in ("s(x, z)", "t2(x, z)"):
        close(np.abs(x), np.abs(theirs))
    close(np.mean(x**2, axis=0).sum(), np.mean(theirs**2, axis=0).sum()) if theirs.size else None


@pytest.mark.parametrize("text", list(REFERENCE["brms"]))
def test_names_of_unpenalised_coefficients(text):
    ref = REFERENCE["brms"][text]
    variables = [v for v in smooth(text).variables() if v.startswith("bs_")]
    assert variables == [f"bs_{name}" for name in ref["coefs"]]


def test_factor_smooth_up_to_the_rotation_of_lines():
    """mgcv turns constant and trend as rounding has it, which changes |X| and with it a factor common to all kernels."""
    ref = REFERENCE["brms"]['s(x, g, bs = "fs", k = 5)']["train"]["Zs"]
    _, z = columns(term_of(smooth('s(x, g, bs = "fs", k = 5)')), DATA)
    assert [matrix(part).shape[1] for part in ref] == [15, 5, 5]
    theirs, lines = matrix(ref[0]), np.hstack([matrix(ref[1]), matrix(ref[2])])
    ratio = np.trace(z[:, :15] @ z[:, :15].T) / np.trace(theirs @ theirs.T)
    assert 0.7 < ratio < 1.4
    close(z[:, :15] @ z[:, :15].T, ratio * theirs @ theirs.T)
    close(z[:, 15:] @ z[:, 15:].T, ratio * lines @ lines.T)
    np.testing.assert_allclose(z[:, 15:20].sum(axis=1), z[0, 15:20].sum())  # the constant comes first


@pytest.mark.parametrize("text", list(REFERENCE["mgcv"]))
def test_tensor_products_with_summed_penalties(text):
    """The prior covariance of the function at some smoothing parameters, outside the unpenalised space."""
    ref = REFERENCE["mgcv"][text]
    term = term_of(smooth(text))
    x, z = columns(term, DATA)
    key = term.key.replace("smooth", "sds")
    params = {key: 1 / np.sqrt(ref["lambda"][:2]), key.replace("sds", "zs"): np.ones(z.shape[1])}
    sd = np.asarray(term.transform(params, term.design(Frame.read(DATA)))[key.replace("sds", "s")])
    known = x if "by" in text else np.column_stack([np.ones(len(x)), x])
    rest = z * sd - known @ np.linalg.lstsq(known, z * sd, rcond=None)[0]
    close(rest @ rest.T, np.array(ref["kernel"]))
    null = matrix(ref["null"])
    close(x @ np.linalg.lstsq(x, null, rcond=None)[0], null)


# ---------------------------------------------------------------------------------------------------------------------
# Whole models


def signs(name):
    """What brms' draws of the coefficients are multiplied with to be coefficients of brim's columns."""
    ref = reference("smooth_bases")[name]
    empty, _ = model(name)
    x, z = columns(term_of(empty), empty.frame)
    theirs = np.hstack([matrix(ref["Xs"]), *map(matrix, ref["Zs"].values())])
    return np.sign(np.sum(np.hstack([x, z]) * theirs, axis=0))


@pytest.mark.default_precision
@pytest.mark.parametrize("name", ["s_tp", "s_group"])
def test_model(name):
    """Names, prior rows and, at brms' draws with signs turned, everything that brms computes."""
    ref = reference(f"models/{name}")
    empty, _ = model(name)
    mine = draws(ref)
    named = [v for v in empty.variables() if v.startswith(("bs_", "s_"))]
    with jax.enable_x64(True):
        turn = signs(name)
    mine[named] *= turn
    assert set(empty.variables()) == {*mine.columns, "lp__"}
    fields = ("prior", "class", "coef", "group", "lb")
    rows = {tuple(str(row[f] or "") for f in fields) for row in empty.prior_summary().to_dict("records")}
    assert rows == {tuple(str(row[f] or "") for f in fields) for row in ref["prior_summary"]}
    fit = empty.with_draws(mine)
    np.testing.assert_allclose(fit.log_prior(), ref["draws"]["lprior"], rtol=1e-6)
    np.testing.assert_allclose(fit.posterior_epred(), ref["epred"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(fit.log_lik(), ref["log_lik"], rtol=1e-6, atol=1e-6)


def test_names():
    """brm(bf(y ~ t2(x, z, by = f3, k = 4) + s(x, g, bs = "fs", k = 4) + s(g2, bs = "re") + s(z, by = w, k = 4),
    sigma ~ s(x, k = 4)), data = d, chains = 1, iter = 4): variables(fit) but for the coefficients' own numbers."""
    formula = 'y ~ t2(x, z, by = f3, k = 4) + s(x, g, bs = "fs", k = 4) + s(g2, bs = "re") + s(z, by = w, k = 4)'
    sim = data("sim").assign(f3=lambda d: d.f3.astype(str))
    fit = brim.brm(brim.bf(formula, "sigma ~ s(x, k = 4)"), data=sim, empty=True)
    levels = ("hi", "lo", "mid")
    bs = [f"bs_t2xz:f3{level}_{i}" for level in levels for i in (1, 2, 3)] + ["bs_sz:w_1", "bs_sz:w_2", "bs_sigma_sx_1"]
    sds = [f"t2xzf3{level}_{i}" for level in levels for i in (1, 2, 3)] + ["sxg_1", "sxg_2", "sxg_3", "sg2_1", "szw_1", "sigma_sx_1"]
    sizes = [4] * 9 + [18, 9, 9, 6, 2, 2]
    s = [f"s_{name}[{i + 1}]" for name, n in zip(sds, sizes, strict=True) for i in range(n)]
    assert list(fit.variables()) == ["b_Intercept", "b_sigma_Intercept", *bs, *(f"sds_{name}" for name in sds), *s, "lprior", "lp__"]
    rows = {(r["class"], r["coef"], r["dpar"]): (r["prior"], str(r["lb"])) for r in fit.prior_summary().to_dict("records")}
    assert rows["sds", "", ""] == ("student_t(3, 0, 2.5)", "0")
    assert rows["sds", "t2(x, z, by = f3, k = 4)", ""] == ("", "")
    assert rows["sds", "s(x, k = 4)", "sigma"] == ("", "")
    assert rows["b", "t2xz:f3hi_1", ""] == ("", "")


def test_prior_of_one_smooth():
    given = prior("exponential(1)", class_="sds", coef="s(x, k = 5)") + prior("normal(0, 3)", class_="b", coef="sz_1")
    fit = brim.brm("y ~ s(x, k = 5) + s(z, k = 5)", data=DATA, prior=given, empty=True)
    laws = {p.name: [(piece.law, piece.args) for piece in p.pieces] for p in fit.model.params}
    assert laws["sds_1"] == [("exponential", (1.0,))]
    assert laws["sds_2"][0][0] == "student_t"
    assert laws["bs_1"] == []
    assert laws["bs_2"] == [("normal", (0.0, 3.0))]


@pytest.mark.slow
@pytest.mark.default_precision
def test_posterior():
    """brm(accel ~ s(times), mcycle), 4 x 1000 draws of brms (reference/full/s_tp); coefficients up to sign."""
    ref = reference("full/s_tp")["summary"]
    fit = brim.brm("accel ~ s(times)", data=brim.load_data("mcycle"), seed=1, progress=False)
    mine = fit.posterior_summary()
    for i, name in enumerate(ref["variable"]):
        mean, sd = abs(mine.loc[name, "Estimate"]), mine.loc[name, "Est.Error"]
        assert abs(mean - abs(ref["mean"][i])) < 0.2 * ref["sd"][i], name  # 400 effective draws on either side: 0.07
        assert sd == pytest.approx(ref["sd"][i], rel=0.15), name


# ---------------------------------------------------------------------------------------------------------------------
# Properties


@pytest.mark.parametrize("text", ["s(x, k = 6)", 's(x, bs = "cr", k = 6)', 's(x, bs = "ps", k = 6)'])
def test_functions_go_on_linearly(text):
    term = term_of(smooth(text))
    beyond = pd.DataFrame({"x": [2.0, 3.0, 4.0, -3.0, -2.0, -1.0]})
    for part in columns(term, beyond):
        second = part[0::3] - 2 * part[1::3] + part[2::3]
        np.testing.assert_allclose(second, 0, atol=1e-7 * np.abs(part).max())


@pytest.mark.parametrize("text", ['s(x, bs = "cc", k = 6)', 's(x, bs = "cp", k = 6)'])
def test_cyclic_functions_are_periodic(text):
    low, high = DATA.x.min(), DATA.x.max()
    _, z = columns(term_of(smooth(text)), pd.DataFrame({"x": [low, high, low + 0.1, high + 0.1, low + 0.1 - 3 * (high - low)]}))
    np.testing.assert_allclose(z[0], z[1], atol=1e-12)
    np.testing.assert_allclose(z[2], z[3], atol=1e-12)
    np.testing.assert_allclose(z[2], z[4], atol=1e-12)


def test_smooths_sum_to_zero_and_multiply_by():
    x, z = columns(term_of(smooth("s(x)")), DATA)
    np.testing.assert_allclose(np.hstack([x, z]).sum(axis=0), 0, atol=1e-10)
    x, z = columns(term_of(smooth("s(x, by = w, k = 5)")), DATA)
    plain, _ = columns(term_of(smooth("s(x, by = one, k = 5)")), DATA)
    assert x.shape[1] == plain.shape[1] + 1
    twice = columns(term_of(smooth("s(x, by = w, k = 5)")), DATA.assign(w=2 * DATA.w))
    np.testing.assert_allclose(np.hstack(twice), 2 * np.hstack([x, z]))


def test_ordered_by_leaves_out_the_first_level():
    term = term_of(smooth("s(x, by = o, k = 4)"))
    assert term.levels == ("mid", "hi")
    x, z = columns(term, DATA)
    assert not np.hstack([x, z])[DATA.o == "lo"].any()
    assert x[DATA.o == "mid"][:, 0].all()


def test_logical_by_is_a_factor():
    fit = brim.brm("y ~ s(x, by = b, k = 4)", data=DATA.assign(b=DATA.x > 0.5), empty=True)
    assert [v for v in fit.variables() if v.startswith("bs_")] == ["bs_sx:bFALSE_1", "bs_sx:bTRUE_1"]


def test_shrinkage_of_cubic_splines():
    """All eigenvalues but the two of lines stay; these are 0.1 and 0.01 of the smallest other one."""
    x = np.array(DATA.x)[:, None]
    plain, shrunk = (np.linalg.eigvalsh(CubicRegression(6, s).learn(x).penalty) for s in (False, True))
    np.testing.assert_allclose(shrunk, [0.01 * plain[2], 0.1 * plain[2], *plain[2:]], rtol=1e-9)


def test_few_eigenvectors_as_all(monkeypatch):
    """Lanczos' eigenvectors give the same kernels as LAPACK's."""
    x = np.random.default_rng(0).normal(size=(400, 2))
    every = Single(ThinPlate(20)).learn(x, np.ones(400)).columns(x)
    monkeypatch.setattr(places, "DENSE", 1000)
    some = Single(ThinPlate(20)).learn(x, np.ones(400)).columns(x)
    assert not np.array_equal(every, some)
    close(every[:, 2:] @ every[:, 2:].T, some[:, 2:] @ some[:, 2:].T)


def test_many_distinct_covariates():
    """Knots are a sample of them, the same one every time; the basis still holds smooth functions."""
    x = np.random.default_rng(0).uniform(size=(2500, 1))
    made = Single(ThinPlate(10)).learn(x, np.ones(2500))
    design = made.columns(x)
    np.testing.assert_array_equal(design, Single(ThinPlate(10)).learn(x, np.ones(2500)).columns(x))
    assert len(made.basis.knots) == 2000
    wave = np.sin(5 * x[:, 0])
    known = np.column_stack([np.ones(2500), design])
    assert np.std(wave - known @ np.linalg.lstsq(known, wave, rcond=None)[0]) < 5e-3


def test_pspline_penalises_differences():
    """A straight line of coefficients is a straight line, and costs nothing."""
    x = np.linspace(0, 1, 40)[:, None]
    basis = PSpline(8).learn(x)
    line = np.arange(8.0)
    assert line @ basis.penalty @ line == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(np.diff(basis.matrix(x) @ line, 2), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('t2(x, z, bs = "ps", m = list(c(2, 1), 2), k = 5)', 't2(x, z, bs = c("ps", "ps"), m = list(c(2, 1), c(2, 2)), k = c(5, 5))'),
        ('s(x, g, bs = "fs", xt = "cr", k = 4)', 's(x, g, bs = "fs", xt = list(bs = "cr"), k = 4)'),
        ("s(x, k = -1, m = NA, by = NULL)", "s(x)"),
        ("te(x, z)", 'te(x, z, bs = "cr", d = c(1, 1), k = 5, np = TRUE)'),
    ],
)
def test_arguments_in_other_words(one, other):
    for mine, same in zip(columns(term_of(smooth(one)), DATA), columns(term_of(smooth(other)), DATA), strict=True):
        np.testing.assert_array_equal(mine, same)


# ---------------------------------------------------------------------------------------------------------------------
# Errors


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("s(x):z", "a smooth cannot be part of an interaction"),
        ('s(x, bs = "tq")', "unknown basis 'tq'"),
        ("s(x, k = 80)", "distinct values of the covariates for k = 80"),
        ("s(g)", "g is a factor"),
        ('s(x, bs = "fs")', "needs one factor"),
        ('s(x, z, bs = "cr")', "is for one covariate"),
        ("s(x, z, m = 1)", "m = 1 is too small for a smooth of 2 covariates"),
        ('s(x, bs = "cr", m = 2)', "m has no meaning"),
        ("s(x) + s(x, k = 5)", "two smooths are called 'sx'"),
        ("t2(x, z, k = c(3, 4, 5))", "k has 3 values for 2 margins"),
        ("t2(x, z, d = 3)", "the dimensions d sum to 3"),
        ("s(x, k = w)", "w is not a number or a string"),
        ('te(x, z, bs = "ts")', "margins that leave a function without penalty"),
    ],
)
def test_errors(text, what):
    with pytest.raises(brim.BrimError, match=what) as error:
        smooth(text)
    assert "^" in str(error.value)  # the token is marked


def test_new_levels_are_refused():
    fit = smooth('s(x, by = f, k = 4) + s(g, bs = "re")')
    values = {v: [0.1] for v in fit.variables() if v not in ("lprior", "lp__")}
    fit = fit.with_draws(pd.DataFrame(values))
    for column in ("f", "g"):
        with pytest.raises(brim.BrimError, match=f"column '{column}' has a level"):
            fit.posterior_epred(NEW.assign(**{column: "other"}))


def test_small_k_is_raised():
    with pytest.warns(brim.BrimWarning, match="k = 2 of a smooth is raised to 3"):
        fit = smooth("s(x, k = 2)")
    assert sum(v.startswith("s_sx_1[") for v in fit.variables()) == 1
