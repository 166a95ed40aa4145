"""Every page of docs/pages/gallery runs as written, and its models give what its words say."""

import base64
import importlib.util
import inspect
import re
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import brim

pytestmark = pytest.mark.default_precision

DOCS = Path(__file__).parents[1] / "docs"
PAGES = DOCS / "pages" / "gallery"


@pytest.fixture(scope="module")
def execute():
    spec = importlib.util.spec_from_file_location("execute", DOCS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(DOCS))  # it imports reference.py beside it
    spec.loader.exec_module(module)
    sys.path.remove(str(DOCS))
    yield module
    del sys.modules[spec.name]


def estimate(fit, name):
    return float(fit.posterior_summary([name])["Estimate"].iloc[0])


def near(fit, **truths):
    """Whether posterior means are within ``(truth, distance)``."""
    for name, (truth, within) in truths.items():
        assert abs(estimate(fit, name) - truth) < within, name


def multilevel(page):
    near(
        page.fit, b_Intercept=(2.6, 0.05), b_occasion=(0.106, 0.02), sd_student__Intercept=(0.21, 0.05), sd_student__occasion=(0.067, 0.02)
    )
    assert page.someone[0, 1] > 3 * page.average[0, 1]


def groups(page):
    sd = {group: float(table["sd"]["Estimate"].iloc[0]) for group, table in page.crossed.VarCorr().items()}
    assert sd["sample"] > sd["plate"] > sd["residual__"]
    assert page.nested.ngrps() == {"batch": 10, "batch:cask": 30}
    near(page.nested, b_Intercept=(page.pastes["strength"].mean(), 1))


def ordinal(page):
    assert list(page.fit.fixef().index)[:3] == ["Intercept[1]", "Intercept[2]", "Intercept[3]"]
    near(page.fit, b_treat=(-1.05, 0.35))
    b = page.specific.fixef()["Estimate"]
    assert abs(b["x[1]"]) < 0.6
    assert abs(b["x[2]"] - 1.5) < 0.7


def monotonic(page):
    near(page.fit, bsp_moincome=(1, 0.2))
    share = page.fit.posterior_summary("simo_moincome1")["Estimate"]
    assert list(share.index) == ["simo_moincome1[1]", "simo_moincome1[2]", "simo_moincome1[3]"]
    assert abs(share.iloc[1] - 2.4 / 3) < 0.12


def categorical(page):
    assert list(page.fit.fixef().index) == ["mucar_Intercept", "mutrain_Intercept", "mucar_x", "mutrain_x"]
    near(page.fit, b_mucar_x=(1, 0.6), b_mutrain_x=(-1, 0.6))


def zeros(page):
    near(page.fit, b_x=(0.5, 0.15))
    assert abs(page.fit.posterior_epred(dpar="zi").mean() - 0.3) < 0.1
    near(page.hurdle, b_x=(0.5, 0.15), b_hu_x=(1, 0.5))


def residuals(page):
    near(page.series, **{"ar[1]": (0.7, 0.2), "b_x": (1, 0.2)})
    near(page.pairs, cortime__1__2=(0.8, 0.15), cortime__1__3=(0.3, 0.3), cortime__2__3=(0.5, 0.3))
    near(page.equal, cosy=(page.true[np.triu_indices(3, 1)].mean(), 0.2))
    near(page.known, sigma=(1, 0.4))


def spatial(page):
    assert np.corrcoef(page.estimate[:, 0], page.level)[0, 1] > 0.9
    near(page.fit, b_Intercept=(2, 0.15), sigma=(0.5, 0.15))
    near(page.lagged, lagsar=(0.6, 0.35))


def distributional(page):
    near(page.fit, b_sigma_x=(0.6, 0.2), b_x=(1, 0.2))
    assert list(page.fit.VarCorr()["g"]["sd"].index) == ["sigma_Intercept"]


def membership(page):
    assert list(page.fit.VarCorr()["patient"]["sd"].index) == ["Intercept:Trt0", "Intercept:Trt1"]
    assert page.fit.fixef().loc["zBase", "Q2.5"] > 0
    assert page.effect.shape == (20,)
    assert np.corrcoef(page.effect, page.school)[0, 1] > 0.7


