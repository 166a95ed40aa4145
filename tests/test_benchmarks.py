"""The benchmarks: the runner end to end with brim alone, and the numbers that the tables are made of."""

import json
import sys

import jax
import numpy as np
import pytest

import brim
from benchmarks import coordinates, families, large, published, results, sources
from benchmarks.__main__ import main
from benchmarks.measures import measure, read_draws
from benchmarks.models import MODELS
from benchmarks.peers import PEERS, Tools, find
from benchmarks.peers.job import Job, Result
from benchmarks.report import disagreement, markdown, pairs, ratios
from benchmarks.runner import Options, fit, rounds, skipped
from brim.fit.run import coordinates as brim_coordinates


@pytest.mark.default_precision
def test_end_to_end(tmp_path):
    out, table = tmp_path / "results.json", tmp_path / "results.md"
    command = f"--models sleepstudy --peers brim --repeat 1 --chains 2 --iter 400 --cores 2 --out {out} --table {table}".split()
    main(command)
    fits = json.loads(out.read_text())["fits"]
    assert [(f["peer"], f["cache"], f["ok"]) for f in fits] == [("brim", "cold", True), ("brim", "warm", True)]
    for f in fits:
        assert f["seconds"] > f["fit_seconds"] > f["sampling_seconds"] > 0.0
        assert f["peak_bytes"] > f["before_bytes"] > f["data_bytes"] > 180 * 2 * 8
        assert f["steps"] >= 400
        assert f["ess_per_second"] == pytest.approx(f["min_ess"] / f["sampling_seconds"])
        assert set(f["estimates"]) == {"b_Intercept", "b_Days", "sigma", "sd_Subject__Intercept", "sd_Subject__Days", _COR}
    cold, warm = fits
    assert cold["estimates"] == warm["estimates"]  # the same seed
    assert cold["estimates"]["b_Days"][0] == pytest.approx(10.467, abs=1.0)  # lmer(Reaction ~ Days + (Days | Subject)): 10.467
    assert "| brim |" in table.read_text()
    # complete: a second call with --resume makes nothing
    main([*command, "--resume"])
    assert len(json.loads(out.read_text())["fits"]) == 2


_COR = "cor_Subject__Intercept__Days"


# --------------------------------------------------------------------------- the report


def _fit(peer, order, seconds, ess, cache="warm", round=0, session=0, ok=True, **more):
    more = {"estimates": {}, "left_out": {}, "last": False, **more}
    rest = {"seconds": seconds, "ess_per_second": ess} if ok else {"error": "exit 1: no"}
    return {"model": "gpa", "peer": peer, "cache": cache, "round": round, "session": session, "order": order, "ok": ok, **rest, **more}


FITS = [
    _fit("brim", 0, 50.0, 1.0, cache="cold"),
    _fit("bambi", 1, 90.0, 1.0, cache="cold"),
    _fit("brim", 2, 2.0, 100.0),
    _fit("bambi", 3, 8.0, 20.0),
    _fit("brim", 4, 4.0, 60.0),
    _fit("brms", 5, 100.0, 2.0, cache="none"),
    _fit("brim", 0, 3.0, 90.0, round=1),
    _fit("bambi", 1, 6.0, 10.0, round=1),
    _fit("brim", 2, 1.0, 1.0, round=1, ok=False),
    _fit("brms", 3, 60.0, 3.0, cache="none", round=1),  # the brim fit before it failed: paired with the one before that
    _fit("bambi", 0, 1.0, 1.0, session=1),  # no brim fit in this session
]


def test_each_peer_is_paired_with_the_brim_fit_before_it():
    found = [(ours["seconds"], theirs["peer"], theirs["seconds"]) for ours, theirs in pairs(FITS)]
    assert found == [(2.0, "bambi", 8.0), (4.0, "brms", 100.0), (3.0, "bambi", 6.0), (3.0, "brms", 60.0)]


def test_ratios_are_medians_over_pairs():
    assert ratios(FITS, "gpa", "bambi") == {"seconds": pytest.approx((0.25 + 0.5) / 2), "ess_per_second": pytest.approx((5.0 + 9.0) / 2)}
    assert ratios(FITS, "gpa", "brms") == {"seconds": pytest.approx((0.04 + 0.05) / 2), "ess_per_second": pytest.approx(30.0)}
    assert ratios(FITS, "gpa", "lme4") == {}


