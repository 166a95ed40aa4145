"""The report: one page without a network, whose numbers are the fit's and whose text is escaped."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import brim
from brim.post.report.html import table


def drawn(data=None, **more):
    rows = brim.load_data("sleepstudy") if data is None else data
    empty = brim.brm(more.pop("formula", "Reaction ~ Days + (1 | Subject)"), rows, empty=True, **more)
    rng = np.random.default_rng(0)
    values = {n: rng.normal(1, 0.1, 120) for n in empty.variables()}
    values |= {"b_Intercept": rng.normal(250, 5, 120), "b_Days": rng.normal(10, 1, 120)}
    return empty.with_draws(pd.DataFrame({n: values[n] for n in empty.variables()}), chains=2)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "fit.html"
    assert drawn().report(path) == path
    return path.read_text(encoding="utf-8")


def test_one_page_without_a_network(page):
    assert len(page) < 2_000_000
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "url(" not in page
    for anchor in ("diagnose", "estimate", "explore", "check", "model"):
        assert f'<section id="{anchor}">' in page
        assert f'href="#{anchor}"' in page
    assert page.count("<figure>") >= 7


def test_its_numbers_are_the_fits(page):
    fit = drawn()
    row = fit.summary().fixed.loc["Days"]
    assert f"<td>Days</td><td>{row['Estimate']:.2f}</td><td>{row['Est.Error']:.2f}</td>" in page
    draws = json.loads(re.search(r'id="draws">(.*?)</script>', page, re.S)[1])
    np.testing.assert_allclose(draws["b_Days"]["chains"], fit.draws["b_Days"], rtol=1e-4)
    assert set(draws) == {"b_Intercept", "b_Days", "sd_Subject__Intercept", "sigma"}
    assert brim.check(fit).verdict in page
    assert "Calibration of leave-one-out predictions" in page
    result = fit.loo()
    assert f"Pareto k above {result.good_k:.2g} in {result.bad.size} of 180 rows" in page


def test_names_are_escaped(tmp_path):
    rows = brim.load_data("sleepstudy").rename(columns={"Days": "a<script>b"})
    fit = brim.brm("Reaction ~ `a<script>b`", rows, empty=True)
    rng = np.random.default_rng(0)
    fit = fit.with_draws(pd.DataFrame({n: rng.normal(5, 1, 80) for n in fit.variables()}), chains=2)
    page = fit.report(tmp_path / "fit.html").read_text(encoding="utf-8")
    assert "a<script>b" not in page
    assert "a&lt;script&gt;b" in page


def test_cells():
    frame = pd.DataFrame({"Estimate": [1.234, np.nan], "Bulk_ESS": [1234.6, 10.0]}, index=["x", "y<"])
    found = table(frame)
    assert "<td>x</td><td>1.23</td><td>1235</td>" in found
    assert "<td>y&lt;</td><td></td><td>10</td>" in found


def test_it_replaces_only_reports(tmp_path):
    fit = drawn()
    (tmp_path / "other.html").write_text("mine")
    with pytest.raises(brim.BrimError, match="no report"):
        fit.report(tmp_path / "other.html")
    assert (tmp_path / "other.html").read_text() == "mine"
    with pytest.raises(brim.BrimError, match="does not end in"):
        fit.report(tmp_path / "data.csv")
    with pytest.raises(brim.BrimError, match="no folder"):
        fit.report(tmp_path / "nowhere" / "fit.html")
