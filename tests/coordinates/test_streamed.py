"""Data that are not in memory, and rows that are equal: the same model, density and draws as from all rows in memory."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import limits
from brim.coordinates import distinct
from brim.coordinates.base import Coordinates
from brim.coordinates.plan import Plan
from brim.fit.run import columns_read, coordinates
from lazy_data import ENGINES, rows, sources

FORMULAS = [
    "y ~ scale(x) * f + (1 + x | g)",
    "y | weights(w) ~ poly(x, 2) + offset(0.1 * x) + (1 | h / g)",
    "log(y + 90) ~ I(x - mean(x)) + factor(h) + cut(x, 3)",
    "y ~ 0 + f + x + (0 + f || g) + (1 | b)",
]


@pytest.fixture
def nothing_fits():
    before = limits.set_limits(values=1)
    yield
    limits.set_limits(values=before.values)


def both(formula, data, tmp_path, family="gaussian", engine="polars", **kwargs):
    """The model of data in memory, and of those in an engine."""
    pytest.importorskip(engine.partition("-")[0])
    memory = brim.brm(formula, data, family, **kwargs)
    streamed = brim.brm(formula, sources(data, tmp_path)[engine](), family, **kwargs)
    assert streamed.frame.reduced
    return memory, streamed


def assert_same_density(one, other):
    """Values and gradients of two densities at a point."""
    import jax

    assert one.dim == other.dim
    q = 0.3 * np.random.default_rng(1).normal(size=one.dim)
    (value, slope), (value2, slope2) = (jax.jit(jax.value_and_grad(t.log_prob))(q, t.data) for t in (one, other))
    np.testing.assert_allclose(value2, value, rtol=1e-12)
    np.testing.assert_allclose(slope2, slope, rtol=1e-10, atol=1e-10 * np.abs(slope).max())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_sums_from_each_engine_are_those_of_rows_in_memory(engine, tmp_path, nothing_fits):
    memory, streamed = both(FORMULAS[0], rows(1500), tmp_path, engine=engine, empty=True)
    assert memory.prior_summary().equals(streamed.prior_summary())
    assert (streamed.nobs(), streamed.ngrps()) == (1500, {"g": 30})
    one, other = (coordinates(fit).integral.data["integral"].sums for fit in (memory, streamed))
    for key, gram in one.gram.items():
        np.testing.assert_allclose(other.gram[key], gram, rtol=1e-12)
    np.testing.assert_allclose(other.cross[0][1:], one.cross[0][1:], rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(other.squares[1:, 1:], one.squares[1:, 1:], rtol=1e-12, atol=1e-9)
    assert (other.log_sigma, other.constant) == (one.log_sigma, one.constant)


@pytest.mark.parametrize("formula", [FORMULAS[0], *(pytest.param(f, marks=pytest.mark.slow) for f in FORMULAS[1:])])
def test_the_density_of_other_models_is_that_of_rows_in_memory(formula, tmp_path, nothing_fits):
    data = rows(900)
    data["x"][[5, 700]] = np.nan
    memory, streamed = both(formula, data, tmp_path, empty=True, control={"adapted_effects": False})
    assert memory.prior_summary().equals(streamed.prior_summary())
    assert streamed.nobs() == 898
    space = coordinates(memory)
    if space.plan.integrated is None or not space.plan.integrated.latents:  # without groups sums are taken of streamed rows only
        space = Coordinates.of(Plan(streamed.model), memory.frame)
    assert_same_density(space.target, coordinates(streamed).target)


def test_a_streamed_fit_has_the_draws_and_summaries_of_one_in_memory(tmp_path, nothing_fits):
    data = rows(3000)
    memory, streamed = both("y ~ x * f + b + (1 + x | g)", data, tmp_path, chains=2, iter=200, seed=1, progress=False)
    assert "3,000 rows as sums" in streamed.engine
    np.testing.assert_allclose(streamed.as_draws_df(), memory.as_draws_df(), rtol=1e-5, atol=1e-5)
    shown, shown2 = memory.conditional_effects(), streamed.conditional_effects()
    for name, table in shown.items():
        np.testing.assert_allclose(shown2[name].select_dtypes(float), table.select_dtypes(float), rtol=1e-5)
    some = streamed.sample_rows(40, seed=2)
    np.testing.assert_allclose(streamed.fitted(some), memory.fitted(some), rtol=1e-5)
    table, table2 = (fit.avg_comparisons(newdata=some) for fit in (memory, streamed))
    np.testing.assert_allclose(table2.select_dtypes(float), table.select_dtypes(float), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        brim.datagrid(streamed, f=["a", "b"]).select_dtypes(float), brim.datagrid(memory, f=["a", "b"]).select_dtypes(float)
    )
    for ask in (streamed.log_lik, streamed.loo, streamed.posterior_predict, streamed.pp_check, streamed.avg_slopes, streamed.bayes_R2):
        with pytest.raises(brim.BrimError, match=r"3,000 rows, which were reduced to sums(.|\n)*sample_rows"):
            ask()

    assert "not available" in str(brim.check(streamed))

    streamed.save(tmp_path / "fit.nc")
    loaded = brim.load(tmp_path / "fit.nc")
    assert loaded.as_draws_df().equals(streamed.as_draws_df())
    assert loaded.prior_summary().equals(streamed.prior_summary())
    assert loaded.nobs() == 3000
    assert_same_density(coordinates(loaded).target, coordinates(streamed).target)  # sums are in the file: it can be fitted again
    with pytest.raises(brim.BrimError, match="the rows of the data are not with the fit"):
        loaded.update("~ . - b", empty=True)
    assert streamed.update("~ . - b", empty=True).nobs() == 3000
    with_more = streamed.update("~ . + w", empty=True)  # a column that was not read before
    assert with_more.frame.whole.moments("w").mean == pytest.approx(data["w"].mean())


COUNTED = [
    ("b ~ k + f + (1 + k | g)", "bernoulli"),
    ("c ~ k + offset(log(e)) + (1 | g)", "poisson"),
    ("s | trials(t) ~ poly(k, 2) + (1 | g)", "binomial"),
    (brim.bf("c ~ k * f", "shape ~ scale(k)"), "negbinomial"),
    ("c ~ k + (1 | g)", "gaussian"),
]


def discrete(n):
    rng = np.random.default_rng(4)
    data = {"k": rng.integers(0, 5, n).astype(float), "g": rng.integers(0, 8, n), "f": rng.choice(list("ab"), n)}
    rate = np.exp(0.2 * data["k"] + rng.normal(size=8)[data["g"]] * 0.5)
    data |= {"c": rng.poisson(rate), "b": (rng.random(n) < rate / (1 + rate)).astype(int), "t": rng.integers(1, 4, n)}
    return data | {"s": data["b"] * data["t"], "e": rng.integers(1, 3, n).astype(float)}


@pytest.mark.parametrize(("formula", "family"), [COUNTED[0], *(pytest.param(*c, marks=pytest.mark.slow) for c in COUNTED[1:])])
def test_equal_rows_as_one_have_the_density_of_all(formula, family, tmp_path, nothing_fits, monkeypatch):
    monkeypatch.setattr(distinct, "LEAST", 1000)
    data = discrete(12_000)
    memory, streamed = both(formula, data, tmp_path, family, empty=True)
    assert memory.prior_summary().equals(streamed.prior_summary())
    assert streamed.nobs() == 12_000
    assert streamed.frame.n < 1300
    space = coordinates(memory)
    assert f"12,000 rows as {space.frame.n:,} distinct ones" in space.note
    every = Coordinates.of(Plan(memory.model), memory.frame).target
    assert_same_density(every, Coordinates.of(Plan(memory.model), space.frame).target)
    assert_same_density(every, Coordinates.of(Plan(streamed.model), streamed.frame).target)


def test_rows_that_are_tied_or_differ_stay_as_they_are(monkeypatch):
    monkeypatch.setattr(distinct, "LEAST", 100)
    data = discrete(400)
    for formula in ("c ~ k + ar(gr = g)", "c ~ gp(k)", "c ~ me(k, e)"):
        fit = brim.brm(formula, data, empty=True)
        assert distinct.distinct_rows(fit.model, fit.frame, ["c", "k", "g", "e"]) is fit.frame
    data["c"] = np.random.default_rng(1).normal(size=400)
    fit = brim.brm("c ~ k", data, empty=True)
    assert distinct.distinct_rows(fit.model, fit.frame, ["c", "k"]) is fit.frame


def test_a_counted_fit_has_what_does_not_need_each_row(tmp_path, nothing_fits):
    data = discrete(12_000)
    memory, streamed = both("b ~ k + f + (1 | g)", data, tmp_path, "bernoulli", chains=1, iter=200, seed=1, progress=False)
    np.testing.assert_allclose(streamed.as_draws_df(), memory.as_draws_df(), rtol=1e-4, atol=1e-4)
    for name, table in memory.conditional_effects().items():
        np.testing.assert_allclose(streamed.conditional_effects()[name].select_dtypes(float), table.select_dtypes(float), rtol=1e-4)
    rows = streamed.sample_rows(5000, seed=1)
    assert abs(rows["b"].mean() - data["b"].mean()) < 4 * 0.5 / np.sqrt(5000)
    with pytest.raises(brim.BrimError, match=r"12,000 rows, which were reduced to .* distinct ones"):
        streamed.loo()
    streamed.save(tmp_path / "fit.nc")
    assert brim.load(tmp_path / "fit.nc").nobs() == 12_000


@pytest.mark.parametrize(
    ("formula", "family", "says"),
    [
        ("y ~ s(x)", "gaussian", "s\\(x\\).* learns from all 900 rows"),
        (brim.bf("y ~ x", "sigma ~ x"), "gaussian", "needs each of 900 rows"),
        ("b ~ x + (1 | g)", "bernoulli", "needs each of 900 rows"),
        ("y ~ x + ar(gr = g)", "gaussian", "learns from"),
        ("y | subset(x > 3) ~ x", "gaussian", "filter the data before"),
        ("y ~ nowhere", "gaussian", "unknown column 'nowhere'"),
    ],
)
def test_models_that_need_each_row_say_so(formula, family, says, nothing_fits, tmp_path):
    pytest.importorskip("polars")
    data = sources(rows(900), tmp_path)["polars"]()
    with pytest.raises(brim.BrimError, match=says):
        brim.brm(formula, data, family, iter=20, progress=False)


def test_a_streamed_fit_resumes_from_its_checkpoint_without_the_data(tmp_path, nothing_fits):
    pytest.importorskip("polars")
    data = sources(rows(900), tmp_path)["polars"]()
    asked = {"chains": 1, "seed": 1, "progress": False}
    brim.brm("y ~ x + (1 | h:g)", data, iter=100, warmup=50, **asked, checkpoint=tmp_path / "chains")
    resumed = brim.resume(tmp_path / "chains", iter=150, progress=False)
    whole = brim.brm("y ~ x + (1 | h:g)", data, iter=150, warmup=50, **asked)
    assert resumed.as_draws_df().equals(whole.as_draws_df())


def test_priors_of_streamed_models_are_sampled(tmp_path, nothing_fits):
    pytest.importorskip("polars")
    data = sources(rows(900), tmp_path)["polars"]()
    prior = brim.prior("normal(0, 1)", class_="b")
    fit = brim.brm("y ~ x + (1 | g)", data, prior=prior, sample_prior="only", chains=1, iter=200, seed=1, progress=False)
    assert 0.5 < fit.as_draws_df("b_x")["b_x"].std() < 1.6


def test_functions_of_several_rows_are_refused(nothing_fits, tmp_path):
    pytest.importorskip("polars")
    data = sources(rows(900), tmp_path)["polars"]()
    assert brim.brm("y ~ twice(x)", data, data2={"twice": lambda x: 2 * x}, empty=True).nobs() == 900
    with pytest.raises(brim.BrimError, match="looks at several rows at once"):
        brim.brm("y ~ middle(x)", data, data2={"middle": lambda x: x - x.mean()}, empty=True)


def test_small_lazy_data_are_read_whole(tmp_path):
    pytest.importorskip("polars")
    fit = brim.brm("y ~ x", sources(rows(50), tmp_path)["polars-folder"](), empty=True)
    assert not fit.frame.reduced
    assert "w" in fit.frame


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("c | rate(e) ~ log(`a b`) + (1 | `g g`)", "poisson"),
        ("c | weights(w) + trunc(lb = low) ~ mo(t):f + (1 | gr(g, by = half))", "poisson"),
        ("x | cens(b, y2 = high) ~ s(k, by = f, k = 4) + (1 | mm(g, h, weights = cbind(w, e)))", "gaussian"),
        (brim.bf("c ~ a * k + d", "a ~ f", "d ~ 1 + (1 | g)", nl=True), "poisson"),
        (brim.bf("x ~ k", "sigma ~ offset(w) + e"), "gaussian"),
        ("o | thres(gr = f) ~ cs(k) + w", "sratio"),
    ],
)
def test_all_columns_that_a_model_reads_tell_rows_apart(formula, family):
    rng = np.random.default_rng(1)
    data = discrete(200)
    data |= {"a b": data["e"], "g g": data["g"], "w": rng.integers(1, 4, 200) * 1.0, "low": np.full(200, -1.0)}
    data |= {"x": rng.normal(size=200), "h": rng.integers(0, 8, 200), "half": np.where(data["g"] < 4, "u", "v")}
    data |= {"high": data["x"] + 1.0, "o": pd.Categorical(rng.integers(1, 4, 200), ordered=True), "unused": np.ones(200)}
    fit = brim.brm(formula, data, family, empty=True)
    names = columns_read(fit)
    assert "unused" not in names
    fit.model.data(fit.frame.select(names))  # reads no other