def test_the_table_has_medians_ratios_and_failures():
    text = markdown({"sessions": [], "fits": FITS})
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in text.splitlines() if line.startswith("|")}
    head = rows["peer"]
    bambi = dict(zip(head, rows["Bambi + nutpie"], strict=True))
    assert (bambi["fresh cold, s"], bambi["fresh, s"], bambi["time ratio"], bambi["ESS/s ratio"]) == ("90.00", "6.00", "0.38", "7.0")
    assert dict(zip(head, rows["brim"], strict=True))["fresh, s"] == "3.00"
    assert "- gpa, brim (warm): exit 1: no" in text


def test_disagreement_is_in_monte_carlo_errors():
    ours = {"estimates": {"b_x": [1.0, 0.5, 0.03], "sigma": [2.0, 0.1, 0.01], "b_z": [0.0, 1.0, 1.0]}}
    theirs = {"estimates": {"b_x": [1.1, 0.5, 0.04], "sigma": [2.0, 0.1, 0.01]}}
    assert disagreement(ours, theirs) == pytest.approx(0.1 / 0.05)
    assert disagreement(ours, {}) is None


def test_growth_is_relative_to_the_smallest():
    numbers = {"data_bytes": 2e6, "before_bytes": 3e8, "fit_seconds": 1.0}
    fits = [
        {**_fit("brim", 0, 5.0, 1.0), "model": "slopes_1e4", "sampling_seconds": 2.0, "peak_bytes": 4e8, **numbers},
        {**_fit("brim", 0, 6.0, 1.0), "model": "slopes_1e6", "sampling_seconds": 3.0, "peak_bytes": 5e8, **numbers},
    ]
    line = next(line for line in markdown({"sessions": [], "fits": fits}).splitlines() if line.startswith("| slopes_1e6"))
    assert [c.strip() for c in line.split("|")[4:6]] == ["3.00", "1.50"]
    assert line.split("|")[-2].strip() == "250.00"


# --------------------------------------------------------------------------- rounds


def test_brim_runs_before_every_peer():
    steps = [(s.peer.name, s.cache) for s in rounds([PEERS[n] for n in ("brim", "bambi", "brms")], first=True)]
    assert steps == [("brim", "cold"), ("bambi", "cold"), ("brim", "warm"), ("bambi", "warm"), ("brim", "warm"), ("brms", "none")]
    assert [s.cache for s in rounds([PEERS["brim"]], first=False)] == ["cold", "warm"]


def test_complete_rounds_count_peers_that_do_not_run_the_model():
    whole = [_fit("brim", 0, 1.0, 1.0), _fit("bambi", 1, 1.0, 1.0, last=True)]
    kept = {"sessions": [], "fits": whole}
    assert results.complete_rounds(kept, ["brim", "bambi"]) == {"gpa": 1}
    assert results.complete_rounds(kept, ["brim", "bambi", "brms"]) == {"gpa": 0}
    assert results.complete_rounds({"fits": [{**f, "left_out": {"brms": "slow"}} for f in whole]}, ["brim", "brms"]) == {"gpa": 1}
    assert results.complete_rounds({"fits": whole[:1]}, ["brim"]) == {"gpa": 0}


def test_absent_peers_are_told():
    nothing = Tools(sys.executable, None, None)
    assert find(PEERS["brms"], nothing).absent == "no Rscript found"
    assert find(PEERS["bambi"], nothing).absent == "no Python found"
    assert find(PEERS["brim"], nothing).absent is None
    assert find(PEERS["lme4"], Tools(sys.executable, None, "/bin/false")).absent == "false does not run"


def test_slow_and_inexpressible_pairs_are_left_out():
    assert skipped(MODELS["insteval"], PEERS["brms"], slow=False) == "takes very long: --slow runs it"
    assert skipped(MODELS["insteval"], PEERS["brms"], slow=True) is None
    assert skipped(MODELS["kidney"], PEERS["lme4"], slow=True) == "has no such model"
    assert skipped(MODELS["insteval"], PEERS["brim"], slow=False) is None