def multivariate(page):
    assert page.fit.posterior_summary("cor_g__mood_Intercept__visits_Intercept")["Q2.5"].item() > 0.2
    assert page.fit.posterior_predict(resp="visits").shape[1] == 240
    near(page.both, b_a_x=(1, 0.3), b_b_x=(-1, 0.3), rescor__a__b=(0.6, 0.15))


def smooths(page):
    assert list(page.fit.summary().splines.index) == ["sds(stimes_1)"]
    curve = page.fit.fitted(newdata={"times": [5, 21, 32]})[:, 0]
    assert curve[1] < -80  # braking, then thrown back
    assert curve[2] > 10
    assert list(page.curves.summary().splines.index)[2:] == ["sds(stunit_1)", "sds(stunit_2)", "sds(stunit_3)"]
    assert np.abs(page.curves.fitted()[:, 0] - page.truth).mean() < 0.15
    top, edge = page.surface.fitted(newdata={"x": [0.5, 0.0], "z": [50, 0]})[:, 0]
    assert top > 0.7
    assert edge < 0.3


def gp(page):
    assert [v for v in page.fit.variables() if v.startswith(("sdgp", "lscale"))] == ["sdgp_gpx", "lscale_gpx"]
    assert np.abs(page.fit.fitted()[:, 0] - np.sin(6 * page.x)).mean() < 0.12


def nonlinear(page):
    assert list(page.fit.fixef().index) == ["ult_Intercept", "omega_Intercept", "theta_Intercept"]
    near(page.fit, b_theta_Intercept=(46, 8), b_omega_Intercept=(1.3, 0.3))


def censored(page):
    near(page.fit, b_x=(0.5, 0.2), shape=(1.5, 0.3))
    near(page.truncated, b_x=(1, 0.3), b_Intercept=(1, 0.4))
    assert np.polyfit(page.positive["x"], page.positive["y"], 1)[0] < 0.8
    assert page.truncated.posterior_predict(ndraws=50, seed=1).min() > 0


def survival(page):
    near(page.fit, b_sexfemale=(-1.6, 0.6))
    near(page.timed, b_Intercept=(np.log(2), 0.2), b_treated=(np.log(2), 0.3))


def error(page):
    near(page.fit, bsp_mexsdx=(2, 0.7))
    assert estimate(page.fit, "bsp_mexsdx") > np.polyfit(page.d["x"], page.d["y"], 1)[0] + 0.3


def meta(page):
    near(page.fit, b_Intercept=(0.5, 0.3), sd_study__Intercept=(0.3, 0.2))


def mixtures(page):
    near(page.fit, b_mu1_Intercept=(-2, 0.3), b_mu2_Intercept=(2, 0.4), theta1=(0.3, 0.1))
    near(page.grown, b_mu1_t=(0, 0.2), b_mu2_t=(1, 0.2), theta1=(2 / 3, 0.15))


def missing(page):
    near(page.fit, bsp_y_mix=(2, 0.2))
    assert len(page.imputed) == page.gone.sum()
    assert np.corrcoef(page.imputed["Estimate"], page.x[page.gone])[0, 1] > 0.8


def irt(page):
    assert page.rasch.ngrps() == {"item": 12, "person": 150}
    assert np.corrcoef(page.effects.sel(coef="eta_Intercept"), page.easiness)[0, 1] > 0.9
    assert np.corrcoef(page.effects.sel(coef="logsharp_Intercept"), np.log(page.sharpness))[0, 1] > 0.5


def shrinkage(page):
    for fit in page.fits.values():
        near(fit, b_x0=(2, 0.4), b_x1=(-1, 0.4))
        assert fit.fixef()["Estimate"]["x2":].abs().max() < 0.3


CHECKS = {check.__name__: check for check in (
    multilevel, groups, ordinal, monotonic, categorical, zeros, residuals, spatial, distributional, membership, multivariate, smooths, gp,
    nonlinear, censored, survival, error, meta, mixtures, missing, irt, shrinkage,
)}  # fmt: skip


@pytest.fixture
def briefly(monkeypatch):
    """Pages leave chains and iter to brm's defaults; here these are less."""
    for name, value in (("chains", 2), ("iter", 600)):
        monkeypatch.setitem(inspect.unwrap(brim.brm).__kwdefaults__, name, value)


