"""Simulation-based calibration: its tests of ranks against SciPy, what it refuses, and (slow) ranks of every kind of model."""

import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import brim
from brim import bf, prior
from brim.parameters.simulate import prior_params
from brim.post.calibration.uniform import band, chi_square, ecdf_p

pytestmark = [pytest.mark.default_precision, pytest.mark.filterwarnings("ignore")]

N, GROUPS = 48, 8
RNG = np.random.default_rng(7)
X = RNG.normal(size=N)
DATA = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "z": RNG.normal(size=N),
        "n": np.arange(N) % 4,
        "b": np.arange(N) % 2,
        "p": RNG.beta(2, 2, size=N),
        "pos": RNG.gamma(2, 1, size=N),
        "o": np.arange(N) % 4 + 1,
        "c": np.array(["a", "b", "c"])[np.arange(N) % 3],
        "m1": 2,
        "m2": 3,
        "m3": 1,
        "size": 6,
        "x": X - X.mean(),
        "w": RNG.normal(size=N),
        "v": RNG.normal(size=N),
        "se": 0.3,
        "g": np.arange(N) % GROUPS,
        "h": np.arange(N) // (N // 6),
        "t": np.arange(N) // GROUPS,
        "d": np.arange(N) % 3 + 1,
    }
)
RING = pd.DataFrame(np.roll(np.eye(GROUPS), 1, axis=1) + np.roll(np.eye(GROUPS), -1, axis=1), index=[str(i) for i in range(GROUPS)])
NORMAL = prior("normal(0, 1)", class_="b") + prior("normal(0, 1)", class_="Intercept")
ONLY = prior("normal(0, 1)", class_="Intercept")
SD = prior("normal(0, 1)", class_="sd")
SIGMA = prior("gamma(4, 4)", class_="sigma")
INNER = sum((prior("normal(0, 0.5)", class_=c) for c in ("Intercept", "sd")), prior("normal(0, 0.5)", class_="b"))
DF = prior("gamma(4, 0.5)", class_="df", group="g")
TRUE_X = prior("normal(0, 1)", class_="meanme") + prior("gamma(4, 4)", class_="sdme")
CAREFUL = {"adapted_effects": False, "adapt_delta": 0.95}


def slopes(**address):
    """Standard normal coefficients and intercept of one predictor."""
    return prior("normal(0, 1)", class_="b", **address) + prior("normal(0, 1)", class_="Intercept", **address)


MIXED = sum(
    (prior("normal(0, 2)", class_="Intercept", dpar=f"mu{i}") + prior("gamma(4, 4)", class_=f"sigma{i}") for i in (1, 2)),
    prior("dirichlet(3)", class_="theta"),
)


@dataclass(frozen=True)
class Case:
    """A model with proper priors; ``more``: further arguments of ``sbc``."""

    formula: Any
    prior: Any
    family: Any = "gaussian"
    more: dict[str, Any] = field(default_factory=dict)