@pytest.mark.parametrize(("script", "timeout", "error"), [("exit 3", 60.0, "exit 3: "), ("sleep 60", 0.5, "given up after 0 s")])
def test_a_fit_that_fails_is_recorded(tmp_path, script, timeout, error):
    program = tmp_path / "Rscript"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    tools = Tools(sys.executable, None, str(program))
    options = Options(timeout=timeout)
    told = fit(MODELS["gpa"], PEERS["lme4"], {}, options, tools, tmp_path / "fit", tmp_path)
    assert (told["ok"], told["error"]) == (False, error)
    assert 0.0 < told["wall_seconds"] < 30.0


# --------------------------------------------------------------------------- data and measures


def test_simulated_effects_have_the_stated_covariance():
    rows = sources.simulate(200_000)
    again = sources.simulate(200_000)
    assert all(np.array_equal(rows[k], again[k]) for k in rows)
    groups = [np.flatnonzero(rows["g"] == g) for g in range(1, 1001)]
    fits = np.array([np.polyfit(rows["x"][i], rows["y"][i], 1)[::-1] for i in groups])
    # 1000 groups; an estimated effect has variance of about 1/200 more than its effect; 4 standard errors
    np.testing.assert_allclose(fits.mean(0), [1.0, 0.5], atol=4 * 0.81 / 1000**0.5)
    covariance = np.cov(fits.T)
    np.testing.assert_allclose(covariance, [[0.645, 0.096], [0.096, 0.165]], atol=4 * 0.645 * (2 / 999) ** 0.5)


def test_draws_go_through_the_file_unchanged(tmp_path, capsys):
    draws = np.random.default_rng(1).normal(size=(2, 5, 4))
    job = Job("gpa", "", "", {}, 2, 5, 5, 1, 1, str(tmp_path))
    result = Result(job)
    result.export(["b_x", "r_g[1,Intercept]", "sd_g__Intercept", "lp__"], draws)
    result.finish([])
    told = json.loads(capsys.readouterr().out)["draws"]
    assert (told["variables"], told["shape"]) == (["b_x", "sd_g__Intercept"], [2, 5, 2])
    np.testing.assert_array_equal(read_draws(tmp_path / "draws.f64", told["shape"]), draws[:, :, [0, 2]])


def test_the_worst_parameter_is_found_and_constants_are_not():
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(4, 1000, 3))
    for t in range(1, 1000):  # autocorrelation 0.8: an effective sample size of 4000 (1 - 0.8) / (1 + 0.8)
        draws[:, t, 1] = 0.8 * draws[:, t - 1, 1] + 0.6 * draws[:, t, 1]
    draws[:, :, 2] = 1.0
    found = measure(draws, ["b_x", "b_y", "disc"])
    assert found["min_ess_of"] == "b_y"
    assert found["min_ess"] == pytest.approx(4000 / 9, rel=0.25)
    assert set(found["estimates"]) == {"b_x", "b_y"}
    assert found["estimates"]["b_x"][2] == pytest.approx(4000**-0.5, rel=0.1)
    assert found["max_rhat"] < 1.03


# --------------------------------------------------------------------------- families


