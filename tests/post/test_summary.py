"""The summary's text against that of brms 2.18 for the same draws, its tables, and the warnings of a fit."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import brim
from brim.fit.checks import warn_about
from fits import POSTERIORS, fit, random_draws, small
from references import reference

pytestmark = pytest.mark.default_precision

ENGINE = "Engine: draws given by the user"


# ---------------------------------------------------------------------------------------------------------------------
# against brms


@pytest.mark.parametrize("name", POSTERIORS)
def test_text_is_that_of_brms(name):
    """Every line, trailing spaces included; then brim's own on the engine and on the draws, which are few here."""
    lines, theirs = str(fit(name).summary()).split("\n"), reference(f"post/{name}")["summary_text"]
    assert lines[: len(theirs)] == theirs
    assert lines[len(theirs)] == ENGINE
    assert all(line.startswith("Warning: ") for line in lines[len(theirs) + 1 :])


@pytest.mark.parametrize("name", POSTERIORS)
def test_numbers_are_those_of_brms(name):
    """Effective sample sizes are those of the R package posterior 1.4.0; R-hat too, but brms' summary differs from posterior::rhat in
    the fourth digit where the scale's R-hat is the larger one (posterior::rhat of these draws gives ours).
    """
    mine, theirs = fit(name).summary(), reference(f"post/{name}")["summary"]
    pairs = [(mine.fixed, theirs["fixed"]), (mine.spec_pars, theirs["spec_pars"])]
    pairs += [(mine.random[group], table) for group, table in theirs["random"].items()]
    for table, columns in pairs:
        assert list(table.index) == columns.get("_row", [])
        for name, values in columns.items():
            if name != "_row":
                rtol = 5e-4 if name == "Rhat" else 1e-8
                np.testing.assert_allclose(table[name], np.array(values, dtype=float), rtol=rtol)


def test_groups_print_in_order_with_their_levels():
    mine = fit("poisson").summary()
    assert mine.ngrps == {"obs": 236, "patient": 59}
    assert list(mine.random) == ["obs", "patient"]


def test_other_intervals():
    mine = fit("sleep_slopes")
    table = mine.summary(prob=0.5, robust=True).fixed
    assert list(table.columns)[:4] == ["Estimate", "Est.Error", "l-50% CI", "u-50% CI"]
    np.testing.assert_allclose(table.iloc[:, :4], mine.fixef(robust=True, probs=(0.25, 0.75)), rtol=1e-14)


# ---------------------------------------------------------------------------------------------------------------------
# layout: lines as print.brmsfit() of brms 2.18 gives them for these models


def test_several_parameters_and_priors():
    """bf(y ~ x + (1 + x|gr(g, by = by, dist = "student")), sigma ~ z + (1|h)) with prior(normal(0, 1), class = b, dpar = sigma)."""
    spec = brim.bf("y ~ x + (1 + x | gr(g, by = by, dist = 'student'))", "sigma ~ z + (1 | h)")
    lines = str(random_draws(spec, n=80, prior=brim.prior("normal(0, 1)", dpar="sigma")).summary(priors=True)).split("\n")
    assert lines[:7] == [
        " Family: gaussian ",
        "  Links: mu = identity; sigma = log ",
        'Formula: y ~ x + (1 + x | gr(g, by = by, dist = "student")) ',
        "         sigma ~ z + (1 | h)",
        "   Data: data (Number of observations: 40) ",
        "  Draws: 2 chains, each with iter = 40; warmup = 0; thin = 1;",
        "         total post-warmup draws = 80",
    ]
    start = lines.index("Priors: ")
    given = [line for line in lines[start + 1 : lines.index("", start)] if "student_t" not in line]
    assert given == ["b_sigma ~ normal(0, 1)", "<lower=1> df_g ~ gamma(2, 0.1)", "L ~ lkj_corr_cholesky(1)"]
    start = lines.index("~g (Number of levels: 8) ")
    assert [line.split()[0] for line in lines[start + 2 : start + 9]] == [
        "df",
        "sd(Intercept:byu)",
        "sd(x:byu)",
        "sd(Intercept:byv)",
        "sd(x:byv)",
        "cor(Intercept:byu,x:byu)",
        "cor(Intercept:byv,x:byv)",
    ]
    start = lines.index("Population-Level Effects: ")
    assert [line.split()[0] for line in lines[start + 2 : start + 6]] == ["Intercept", "sigma_Intercept", "x", "sigma_z"]
    assert "Family Specific Parameters: " not in lines


def test_several_responses():
    """bf(y ~ x) + bf(z ~ x, sigma ~ x) + set_rescor(FALSE)"""
    mine = random_draws(brim.bf("y ~ x") + brim.bf("z ~ x", "sigma ~ x") + brim.set_rescor(False))
    assert str(mine.summary()).split("\n")[:6] == [
        " Family: MV(gaussian, gaussian) ",
        "  Links: mu = identity; sigma = identity",
        "         mu = identity; sigma = log ",
        "Formula: y ~ x ",
        "         z ~ x ",
        "         sigma ~ x",
    ]


def test_mixtures():
    """brm(y ~ x, theta1 ~ z, family = mixture(gaussian, student)) in brms."""
    mine = random_draws(brim.bf("y ~ x", "theta1 ~ z", family=brim.mixture("gaussian", "student")))
    assert str(mine.summary()).split("\n")[:2] == [
        " Family: mixture(gaussian, student) ",
        "  Links: mu1 = identity; sigma1 = identity; mu2 = identity; sigma2 = identity; nu2 = identity;"
        " theta1 = identity; theta2 = identity ",
    ]


