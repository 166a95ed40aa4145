"""What the pages of docs say that they do not compute: R's numbers are those of the references, links lead somewhere, names are covered."""

import ast
import gzip
import importlib
import importlib.util
import inspect
import json
import re
from functools import cached_property
from pathlib import Path

import pytest

import brim
from brim.lme4.mer import AbstractMer
from brim.rstanarm.fit import StanFit

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "pages"
REFERENCE = ROOT / "tests" / "reference"


def reference(name):
    return json.loads(gzip.decompress((REFERENCE / f"{name}.json.gz").read_bytes()))


def literals(page):
    """Every ``name = {text: (number, number)}`` of a page, in order."""
    blocks = re.findall(r"^```python\n(.*?)^```\n", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    statements = [statement for block in blocks for statement in ast.parse(block).body]
    found = [(s.targets[0].id, s.value) for s in statements if isinstance(s, ast.Assign) and isinstance(s.value, ast.Dict)]
    return [(name, ast.literal_eval(value), [ast.unparse(v) for v in value.values]) for name, value in found]


def of_gpa_lmer():
    (rows, _), values = reference("lme4_more")["gpa_lmer"]["coef"]["dimnames"], reference("lme4_more")["gpa_lmer"]["coef"]["values"]
    return {row: (values[i], values[i + len(rows)]) for i, row in enumerate(rows)}


def of_brms():
    summary = reference("full/gpa_demo")["summary"]
    return {name: (summary["mean"][i], summary["sd"][i]) for i, name in enumerate(summary["variable"])}


def of_rstanarm(name):
    return {k: tuple(v[:2]) for k, v in reference("rstanarm")[name]["posterior"].items()}


def test_the_tutorials_numbers_of_r_are_those_of_the_references():
    told = literals(PAGES / "tutorial.md")
    assert [name for name, *_ in told] == ["lme4", "brms", "rstanarm", "rstanarm"]
    truths = [of_gpa_lmer(), of_brms(), of_rstanarm("lmer_sleep"), of_rstanarm("jm_f1")]
    for (_, numbers, _), truth, digits in zip(told, truths, (5, 4, 2, 3), strict=True):
        for name, pair in numbers.items():
            assert pair == pytest.approx([round(v, digits) for v in truth[name]], abs=1e-12), name
    varcorr = reference("lme4_more")["gpa_lmer"]["varcorr"]["sdcor"]
    assert f"{varcorr[0]:.5f} and {varcorr[1]:.5f}" in (PAGES / "tutorial.md").read_text(encoding="utf-8")


#: The models and questions of the introduction that the tutorial follows.
LINES = """
stan_lm( | lmer("gpa ~ occasion + (1 | student)" | "gpa ~ occasion + (1 | student)", | "gpa ~ occasion + (1 + occasion | student)",
prior=prior("normal(0, 1)", class_="b") | brim.default_prior( | .prior_summary() | .summary() | .fixef() | .ranef() | .VarCorr() | .tidy()
.conditional_effects() | .pp_check( | brim.compare_estimates( | extract_random_effects( | extract_vc( | find_typical( | rmvnorm(
stan_lmer( | "Reaction ~ Days + (1 + Days | Subject)" | stan_jm( | "logBili ~ year + (1 | id)" | "Surv(futimeYears, death) ~ sex + trt"
"""


def test_the_tutorial_has_every_line():
    text = (PAGES / "tutorial.md").read_text(encoding="utf-8")
    parts = [part.strip() for line in LINES.strip().splitlines() for part in re.split(r" \| (?![^(\"]*\))", line)]
    assert [part for part in parts if part not in text] == []
    gallery = {page.stem for page in (PAGES / "gallery").glob("*.md")} - {"index", "multilevel", "monotonic", "shrinkage"}
    assert gallery - set(re.findall(r"gallery/(\w+)\.md", text)) == set()


LINK = re.compile(r"\[[^\]\n]+\]\(([^)\s]+)\)")
OTHERS = ("README.md", "CONTRIBUTING.md", "docs/differences.md", "docs/benchmarks.md")
WRITTEN = [*(ROOT / name for name in OTHERS), *sorted(PAGES.rglob("*.md"))]
#: Pages that docs/execute.py makes or brings beside the others.
MADE = ("benchmarks.md", "differences.md")


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    words = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in LINK.findall(words):
        file = target.split("#")[0]
        if "://" in target or not file or (page.is_relative_to(PAGES) and Path(file).name in MADE):
            continue
        assert (page.parent / file).exists(), f"{page.name}: {target}"


def test_links_of_a_built_site_are_followed(tmp_path):
    spec = importlib.util.spec_from_file_location("links", ROOT / "docs" / "links.py")
    links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(links)
    (tmp_path / "deep").mkdir()
    (tmp_path / "index.html").write_text('<h2 id="here"></h2><a href="#here">a</a><a href="deep/page.html#there">b</a><img src="no.png">')
    (tmp_path / "deep" / "page.html").write_text(
        '<a href="../index.html#gone">c</a><a href="https://example.org/x">d</a><a href="..">e</a>'
    )
    assert list(links.dead(tmp_path)) == [
        "deep/page.html: ../index.html#gone names no place of that page",
        "index.html: deep/page.html#there names no place of that page",
        "index.html: no.png is not there",
    ]
    assert links.outside(tmp_path) == ["https://example.org/x"]


def public():
    """Every public function and class: those of brim, its families, and the rooms of rstanarm and mixedup."""
    for name in (*brim._HOMES, *brim._FAMILIES):
        yield name, getattr(brim, name)
    for package in (brim.rstanarm, brim.mixedup):
        for name, value in vars(package).items():
            if callable(value) and value.__module__.startswith(f"{package.__name__}."):
                yield f"{package.__name__}.{name}", value


def methods():
    """Every public method and property of a fit."""
    for name in dir(brim.Fit):
        if not name.startswith("_"):
            yield name, inspect.getattr_static(brim.Fit, name), getattr(brim.Fit, name)


def example(value):
    return ">>> " in (inspect.getdoc(value) or "")


def test_every_public_name_has_a_docstring_with_an_example():
    assert [name for name, value in public() if not example(value)] == []


def test_every_public_method_of_a_fit_has_a_docstring_with_an_example():
    assert [name for name, _, value in methods() if callable(value) and not example(value)] == []


def reference_page():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["lmer.LmerFit", "glmer.GlmerFit", "nlmer.NlmerFit"])
def test_every_method_of_a_mixed_model_has_a_docstring_with_an_example(kind):
    module, name = kind.split(".")
    fit = getattr(importlib.import_module(f"brim.lme4.{module}"), name)
    own = [n for n, v in vars(fit).items() if not n.startswith("_") and inspect.isfunction(v) and n not in dir(AbstractMer)]
    for name in [*reference_page().MER, *own]:
        if isinstance(inspect.getattr_static(fit, name), property | cached_property):
            assert inspect.getdoc(inspect.getattr_static(AbstractMer, name)), name
        else:
            assert example(getattr(fit, name)), name