def test_costs_of_families(capsys):
    families.main(["poisson", "gaussian+cens", "--rows", "50", "--repeat", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == ["| family | value | with gradient | ratio |", "|---|---|---|---|"]
    for line, name in zip(lines[4:], ("poisson", "gaussian+cens"), strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == name
        assert float(cells[1]) > 0.0
        assert float(cells[2]) > 0.0
    assert families.Cost("x", 0.5, 0.75).ratio == 1.5


@pytest.mark.parametrize(
    "name",
    [
        "gaussian+trunc",
        pytest.param("poisson+trunc", marks=pytest.mark.slow),
        "bernoulli:probit",
        "acat",
        "mixture",
        "categorical",
        "cox",
        "wiener",
    ],
)
def test_cases_of_families(name):
    """Every kind of case has a finite log likelihood and gradient, in the parameters that its family has."""
    one = families.case(name, rows=40)
    value, gradient = jax.value_and_grad(one.log_lik)(one.params, one.y, one.data)
    assert np.isfinite(value)
    assert set(gradient) == set(one.params) > set()
    assert all(np.all(np.isfinite(g)) and np.any(g != 0.0) for g in gradient.values())
    if name.endswith("+trunc"):
        assert np.min(one.y) >= 1.0


# --------------------------------------------------------------------------- coordinates


@pytest.mark.parametrize("name", coordinates.MODELS)
def test_models_of_coordinates(name):
    """Each has coordinates adapted to the data, unless it is asked not to."""
    formula, family, rows, more = coordinates.MODELS[name]
    table = rows()
    for adapted in (True, False):
        fit = brim.brm(formula, table, family=family, control={"adapted_effects": adapted}, empty=True, **more)
        assert ("adapted" in brim_coordinates(fit).note) == adapted


@pytest.mark.default_precision
def test_table_of_coordinates(capsys):
    coordinates.main(["mm, poisson", "--iter", "200"])
    line = capsys.readouterr().out.splitlines()[-1]
    name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert name == "mm, poisson"
    adapted, plain = cells[:6], cells[6:12]
    assert float(adapted[5].replace(",", "")) == pytest.approx(float(adapted[0].replace(",", "")) / float(adapted[4]), rel=0.5)
    assert float(adapted[0].replace(",", "")) > 3 * float(plain[0].replace(",", ""))
    assert float(cells[12]) > 1.0


# --------------------------------------------------------------------------- the page of docs and the table of README


def test_the_pages_tell_what_the_results_hold():
    page, readme = published.PAGE.read_text(encoding="utf-8"), published.README.read_text(encoding="utf-8")
    for section, (_, text) in published.SECTIONS.items():
        assert f"<!-- {section} -->" in page
        path = published.RESULTS / f"{section}.json"
        if path.exists():
            found = json.loads(path.read_text())
            assert published.replaced(page, section, text(found)) == page, f"python -m benchmarks.published --write: {section}"
            if section == "peers":
                assert published.replaced(readme, "speed", published.readme_table(found)) == readme
    assert "<!-- speed -->" in readme


def test_a_section_is_replaced_and_an_unknown_one_is_an_error():
    page = "a\n<!-- x -->\nold\n<!-- end of x -->\nb"
    assert published.replaced(page, "x", "new") == "a\n<!-- x -->\nnew\n<!-- end of x -->\nb"
    assert published.replaced(page, "x", "old") == page
    with pytest.raises(ValueError, match="no section 'y'"):
        published.replaced(page, "y", "new")


def test_the_table_of_readme_has_medians_of_each_peer():
    table = published.readme_table({"fits": FITS}).splitlines()
    assert table[0] == "|  | brim |  | Bambi + nutpie |  | brms |  |"
    # brim warm: seconds 2, 4, 3; ESS/s 100, 60, 90; bambi 8, 6, 1; brms 100, 60
    assert table[3] == "| gpa | 50 / 3.0 | 90 | 90 / 6.0 | 10 | 80 | 2.5 |"


def test_measured_rows_are_kept_one_by_one_and_written(tmp_path):
    path = tmp_path / "curves.json"
    one = {"ess": 400.0, "rhat": 1.001, "divergences": 0, "steps": 7.0}
    asked = []
    for names in (["a"], ["a", "b"]):
        published._rows(path, False, names, lambda name: asked.append(name) or dict.fromkeys(published.TREATED, one))
    assert asked == ["a", "b"]
    assert "| `b` | 400 | 0 | 7 | 400 | 0 | 7 | 400 | 0 | 7 |" in published.SECTIONS["curves"][1](json.loads(path.read_text()))


@pytest.mark.default_precision
def test_large_rows_are_written_and_fitted(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", f"large rows --rows 3000 --groups 20 --chains 1 --iter 200 --folder {tmp_path}".split())
    large.main()
    said = capsys.readouterr().out
    assert "3000 rows, 20 groups, 10 columns written to Parquet" in said
    assert "s of the processors" in said
    assert "sd_g__x" in said
    assert list(tmp_path.iterdir()) == []