def test_constants_have_no_diagnostics():
    """brms prints NA for R-hat and the effective sample sizes of a parameter that does not vary."""
    mine = random_draws("y ~ x + (1 | g)", n=40)
    table = mine.as_draws_df().assign(sigma=2.0)
    text = str(mine.with_draws(table, chains=2).summary())
    assert "sigma     2.00      0.00     2.00     2.00   NA       NA       NA" in text


def test_iterations_are_those_of_the_call():
    mine = fit("sleep_slopes").summary()
    assert (mine.chains, mine.iter, mine.warmup, mine.thin, mine.draws) == (4, 300, 200, 1, 400)
    assert (mine.data_name, mine.nobs) == ("d", 180)


def test_divergent_transitions_are_mentioned():
    mine = replace(fit("sleep_slopes"), stats={"diverging": np.arange(400).reshape(4, 100) < 3})
    assert "Warning: 3 transitions were divergent after warm-up" in str(mine.summary())
    assert "divergent" not in str(replace(mine, stats={"diverging": np.zeros((4, 100), bool)}).summary())


def test_the_verdict_outlives_the_moment_of_fitting(tmp_path):
    """Chains apart: said by the summary, its HTML, and both of the loaded fit, under the names of variables()."""
    names = fit("sleep_slopes").variables()
    rng = np.random.default_rng(1)
    draws = pd.DataFrame({name: rng.uniform(0.1, 0.2, 400) for name in names})
    draws["b_Days"] += np.repeat([0.0, 5.0], 200)
    mine = fit("sleep_slopes").with_draws(draws, chains=2)
    mine.save(tmp_path / "fit.nc")
    for one in (mine, brim.load(tmp_path / "fit.nc")):
        for text in (str(one.summary()), one.summary()._repr_html_()):
            (line,) = [x for x in re.split("\n|<br>", text) if "R-hat is up to" in x]
            assert "(b_Days)" in line
            assert "the chains have not converged" in line
            assert "more iterations" in line


def test_html_has_the_same_numbers():
    mine = fit("poisson").summary()
    html = mine._repr_html_()
    tables = pd.read_html(html, index_col=0, keep_default_na=False) if _has_html_reader() else []
    assert html.count("<table>") == 3
    assert "zBase:Trt1</th><td>0.07</td><td>0.16</td><td>-0.23</td>" in html
    assert all(t.shape[1] == 7 for t in tables)
    escaped = random_draws(brim.bf("y ~ I(x < 0)"))
    assert "I(x &lt; 0)" in escaped._repr_html_()


def _has_html_reader():
    try:
        import lxml  # noqa: F401
    except ImportError:
        return False
    return True


def test_no_draws():
    with pytest.raises(brim.BrimError, match="no draws"):
        brim.brm("y ~ x", small(), empty=True).summary()


def test_wrong_probability():
    with pytest.raises(brim.BrimError, match="between 0 and 1"):
        fit("sleep_slopes").summary(prob=95)


def test_summary_needs_no_plotting_or_labelled_arrays():
    """It stands on the way from a fresh process to the first print."""
    code = "\n".join(
        [
            "import sys, numpy as np, pandas as pd, brim",
            "fit = brim.brm('y ~ x', {'y': [1.0, 2, 4, 3], 'x': [1.0, 2, 3, 4]}, empty=True)",
            "draws = pd.DataFrame({v: np.random.default_rng(1).normal(size=40) for v in fit.variables()})",
            "str(fit.with_draws(draws, chains=4).summary())",
            "print(sorted({'xarray', 'arviz_base', 'arviz_stats', 'matplotlib'} & set(sys.modules)))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------------------------------------------
# warnings


def noisy(seed=0, shift=0.0, **stats):
    """Independent draws of a small model, 4 chains of 500; the last chain of sigma shifted."""
    empty = brim.brm("y ~ x + (1 | g)", small(), empty=True)
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({v: np.exp(0.1 * rng.normal(size=2000)) for v in empty.variables()})
    table.loc[1500:, "sigma"] += shift
    return replace(empty.with_draws(table, chains=4), stats={k: np.asarray(v) for k, v in stats.items()})


def test_a_good_fit_warns_of_nothing(recwarn):
    warn_about(noisy(diverging=np.zeros((4, 500), bool), tree_depth=np.full((4, 500), 3)))
    assert not recwarn.list


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"diverging": np.eye(4, 500, dtype=bool)}, "4 transitions were divergent.*adapt_delta"),
        ({"tree_depth": np.where(np.eye(4, 500) > 0, 10, 3)}, "4 transitions were cut.*max_treedepth"),
        ({"energy": np.cumsum(np.ones((4, 500)), axis=1)}, "E-BFMI"),
        ({"shift": 0.5}, "R-hat.*sigma"),
    ],
)
def test_each_trouble_is_named_with_what_to_do(bad, says):
    with pytest.warns(brim.BrimWarning) as caught:
        warn_about(noisy(**bad))
    assert any(re.search(says, str(w.message)) for w in caught)


def test_effects_of_single_levels_are_not_looked_at(recwarn):
    mine = noisy()
    table = mine.as_draws_df()
    table.loc[1500:, "r_g[1,Intercept]"] += 3.0
    warn_about(mine.with_draws(table, chains=4))
    assert not recwarn.list
