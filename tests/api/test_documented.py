"""What ``help()`` shows of a fit's methods: their arguments, and an example (which the doctests run)."""

import inspect
import pydoc

import pytest

import brim
from brim.api.fit import Fit

METHODS = [name for name in dir(Fit) if not name.startswith("_") and callable(getattr(Fit, name))]
PROPERTIES = [name for name in dir(Fit) if not name.startswith("_") and isinstance(inspect.getattr_static(Fit, name), property)]


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_an_example_and_arguments(name):
    text = inspect.getdoc(getattr(Fit, name)) or ""
    assert "Examples\n--------\n>>> import brim" in text
    shown = pydoc.plain(pydoc.render_doc(getattr(Fit, name)))
    for argument in list(inspect.signature(getattr(Fit, name)).parameters)[1:]:
        assert argument in shown
    assert text.split("\n")[0].rstrip().endswith((".", ":", "?")), "the first line is a sentence"


@pytest.mark.parametrize("name", PROPERTIES)
def test_properties_say_what_they_are(name):
    assert inspect.getdoc(inspect.getattr_static(Fit, name))


def test_methods_bound_to_a_fit_show_the_same():
    fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
    for name in ("pp_check", "conditional_effects", "loo", "posterior_epred", "hypothesis"):
        mine, plain = inspect.signature(getattr(fit, name)), inspect.signature(getattr(Fit, name))
        assert list(mine.parameters) == list(plain.parameters)[1:]
