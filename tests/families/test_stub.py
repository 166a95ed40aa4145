"""``brim/families/__init__.pyi`` tells editors and mypy what the constructors take. Run this file to write it anew."""

from __future__ import annotations

import doctest
import inspect
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

import brim
import brim.families
from brim.families.registry import CONSTRUCTORS

STUB = Path(brim.families.__file__).with_suffix(".pyi")
HEADER = '''"""The families and their constructors, for editors and type checkers; ``tests/families/test_stub.py`` writes this file."""

from typing import Any

from brim.distributions.base import Distribution as Distribution
from brim.families.base import Dpar as Dpar
from brim.families.base import DparSpec as DparSpec
from brim.families.base import Family as Family
from brim.families.base import Seen as Seen
from brim.families.constructor import Constructor as Constructor
from brim.families.custom import custom_family as custom_family
from brim.families.registry import family as family
from brim.families.registry import mixture as mixture

__all__ = [
{names}]
'''


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _wrapped(text: str) -> str:
    lines = textwrap.wrap(text, 120)
    return "\n        ".join([*lines, ""] if len(lines) > 1 else lines)


def stub() -> str:
    names = sorted([*CONSTRUCTORS, "custom_family", "mixture"])
    text = [HEADER.replace("{names}", "".join(f'    "{n}",\n' for n in names))]
    for name, made in sorted(CONSTRUCTORS.items()):
        parameters = inspect.signature(made).parameters.values()
        lines = [f"        {p.name}: {'str' if isinstance(p.default, str) else 'Any'} = {_text(p.default)},\n" for p in parameters]
        text.append(
            f"\nclass _{name}(Constructor):\n    def __call__(\n        self,\n{''.join(lines)}    ) -> Family:\n"
            f'        """{_wrapped(made.summary)}"""\n\n{name}: _{name}\n'
        )
    return "".join(text)


def test_the_stub_is_that_of_the_constructors():
    assert STUB.read_text() == stub()


def test_families_are_public_names_of_brim():
    assert sorted([*CONSTRUCTORS, "custom_family", "mixture"]) == sorted(brim.families.__all__) == sorted(brim._FAMILIES)
    space: dict = {}
    exec("from brim import *", space)
    assert space["poisson"]().name == "poisson"
    assert set(brim.families.__all__) <= set(space)


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
def test_each_family_has_an_example_that_runs(name):
    (test,) = doctest.DocTestFinder(recurse=False).find(CONSTRUCTORS[name], name, globs={})
    assert test.examples
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


if __name__ == "__main__":
    STUB.write_text(stub())
