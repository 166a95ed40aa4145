"""Criteria, comparisons and priors as they are printed and shown in notebooks."""

import numpy as np
import pandas as pd

import brim
from brim.post.comparison.compared import Compared
from brim.post.comparison.elpd import total


def criterion(kind="loo", k=(0.1, 0.2, 0.3, 0.4)):
    more = {"pareto_k": np.array(k)} if kind == "loo" else {}
    return total(kind, np.array([-1.0, -2.0, -1.5, -2.5]), np.full(4, 0.5), 400, ("y", b""), "obs", **more)


def test_a_criterion_is_printed_with_its_verdict():
    # elpd: sum -7, SE sqrt(4 var) = sqrt(4 * 5 / 12); looic twice that
    assert str(criterion()).splitlines() == [
        "Computed from 400 draws by 4 observations.",
        "",
        "         Estimate  SE",
        "elpd_loo     -7.0 1.3",
        "p_loo         2.0 0.0",
        "looic        14.0 2.6",
        "------",
        "All Pareto k estimates are good (k < 0.7).",
    ]
    assert repr(criterion()) == str(criterion())


def test_bad_pareto_k_are_counted():
    lines = str(criterion(k=(0.1, 0.8, 1.2, 0.69))).splitlines()[7:]
    assert lines == [
        "Pareto k diagnostic values:",
        "                    Count  Pct.",
        "(-Inf, 0.7] (good)      2 50.0%",
        "(0.7, 1] (bad)          1 25.0%",
        "(1, Inf) (very bad)     1 25.0%",
        "2 of 4 Pareto k are above 0.7: loo is unreliable for these observations (see pointwise).",
    ]


def test_waic_says_where_it_fails():
    assert str(criterion("waic")).splitlines()[-1] == "4 of 4 p_waic are above 0.4: WAIC is unreliable there. Use loo() instead."


def test_compared_models_are_printed_as_a_table():
    other = total("loo", np.array([-1.0, -2.0, -1.5, -9.5]), np.full(4, 0.5), 400, ("y", b""), "obs", pareto_k=np.full(4, 0.1))
    table = brim.loo_compare(criterion(), other, names=["a", "b"])
    assert str(table).splitlines() == [
        "  elpd_diff se_diff p_worse diagnostics",
        "a       0.0     0.0",
        "b      -7.0     7.0    0.84     N < 100",
    ]
    assert table.loc["b", "looic"] == 28.0
    assert str(table[["elpd_diff", "looic"]]) == str(pd.DataFrame(table[["elpd_diff", "looic"]]))
    assert isinstance(table.iloc[:1], Compared)


def test_tables_in_notebooks():
    html = brim.loo_compare(criterion(), criterion(), names=["a<b", "c"])._repr_html_()
    assert html.count("<tr>") == 3
    assert "a&lt;b" in html
    assert "<td>-7.0</td><td>1.3</td>" in criterion()._repr_html_()
    assert "All Pareto k" in criterion()._repr_html_()
    priors = brim.default_prior("Reaction ~ Days", brim.load_data("sleepstudy"))
    assert priors._repr_html_().count("<tr>") == 5
    assert "<td>(flat)</td><td>b</td><td>Days</td>" in priors._repr_html_()
    assert "<td>(vectorized)</td>" in priors._repr_html_()
    assert "<table" in priors[["prior", "class"]]._repr_html_()
