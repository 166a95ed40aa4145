"""comparisons, slopes, predictions against closed forms, numerical integration, and each other."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import expit

import brim

RNG = np.random.default_rng(5)
ROWS = pd.DataFrame({"x": RNG.normal(size=60), "f": np.tile(["a", "b", "c"], 20), "g": np.repeat([f"g{i}" for i in range(12)], 5)})
ROWS["t"] = np.arange(60) % 2
ROWS["y"] = RNG.normal(size=60)
ROWS["k"] = RNG.integers(0, 2, 60)
ROWS["o"] = RNG.integers(1, 4, 60)


@cache
def drawn(formula, family="gaussian", n=20):
    """A model with made-up draws."""
    fit = brim.brm(formula, ROWS, family=family, empty=True)
    rng = np.random.default_rng(6)
    columns = {}
    for v in fit.variables():
        base = rng.normal(size=n) * 0.7
        columns[v] = np.exp(base) if v.startswith(("sd_", "sigma", "disc")) else np.tanh(base) if v.startswith("cor_") else base
    if "b_Intercept[1]" in columns:
        columns |= {"b_Intercept[1]": columns["b_Intercept[1]"] - 1, "b_Intercept[2]": columns["b_Intercept[1]"] + 1}
    return fit.with_draws(pd.DataFrame(columns))


def value(fit, name):
    return fit.draws[name].ravel()


def test_linear_mixed_model():
    """The contrast is the coefficient, the slope too, in every row and for every treatment of group effects."""
    fit = drawn("y ~ x + f + (1 + x | g)")
    for re in ("population", "integrated"):
        draws = fit.comparisons("x", re=re, summary=False)
        np.testing.assert_allclose(draws, np.repeat(value(fit, "b_x")[:, None], 60, axis=1), atol=1e-10)
        np.testing.assert_allclose(fit.avg_slopes("x", re=re, summary=False)[:, 0], value(fit, "b_x"), rtol=1e-6)
    table = fit.avg_comparisons("f", re="population")
    assert table[["term", "contrast"]].to_numpy().tolist() == [["f", "b - a"], ["f", "c - a"]]
    np.testing.assert_allclose(table["estimate"], [value(fit, "b_fb").mean(), value(fit, "b_fc").mean()], rtol=1e-10)
    np.testing.assert_allclose(table["std_error"], [value(fit, "b_fb").std(ddof=1), value(fit, "b_fc").std(ddof=1)], rtol=1e-10)
    conditional = fit.comparisons("x", re="conditional", summary=False)
    effects = np.stack([value(fit, f"r_g[g{i},x]") for i in range(12)], axis=1)
    np.testing.assert_allclose(conditional, value(fit, "b_x")[:, None] + np.repeat(effects, 5, axis=1), atol=1e-10)


@pytest.mark.parametrize("formula", ["k ~ x + (1 | g)", "k ~ x + (1 + x | g)"])
def test_integrated_logistic(formula):
    """Against numerical integration over the law of the group effects."""
    fit = drawn(formula, "bernoulli")
    grid = brim.datagrid(fit, x=[-1.0, 0.5])
    mine = fit.predictions(grid, re="integrated", summary=False)
    for s in range(20):
        for i, x in enumerate((-1.0, 0.5)):
            sd = value(fit, "sd_g__Intercept")[s]
            if "1 + x" in formula:
                sx, cor = value(fit, "sd_g__x")[s], value(fit, "cor_g__Intercept__x")[s]
                sd = np.sqrt(sd**2 + x**2 * sx**2 + 2 * x * cor * sd * sx)
            eta = value(fit, "b_Intercept")[s] + x * value(fit, "b_x")[s]
            exact = integrate.quad(lambda u, eta=eta, sd=sd: expit(eta + sd * u) * stats.norm.pdf(u), -9, 9, epsabs=1e-11)[0]
            np.testing.assert_allclose(mine[s, i], exact, atol=1e-8)


def test_integrated_poisson_is_lognormal():
    fit = drawn("k ~ x + (1 | g) + (1 | f)", "poisson")
    mine = fit.predictions(brim.datagrid(fit, x=0.0), re="integrated", summary=False)[:, 0]
    v = value(fit, "sd_g__Intercept") ** 2 + value(fit, "sd_f__Intercept") ** 2
    np.testing.assert_allclose(mine, np.exp(value(fit, "b_Intercept") + v / 2), rtol=1e-5)


def test_integrated_by_samples():
    """Effects in two predictors: averaged over samples of new groups."""
    fit = drawn(brim.bf("y ~ x + (1 | q | g)", "sigma ~ (1 | q | g)"))
    mine = fit.predictions(brim.datagrid(fit, x=1.0), re="integrated", summary=False)[:, 0]
    expected = value(fit, "b_Intercept") + value(fit, "b_x")
    np.testing.assert_allclose(mine, expected, atol=5 * value(fit, "sd_g__Intercept").max() / np.sqrt(200))


def test_measures():
    fit = drawn("k ~ x + t", "bernoulli")
    lo, hi = (
        expit(value(fit, "b_Intercept")[:, None] + value(fit, "b_t")[:, None] * t + np.outer(value(fit, "b_x"), ROWS["x"])) for t in (0, 1)
    )
    for name, expected in {
        "difference": hi - lo,
        "ratio": hi / lo,
        "lnratio": np.log(hi / lo),
        "lnor": np.repeat(value(fit, "b_t")[:, None], 60, axis=1),
        "lift": (hi - lo) / lo,
    }.items():
        np.testing.assert_allclose(fit.comparisons("t", comparison=name, summary=False), expected, rtol=1e-8, atol=1e-10)
    ratio = fit.avg_comparisons("t", comparison="ratio", summary=False)[:, 0]
    np.testing.assert_allclose(ratio, hi.mean(axis=1) / lo.mean(axis=1), rtol=1e-10)
    assert fit.avg_comparisons("t", comparison="ratio")["contrast"].tolist() == ["1 / 0"]
    odd = fit.comparisons("t", comparison=lambda a, b: a * b, summary=False)
    np.testing.assert_allclose(odd, hi * lo, rtol=1e-10)
    mu = expit(value(fit, "b_Intercept")[:, None] + np.outer(value(fit, "b_t"), ROWS["t"]) + np.outer(value(fit, "b_x"), ROWS["x"]))
    slope = mu * (1 - mu) * value(fit, "b_x")[:, None]
    np.testing.assert_allclose(fit.slopes("x", summary=False), slope, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(fit.slopes("x", slope="eyex", summary=False), slope / mu * ROWS["x"].to_numpy(), rtol=1e-5, atol=1e-8)


def test_contrasts():
    fit = drawn("y ~ x + f")
    b = value(fit, "b_x").mean()
    sd = ROWS["x"].std()
    expected = {
        "sd": ("(x + sd/2) - (x - sd/2)", sd * b),
        "2sd": ("(x + sd) - (x - sd)", 2 * sd * b),
        "iqr": ("Q3 - Q1", np.subtract(*ROWS["x"].quantile([0.75, 0.25])) * b),
        "minmax": ("Max - Min", np.ptp(ROWS["x"]) * b),
        2: ("+2", 2 * b),
        (0.5, 2): ("2 - 0.5", 1.5 * b),
    }
    for how, (label, estimate) in expected.items():
        row = fit.avg_comparisons({"x": list(how) if isinstance(how, tuple) else how}).iloc[0]
        assert row["contrast"] == label
        np.testing.assert_allclose(row["estimate"], estimate, rtol=1e-10)
    assert fit.avg_comparisons({"f": "pairwise"})["contrast"].tolist() == ["b - a", "c - a", "c - b"]
    assert fit.avg_comparisons({"f": "sequential"})["contrast"].tolist() == ["b - a", "c - b"]
    assert fit.avg_comparisons({"f": "revreference"})["contrast"].tolist() == ["a - b", "a - c"]
    assert fit.avg_comparisons({"f": "minmax"})["contrast"].tolist() == ["c - a"]
    every = fit.avg_comparisons({"f": "all"}).set_index("contrast")["estimate"]
    assert len(every) == 6
    np.testing.assert_allclose(every["a - c"], -every["c - a"])


def test_standard_deviations_about_the_mean():
    """The two values are the same in every row, as marginaleffects has them: a curved function tells them from shifted rows."""
    fit = drawn("k ~ x", "poisson")
    a, b = (value(fit, v)[:, None] for v in ("b_Intercept", "b_x"))
    mean, sd = ROWS["x"].mean(), ROWS["x"].std()
    for how, half in (("sd", sd / 2), ("2sd", sd)):
        expected = np.exp(a + b * (mean + half)) - np.exp(a + b * (mean - half))
        np.testing.assert_allclose(fit.comparisons({"x": how}, summary=False), np.repeat(expected, len(ROWS), axis=1), rtol=1e-10)


def test_by_and_grids():
    fit = drawn("y ~ x * f")
    table = fit.avg_predictions(by="f")
    mu = fit.posterior_epred().mean(axis=0)
    np.testing.assert_allclose(table["estimate"], [mu[ROWS["f"] == level].mean() for level in "abc"], rtol=1e-10)
    assert table["f"].tolist() == ["a", "b", "c"]
    means = fit.emmeans("f")
    assert means["f"].tolist() == ["a", "b", "c"]
    at = fit.posterior_epred(pd.DataFrame({"x": [ROWS["x"].mean()] * 3, "f": list("abc")})).mean(axis=0)
    np.testing.assert_allclose(means["estimate"], at, rtol=1e-10)
    grid = brim.datagrid(fit, grid_type="counterfactual", f=["a", "b"])
    assert len(grid) == 120
    assert list(brim.datagrid(fit, x=lambda v: [v.min(), v.max()], f=["c"])["f"]) == ["c", "c"]


def test_categories():
    """A row for each category, whose changes sum to 0."""
    fit = drawn("o ~ x", "cumulative")
    table = fit.avg_comparisons("x")
    assert table["group"].tolist() == ["1", "2", "3"]
    assert abs(table["estimate"].sum()) < 1e-12


def test_hypotheses_between_rows():
    """Computed draw by draw, with marginaleffects' labels and signs."""
    fit = drawn("y ~ x + f")
    b = {c: value(fit, f"b_{c}") for c in ("x", "fb", "fc")}
    equal = fit.avg_comparisons("f", hypothesis="b1 = b2")
    assert list(equal.columns) == ["term", "estimate", "std_error", "conf_low", "conf_high"]
    assert equal["term"].tolist() == ["b1=b2"]
    expected = [(d := b["fb"] - b["fc"]).mean(), d.std(ddof=1), *np.quantile(d, [0.05, 0.95])]
    table = fit.avg_comparisons("f", hypothesis="b1 - b2 = 0", conf_level=0.9)
    np.testing.assert_allclose(table.iloc[0, 1:].to_numpy(float), expected, rtol=1e-9)
    ratio = fit.avg_comparisons(["f", "x"], hypothesis=["b3 / (b1 + 2) = 1", "exp(b2) = b1^2"], summary=False)
    np.testing.assert_allclose(ratio, np.stack([b["x"] / (b["fb"] + 2) - 1, np.exp(b["fc"]) - b["fb"] ** 2], axis=1), rtol=1e-9)
    terms = fit.avg_slopes(["x", "f"], hypothesis="b1 = 2 * b3", summary=False)
    np.testing.assert_allclose(terms[:, 0], b["x"] - 2 * b["fc"], atol=1e-7)
    named = drawn("y ~ x + t")
    found = named.avg_comparisons(hypothesis="x = 2 * t", summary=False)[:, 0]
    np.testing.assert_allclose(found, value(named, "b_x") - 2 * value(named, "b_t"), atol=1e-9)