#: Every kind of term, every class of family, every way to sample group effects.
CASES = {
    "gaussian, integrated": Case("y ~ x + (1 + x | g)", NORMAL + SD + SIGMA + prior("lkj(2)", class_="cor")),
    "gaussian, sampled": Case("y ~ x + (1 | g)", NORMAL + SD + SIGMA, more={"marginalize": False}),
    "student, sigma predicted": Case(
        bf("y ~ x + (1 | g)", "sigma ~ x"), NORMAL + SD + slopes(dpar="sigma") + prior("gamma(4, 0.5)", class_="nu"), "student"
    ),
    "student group effects": Case("y ~ x + (1 | gr(g, dist = 'student'))", NORMAL + SD + SIGMA + DF),
    "poisson": Case("n ~ x + (1 | g)", NORMAL + prior("normal(0, 0.7)", class_="sd"), "poisson"),
    "bernoulli, crossed": Case("b ~ x + (1 | g) + (1 | h)", NORMAL + SD, "bernoulli"),
    "bernoulli, not adapted": Case("b ~ x + (1 | g)", NORMAL + SD, "bernoulli", {"control": CAREFUL}),
    "negbinomial": Case("n ~ x", NORMAL + prior("gamma(4, 1)", class_="shape"), "negbinomial"),
    "binomial": Case("n | trials(size) ~ x + (1 | g)", NORMAL + SD, "binomial"),
    "beta_binomial": Case("n | trials(size) ~ x", NORMAL + prior("gamma(4, 0.5)", class_="phi"), "beta_binomial"),
    "cumulative": Case("o ~ x + (1 | g)", NORMAL + SD, "cumulative"),
    "sratio, category-specific": Case("o ~ w + cs(x)", NORMAL, "sratio"),
    "categorical": Case("c ~ x", slopes(dpar="mub") + slopes(dpar="muc"), "categorical"),
    "multinomial": Case("cbind(m1, m2, m3) | trials(size) ~ x", slopes(dpar="mum2") + slopes(dpar="mum3"), "multinomial"),
    "beta": Case("p ~ x + (1 | g)", INNER + prior("gamma(8, 0.5)", class_="phi"), "beta"),
    "gamma": Case("pos ~ x", NORMAL + prior("gamma(4, 2)", class_="shape"), brim.gamma("log")),
    "lognormal": Case("pos ~ x + (1 | g)", NORMAL + SD + SIGMA, "lognormal"),
    "weibull": Case("pos ~ x", NORMAL + prior("gamma(4, 2)", class_="shape"), "weibull"),
    "skew_normal": Case("y ~ x", NORMAL + SIGMA + prior("normal(0, 2)", class_="alpha"), "skew_normal"),
    "zero_inflated_poisson": Case("n ~ x", NORMAL + prior("beta(2, 2)", class_="zi"), "zero_inflated_poisson"),
    "hurdle_gamma": Case("pos ~ x", NORMAL + prior("gamma(4, 2)", class_="shape") + prior("beta(2, 2)", class_="hu"), "hurdle_gamma"),
    "mixture": Case("y ~ 1", MIXED, brim.mixture("gaussian", "gaussian", order="mu")),
    "smooth": Case("y ~ s(x, k = 6)", NORMAL + SIGMA + prior("normal(0, 2)", class_="sds")),
    "smooth, poisson": Case("n ~ s(x, k = 5)", NORMAL + prior("normal(0, 1)", class_="sds"), "poisson"),
    "gaussian process": Case("y ~ gp(x)", ONLY + SIGMA + prior("normal(0, 1)", class_="sdgp") + prior("inv_gamma(4, 1)", class_="lscale")),
    "monotonic": Case("y ~ mo(o)", NORMAL + SIGMA + prior("dirichlet(2)", class_="simo", coef="moo1")),
    "measurement error": Case("y ~ me(x, se)", NORMAL + SIGMA + TRUE_X),
    "multiple membership": Case("y ~ x + (1 | mm(g, h))", NORMAL + SD + SIGMA),
    "ar, covariance": Case("y ~ x + ar(t, gr = g, cov = TRUE)", NORMAL + SIGMA + prior("normal(0, 0.5)", class_="ar")),
    "ar, conditional": Case("y ~ x + ar(t, gr = g)", NORMAL + SIGMA + prior("normal(0, 0.5)", class_="ar")),
    "cosy": Case("y ~ x + cosy(t, gr = g)", NORMAL + SIGMA + prior("beta(2, 4)", class_="cosy")),
    "car": Case("y ~ x + car(W, gr = g)", NORMAL + SIGMA + prior("lognormal(0, 0.5)", class_="sdcar"), more={"data2": {"W": RING}}),
    "horseshoe": Case("y ~ x + w + v", ONLY + SIGMA + prior("horseshoe(3, par_ratio = 0.5)", class_="b")),
    "correlated responses": Case(
        bf("y ~ x") + bf("z ~ x") + brim.set_rescor(True),
        sum((slopes(resp=r) + prior("gamma(4, 4)", class_="sigma", resp=r) for r in ("z",)), slopes(resp="y"))
        + prior("gamma(4, 4)", class_="sigma", resp="y") + prior("lkj(2)", class_="rescor"),
    ),
    "nonlinear": Case(
        bf("y ~ a * exp(-k * pos)", "a ~ 1", "k ~ 1", nl=True),
        prior("normal(2, 1)", nlpar="a") + prior("normal(1, 0.5)", nlpar="k", lb=0) + SIGMA,
    ),
}  # fmt: skip
SIMPLE = Case("y ~ x", NORMAL + SIGMA)