def test_every_method_of_a_fit_of_rstanarm_has_a_docstring_with_an_example():
    names = [name for name in vars(StanFit) if not name.startswith("_") and callable(getattr(StanFit, name))]
    assert [name for name in names if not example(getattr(StanFit, name))] == []


def test_the_reference_has_every_public_name_and_method():
    module = reference_page()
    listed = set(re.findall(r"^::: (\S+)$", "".join(module.pages().values()), re.MULTILINE))
    homes = {f"{home}.{name}" for name, home in brim._HOMES.items()}
    assert homes <= listed
    own = {name for name in vars(brim.Fit) if inspect.isfunction(vars(brim.Fit)[name])}  # stand in the class itself
    for name, _, value in methods():
        if callable(value) and name not in own and name != "of":
            value = getattr(value, "__wrapped__", value)
            assert f"{value.__module__}.{value.__qualname__}" in listed, name


def test_every_property_of_a_fit_has_a_docstring():
    assert [name for name, raw, value in methods() if isinstance(raw, property) and not inspect.getdoc(value)] == []


def test_the_words_of_warnings_on_the_page_of_diagnostics_are_those_of_the_source():
    text = (PAGES / "diagnostics.md").read_text(encoding="utf-8")
    said = [phrase for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for phrase in re.findall(r"(?<!\*)\*([^*]+)\*(?!\*)", row)]
    assert len(said) > 15
    source = "\n".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "src" / "brim").rglob("*.py")))
    source = re.sub(r'"\n\s*f?"', "", source)  # strings that go on in the next line
    assert [phrase for phrase in said if phrase not in source] == []


def warned(tree):
    """What each ``warn()`` of a file says, what is put in left out; nothing where the text is, or begins with, a name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "warn" and node.args:
            said = node.args[0]
            parts = [n.value for n in ast.walk(said) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            first = said.values[0] if isinstance(said, ast.JoinedStr) else said
            told = isinstance(first, ast.FormattedValue) and isinstance(first.value, ast.Name) and first.value.id in ("what", "said")
            if isinstance(said, ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp) and parts and not told:
                yield " ".join(parts)


def test_every_warning_of_the_source_is_on_the_page_of_diagnostics():
    text = (PAGES / "diagnostics.md").read_text(encoding="utf-8")
    said = re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text)
    found = [w for file in sorted((ROOT / "src" / "brim").rglob("*.py")) for w in warned(ast.parse(file.read_text(encoding="utf-8")))]
    assert len(found) > 25
    assert [w for w in found if not any(phrase in w for phrase in said)] == []


def test_the_paper_has_the_parts_of_joss_and_its_references():
    paper, bib = (ROOT / "paper.md").read_text(encoding="utf-8"), (ROOT / "paper.bib").read_text(encoding="utf-8")
    parts = re.findall(r"^# (.*)$", paper, re.MULTILINE)
    assert [p for p in ("Summary", "Statement of need", "State of the field", "Software design", "References") if p not in parts] == []
    assert set(re.findall(r"\[@(\w+)\]", paper)) == set(re.findall(r"^@\w+\{(\w+),", bib, re.MULTILINE))


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "paper.md"], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_of_this_repository_that_pages_name_are_there(page):
    named = re.findall(r"`((?:tests|benchmarks|docs|src)/[\w./-]+?)/?`", page.read_text(encoding="utf-8"))
    made = ("docs/results", "src/brim/terms/kink.py")
    assert [name for name in named if not ((ROOT / name).exists() or name in made)] == []


def test_every_command_of_the_shell_and_every_option_says_what_it_does():
    from brim.cli import cli

    commands = cli.commands
    assert len(commands) >= 9
    for name, command in commands.items():
        assert (command.help or "").strip(), name
        unsaid = [p.name for p in command.params if p.param_type_name == "option" and not (getattr(p, "help", None) or "").strip()]
        assert unsaid == [], name