def test_ways_to_compare_rows():
    fit = drawn("y ~ x + f")
    rows = fit.avg_predictions(by="f", summary=False)
    a, b, c = rows.T
    ways = {
        "reference": ([b - a, c - a], ["Row 2 - Row 1", "Row 3 - Row 1"]),
        "sequential": ([b - a, c - b], ["Row 2 - Row 1", "Row 3 - Row 2"]),
        "pairwise": ([a - b, a - c, b - c], ["Row 1 - Row 2", "Row 1 - Row 3", "Row 2 - Row 3"]),
        "revreference": ([a - b, a - c], ["Row 1 - Row 2", "Row 1 - Row 3"]),
        "revsequential": ([a - b, b - c], ["Row 1 - Row 2", "Row 2 - Row 3"]),
        "revpairwise": ([b - a, c - a, c - b], ["Row 2 - Row 1", "Row 3 - Row 1", "Row 3 - Row 2"]),
    }
    for how, (expected, labels) in ways.items():
        table = fit.avg_predictions(by="f", hypothesis=how)
        assert table["term"].tolist() == labels
        np.testing.assert_allclose(table["estimate"], np.mean(expected, axis=1), rtol=1e-12)
        np.testing.assert_allclose(fit.avg_predictions(by="f", hypothesis=how, summary=False).T, expected, rtol=1e-12)
    weights = np.array([[1.0, 0.5], [-1.0, 0.5], [0.0, -1.0]])
    table = fit.avg_predictions(by="f", hypothesis=weights)
    assert table["term"].tolist() == ["H1", "H2"]
    np.testing.assert_allclose(table["estimate"], [(a - b).mean(), ((a + b) / 2 - c).mean()], rtol=1e-9)
    table = fit.avg_predictions(by="f", hypothesis=0.5)
    pd.testing.assert_frame_equal(table.drop(columns="p_direction"), fit.avg_predictions(by="f"))
    np.testing.assert_array_equal(table["p_direction"], np.maximum((rows > 0.5).mean(axis=0), (rows < 0.5).mean(axis=0)))
    assert fit.emmeans("f", hypothesis="reference")["term"].tolist() == ["Row 2 - Row 1", "Row 3 - Row 1"]


