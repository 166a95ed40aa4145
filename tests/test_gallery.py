"""Every section of docs/gallery.md runs as written and prints what it says."""

import doctest
import re
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.default_precision

PAGE = Path(__file__).parents[1] / "docs" / "gallery.md"


def sections():
    """Title -> (first line, text) of what stands under each second-level heading; "" is what comes before the first."""
    parts = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    titled = zip(["", *parts[1::2]], parts[::2], strict=True)
    found, line = {}, 0
    for title, text in titled:
        found[title] = (line, text)
        line += text.count("\n") + 1
    return found


SECTIONS = sections()


def run(title, names):
    """Run the examples of a section in the namespace ``names``, which they may add to."""
    line, text = SECTIONS[title]
    text = re.sub(r"^```.*\n", "\n", text, flags=re.MULTILINE)  # a fence is not part of what the example prints
    test = doctest.DocTestParser().get_doctest(text, names, title, str(PAGE), line)
    out = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=out.append, clear_globs=False)
    assert runner.tries > 0, "no example"
    assert runner.failures == 0, "".join(out)
    return test.globs


@cache
def imports():
    return run("", {})


@pytest.mark.parametrize("title", [title for title in SECTIONS if title])
def test_section(title):
    run(title, dict(imports()))


def test_headings_are_distinct():
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(set(headings)) == len(headings) > 20