def run(case, **more):
    return brim.sbc(case.formula, DATA, case.family, case.prior, **{"n_sims": 12, "draws": 19, "thin": 1, "seed": 1, **case.more, **more})


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 8), mp_context=get_context("spawn")) as executor:
        yield executor


# --------------------------------------------------------------------------- tests of ranks


def test_chi_square_is_scipys():
    ranks = np.random.default_rng(1).integers(0, 100, 200)
    counts = np.bincount(ranks // 5, minlength=20)
    assert chi_square(ranks, 99) == pytest.approx(stats.chisquare(counts).pvalue)


@pytest.mark.parametrize(("n", "draws"), [(50, 19), (200, 99), (30, 99)])
def test_the_band_holds_as_often_as_it_says(n, draws):
    """Of 2000 samples of uniform ranks: five standard errors."""
    at, low, high = band(n, draws, 0.9)
    ranks = np.random.default_rng(2).integers(0, draws + 1, (2000, n))
    below = (ranks[:, :, None] < np.round(at * (draws + 1))).mean(axis=1)
    inside = ((below >= low - 1e-12) & (below <= high + 1e-12)).all(axis=1).mean()
    assert 0.9 - 5 * 0.0067 < inside < 1.0
    p = np.array([ecdf_p(r, draws) for r in ranks[:400]])
    assert np.mean(p < 0.1) < 0.1 + 5 * 0.015
    assert np.mean(p < 0.5) > 0.3


@pytest.mark.parametrize(
    ("ranks", "verdict"),
    [
        (lambda rng: rng.integers(0, 100, 300), "ok"),
        (lambda rng: np.floor(100 * rng.beta(0.5, 0.5, 300)).astype(int), "posterior too narrow"),
        (lambda rng: np.floor(100 * rng.beta(2, 2, 300)).astype(int), "posterior too wide"),
        (lambda rng: np.floor(100 * rng.beta(2, 1, 300)).astype(int), "estimates too low"),
        (lambda rng: np.floor(100 * rng.beta(1, 2, 300)).astype(int), "estimates too high"),
    ],
)
def test_verdicts(ranks, verdict):
    from brim.post.calibration.result import SBC

    table = pd.DataFrame({"a": ranks(np.random.default_rng(3))})
    found = SBC(table, table, 99, pd.DataFrame({"divergent": [0], "ess": [99.0]}))
    assert found.summary()["verdict"].tolist() == [verdict]
    assert found.ok == (verdict == "ok")


# --------------------------------------------------------------------------- draws from the prior


def test_draws_from_the_prior_have_the_laws_they_say():
    """Kolmogorov and Smirnov's test against SciPy, of one correlation too: (r + 1) / 2 ~ beta(eta + k / 2 - 1, the same)."""
    given = prior("student_t(4, 1, 2)", class_="b", lb=0) + prior("lkj(2)", class_="cor") + prior("gamma(2, 3)", class_="sd") + ONLY + SIGMA
    fit = brim.brm("y ~ x + (1 + x + w | g)", DATA, prior=given, empty=True)
    draws = prior_params(fit.model.params, 4000, np.random.default_rng(1))
    law = stats.t(4, 1, 2)
    below = law.cdf(0)
    assert stats.kstest(draws["b"][:, 0], lambda x: (law.cdf(x) - below) / (1 - below)).pvalue > 1e-3
    assert stats.kstest(draws["sd_1"][:, 2], stats.gamma(2, scale=1 / 3).cdf).pvalue > 1e-3
    cor = draws["L_1"] @ np.swapaxes(draws["L_1"], 1, 2)
    np.testing.assert_allclose(np.diagonal(cor, axis1=1, axis2=2), 1.0)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert stats.kstest((cor[:, i, j] + 1) / 2, stats.beta(2.5, 2.5).cdf).pvalue > 1e-3


def test_places_are_drawn_given_their_precision():
    """``r' (D - a W) r / s^2 ~ chi_square(8)``; 0.001 is exceeded by a right sampler in 999 of 1000 seeds."""
    from brim.api.truth import drawn_from_prior

    record = brim.brm(
        "y ~ 1 + car(W, gr = g)", DATA, data2={"W": RING}, prior=ONLY + SIGMA + prior("lognormal(0, 0.5)", class_="sdcar"), empty=True
    )
    truth = drawn_from_prior(record, 500, 1)
    assert truth.how == "independent draws from the prior"
    r = truth.posterior.matrix(tuple(f"rcar[{i + 1}]" for i in range(GROUPS)))[0]
    a, s = truth.posterior["car"][0], truth.posterior["sdcar"][0]
    square = (2 * np.sum(r**2, axis=1) - a * np.sum(r * (r @ RING.to_numpy()), axis=1)) / s**2
    assert stats.kstest(square, stats.chi2(GROUPS).cdf).pvalue > 1e-3
    assert stats.kstest(s, stats.lognorm(0.5).cdf).pvalue > 1e-3


def test_thresholds_are_drawn_in_order():
    same = brim.brm("o ~ 1", DATA, "cumulative", prior=ONLY, empty=True)
    other = brim.brm("o ~ 1", DATA, "cumulative", prior=ONLY + prior("normal(1, 0.5)", class_="Intercept", coef="2"), empty=True)
    for fit in (same, other):
        (drawn,) = (v for k, v in prior_params(fit.model.params, 500, np.random.default_rng(1)).items() if v.shape[1:] == (3,))
        assert (np.diff(drawn, axis=1) > 0).all()


# --------------------------------------------------------------------------- the function


def test_ranks_and_what_goes_with_them():
    found = run(SIMPLE, n_sims=20)
    assert list(found.ranks.columns) == ["b_Intercept", "b_x", "sigma", "log_lik"]
    assert found.ranks.to_numpy().min() >= 0
    assert found.ranks.to_numpy().max() <= found.draws == 19
    assert found.info["prior_draws"] == "independent draws from the prior"
    assert "Prior SBC of y ~ x: 20 simulations, 19 draws each" in str(found)
    pd.testing.assert_frame_equal(run(SIMPLE, n_sims=20).ranks, found.ranks)
    for kind in ("ecdf", "hist"):
        assert len(found.plot(kind, ["b_x", "sigma"]).axes) == 2
    with pytest.raises(brim.BrimError, match="no ranks of 'b_z'"):
        found.plot(variables="b_z")
    # truth and estimates go together: ranks are those of the fitted variable, not of another
    few = run(SIMPLE, variables=["b_x"], n_sims=20)
    assert list(few.ranks.columns) == ["b_x"]
    assert (few.ranks["b_x"] == found.ranks["b_x"]).all()
    assert np.std(found.truth["b_x"]) == pytest.approx(1.0, abs=0.5)


def test_elsewhere_the_ranks_are_the_same():
    with ThreadPoolExecutor(2) as executor:
        pd.testing.assert_frame_equal(run(SIMPLE, executor=executor).ranks, run(SIMPLE).ranks)


def test_what_goes_to_workers_is_pickled(monkeypatch):
    import pickle

    from brim.api import sbc as module

    def sent(executor, function, calls, what):
        return [function(*pickle.loads(pickle.dumps(call))) for call in calls]

    expected = run(CASES["monotonic"], n_sims=10, draws=9, warmup=30)
    monkeypatch.setattr(module, "ordered", sent)
    pd.testing.assert_frame_equal(run(CASES["monotonic"], n_sims=10, draws=9, warmup=30).ranks, expected.ranks)


def test_of_a_fit_given_its_data():
    fit = brim.brm("y ~ x", DATA, prior=SIMPLE.prior, chains=2, iter=300, seed=1, progress=False)
    found = fit.sbc(n_sims=20, draws=19, thin=1, seed=1)
    assert found.info["kind"] == "posterior"
    # the truth is the posterior's, spread over it
    assert found.truth["b_x"].mean() == pytest.approx(fit.draws["b_x"].mean(), abs=0.15)
    assert found.truth["b_x"].std() == pytest.approx(fit.draws["b_x"].std(), rel=0.6)
    with pytest.raises(brim.BrimError, match="takes its data from the fit"):
        brim.sbc(fit, DATA)
    with pytest.raises(brim.BrimError, match="the fit has 300 draws"):
        brim.sbc(fit, n_sims=301)
    with pytest.raises(brim.BrimError, match="leaves the likelihood out"):
        fit.update(sample_prior="only", chains=1, iter=100).sbc(n_sims=10)
    approximate = fit.update(algorithm="laplace")
    assert "NUTS" in approximate.sbc(n_sims=10, draws=19, thin=1, seed=1).info["engine"]


@pytest.mark.parametrize(
    ("formula", "family", "given", "match"),
    [
        ("y ~ x + w", "gaussian", ONLY, r"class = b, coef = x; class = b, coef = w are flat"),
        (bf("y ~ x", "sigma ~ w"), "gaussian", NORMAL, r"class = b, coef = w, dpar = sigma are flat"),
        ("log(pos) ~ x", "gaussian", NORMAL, "computed from columns"),
        ("y | weights(pos) ~ x", "gaussian", NORMAL, r"weights\(\) cannot be simulated"),
        ("pos | cens(b) ~ x", "weibull", NORMAL, r"cens\(\) cannot be simulated"),
    ],
)
def test_what_cannot_be_simulated(formula, family, given, match):
    with pytest.raises(brim.BrimError, match=match):
        brim.sbc(formula, DATA, family, given)


def test_rows_that_depend_on_earlier_ones_are_simulated_one_after_the_other():
    """y_t = 0.9 y_(t-1) + e_t: the correlation of neighbours in simulated series, not of the observed ones."""
    from brim.api.truth import drawn_from_prior, simulated

    given = prior("constant(0)", class_="Intercept") + prior("constant(1)", class_="sigma") + prior("constant(0.9)", class_="ar")
    record = brim.brm("y ~ 1 + ar(t)", DATA.assign(t=np.arange(N)), prior=given, empty=True)
    found = simulated(record, drawn_from_prior(record, 12, 1), 1).values["y"]
    lagged = [np.corrcoef(y[:-1], y[1:])[0, 1] for y in found]
    assert np.mean(lagged) > 0.6


# --------------------------------------------------------------------------- every kind of model


@pytest.mark.parametrize("name", ["cumulative", "categorical", "multinomial"])
def test_kinds_of_responses_run(name):
    found = run(CASES[name], n_sims=10, draws=9, warmup=60)
    assert found.info["failed"] == 0
    assert len(found.ranks) == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_ranks_are_uniform(name, pool, capsys):
    found = run(CASES[name], n_sims=150, draws=59, warmup=250, thin=6, executor=pool)
    table = found.summary()
    with capsys.disabled():
        p = ", ".join(f"{v} {min(r.chi2_p, r.ecdf_p):.2g}" for v, r in table.iterrows())
        print(f"\n{name}: {len(found.ranks)} simulations, ess {found.fits['ess'].median():.0f}; p: {p}")
    assert found.info["failed"] <= 3
    assert found.ok, str(found)


@pytest.mark.slow
def test_a_wrong_posterior_is_found(monkeypatch, capsys):
    """Draws of one coefficient that are too narrow, or off by a standard deviation: that one is found, the others are fine."""
    from brim.api import sbc as module

    real = module.sample
    for change, verdict in (
        (lambda d: d.mean() + 0.4 * (d - d.mean()), "posterior too narrow"),
        (lambda d: d + d.std(), "estimates too high"),
    ):

        def wrong(record, change=change, **how):
            fit = real(record, **how)
            fit.posterior.arrays["b"][...] = change(fit.posterior.arrays["b"])
            return fit

        monkeypatch.setattr(module, "sample", wrong)
        table = run(SIMPLE, n_sims=150, draws=59, thin=3).summary()
        assert table.loc["b_x", "verdict"] == verdict
        assert (table.loc[["b_Intercept", "sigma"], "verdict"] == "ok").all()