def test_rows_of_hypotheses_are_those_of_the_table():
    """Categories are rows of their own, in the order in which they are shown."""
    fit = drawn("o ~ x + t", "cumulative")
    for call in (fit.avg_comparisons, fit.avg_slopes, lambda **k: fit.predictions(fit.datagrid(x=[-1, 0, 2]), **k)):
        shown, n = call(), len(call())
        picked = call(hypothesis=np.eye(n))
        np.testing.assert_allclose(picked["estimate"], shown["estimate"], rtol=1e-12)
        np.testing.assert_allclose(call(hypothesis=[f"b{i + 1} = 0" for i in range(n)])["estimate"], shown["estimate"], rtol=1e-12)
        assert len(call(hypothesis=0)["p_direction"]) == n


@pytest.mark.parametrize(
    ("hypothesis", "message"),
    [
        ("b1 = b9", "there is no variable 'b9'"),
        ("b1 > b2", "is no equation"),
        ("b1 >= b2", "is no equation"),
        ("b1 = b2 = 0", "is no equation"),
        ("b1 - b2", "is no equation"),
        ("pairwize", "did you mean 'pairwise'"),
        (np.ones(3), r"weights of shape \(3,\) for 2 rows"),
        (True, "for 2 rows"),
        ({"a": 1}, "for 2 rows"),
        ([], "for 2 rows"),
    ],
)
def test_refused_hypotheses(hypothesis, message):
    with pytest.raises(brim.BrimError, match=message):
        drawn("y ~ x + f").avg_comparisons("f", hypothesis=hypothesis)