def run(page, execute):
    """The names of a page after all its blocks."""
    names = {"__name__": "__main__"}
    for i, code in enumerate(execute.BLOCK.findall(page.read_text(encoding="utf-8"))):
        list(execute.outputs(code, names, f"{page.name}, block {i + 1}"))
    return SimpleNamespace(**names)


@pytest.mark.parametrize("name", CHECKS)
def test_page(name, execute, briefly):
    CHECKS[name](run(PAGES / f"{name}.md", execute))


def test_a_family_a_term_and_a_sampler_from_outside_pass_their_conformance_suites(execute, briefly):
    page = run(DOCS / "pages" / "extending.md", execute)
    near(page.fit, b_x=(0.5, 0.2), beta=(0.7, 0.15))
    assert set(page.kinked.variables()) > {"b_Days", "b_kink"}
    assert "newton" in page.draws.info["engine"]


def test_every_page_is_checked_and_listed():
    written = {page.stem for page in PAGES.glob("*.md")} - {"index"}
    assert written == set(CHECKS)
    listed = re.findall(r"\]\((\w+)\.md\)", (PAGES / "index.md").read_text(encoding="utf-8"))
    assert listed == list(CHECKS)
    nav = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"gallery/(\w+)\.md", nav) == ["index", *listed]


def test_blocks_build_on_those_that_may_have_changed_what_they_name(execute):
    blocks = [
        "import numpy as np\nx = 1",
        "fit = [x]",
        "print(fit)",  # shows, changes nothing
        "other = 2",
        "fit + [other]",
        "np.seterr(all='ignore')\ny = 3",  # changes something of a module: all that follows builds on it
        "x",
    ]
    assert execute.needs(blocks) == [set(), {0}, {0, 1}, set(), {0, 1, 3}, {0}, {0, 1, 5}]


def test_only_changed_blocks_run(execute, tmp_path, monkeypatch):
    for name in ("PAGES", "CACHE", "BUILT"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(execute, name, tmp_path / name)
    page = tmp_path / "PAGES" / "page.md"
    ran = []
    outputs = execute.outputs
    monkeypatch.setattr(execute, "outputs", lambda code, names, where: ran.append(code) or outputs(code, names, where))

    def run(text):
        ran.clear()
        page.write_text(text, encoding="utf-8")
        return execute.run(page)[0]

    blocks = ["a = 20\n", "b = a + 1\n", "c = 1\n", "a + b\n"]
    text = "words\n\n" + "\n".join(f"```python\n{block}```\n" for block in blocks)
    assert '```text title="output"\n41\n```' in run(text)
    assert ran == blocks
    assert "other words" in run(text.replace("words", "other words"))
    assert ran == []
    assert "43" in run(text.replace("a + 1", "a + 3"))
    assert ran == ["a = 20\n", "b = a + 3\n", "a + b\n"]


def test_long_sentences_are_broken_and_tables_are_not(execute):
    sentence, head, row = "ok  " + "a word " * 30, " " * 12 + "Estimate l-95% CI " * 6, "Intercept" + "     1.0" * 20
    found = execute.wrapped(f"{sentence}\n{head}\n{row}\nshort").split("\n")
    assert max(map(len, found[:-3])) <= 91
    assert found[-3:] == [head, row, "short"]
    assert " ".join(" ".join(found[:-3]).split()) == " ".join(sentence.split())


def test_code_of_pages_is_no_wider_than_the_page(execute):
    wide = [
        (page.name, line)
        for page in sorted((DOCS / "pages").rglob("*.md"))
        for code in execute.BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in code.splitlines()
        if len(line) > 91
    ]
    assert wide == []


def test_figures_have_twice_the_pixels_they_are_shown_with(execute):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    figure.subplots().set(xlabel="x", ylabel="y[1]")
    (part,) = execute.shown(figure, "fit.plot()")
    assert struct.unpack(">II", base64.b64decode(part["png"])[16:24]) == (2 * 5 * 96, 2 * 3 * 96)
    assert part["width"] == 480
    assert part["alt"] == "fit.plot(): y&#91;1&#93; over x"