def test_refused_numbers_of_rows():
    fit = drawn("y ~ x + f")
    with pytest.raises(brim.BrimError, match="60 rows are 1770 pairs"):
        fit.predictions(hypothesis="pairwise")
    with pytest.raises(brim.BrimError, match="there is one"):
        fit.avg_comparisons("x", hypothesis="reference")
    data = ROWS.assign(b1=ROWS["x"], b2=ROWS["t"])
    empty = brim.brm("y ~ b1 + b2", data, empty=True)
    made = empty.with_draws(pd.DataFrame({v: np.linspace(0.1, 1, 5) for v in empty.variables()}))
    with pytest.raises(brim.BrimError, match="b1 is row 1, and the term of row 2"):
        made.avg_comparisons(["b2", "b1"], hypothesis="b1 = 0")
    assert made.avg_comparisons(["b1", "b2"], hypothesis="b1 = b2")["estimate"].item() == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda fit: fit.comparisons("z"), "no variable 'z'"),
        (lambda fit: fit.comparisons("x", comparison="ratios"), "did you mean 'ratio'"),
        (lambda fit: fit.predictions(re="marginal"), "re = 'marginal'"),
        (lambda fit: fit.predictions(by="h"), "no column 'h'"),
        (lambda fit: fit.datagrid(z=1), "no variable 'z'"),
        (lambda fit: fit.comparisons({"f": ["a", "d"]}), "not a level"),
        (lambda fit: fit.comparisons({"x": [1, 2, 3]}), "has 3 values"),
    ],
)
def test_refused(call, message):
    with pytest.raises(brim.BrimError, match=message):
        call(drawn("y ~ x + f"))
