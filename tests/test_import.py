"""What `import brim` costs, and what it offers."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import brim

PUBLIC = """brm bf lf nlf mvbind set_rescor set_nl set_mecor prior default_prior load load_data acformula mvbf
gaussian student bernoulli binomial poisson negbinomial Fit BrimError BrimWarning""".split()


def python(code):
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_loads_nothing_heavy():
    heavy = {"jax", "numpyro", "numpy", "scipy", "pandas", "xarray", "narwhals", "matplotlib", "arviz_stats", "rich", "click"}
    assert heavy.isdisjoint(python("import sys, brim; print(*sys.modules)"))


def test_a_fit_needs_no_other_probabilistic_language():
    code = "import sys, brim; brim.brm('Reaction ~ Days + (Days | Subject)', brim.load_data('sleepstudy'), iter=20)"
    others = {"numpyro", "scipy.stats", "scipy.sparse", "scipy.linalg", "scipy.optimize", "pyarrow.dataset"}
    assert others.isdisjoint(python(code + "; print(*sys.modules)"))


def test_import_takes_less_than_half_a_second():
    def seconds():
        start = time.perf_counter()
        python("import brim")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names(name):
    assert callable(getattr(brim, name))
    assert name in dir(brim)


def test_rooms_do_not_hide_public_names():
    """Importing a package of brim sets an attribute of its name: no public name may be one of those."""
    rooms = {p.stem for p in Path(brim.__file__).parent.iterdir()} - {"__init__", "data", "families"}
    assert not rooms & set(brim.__all__)
    assert python("import brim.api.brm, brim.language.brms; print(type(brim.brm).__name__, type(brim.bf).__name__)") == [
        "function",
        "function",
    ]
    assert python("import brim.data; print(type(brim.data).__name__)") == ["module"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'brim' has no attribute 'brn'"):
        brim.brn  # noqa: B018
    assert not hasattr(brim, "__wrapped__")
    assert not hasattr(brim, "continuous")


def test_float64_is_not_switched_on_for_the_caller():
    code = "import jax, brim.api.brm, brim.families, brim.infer.nuts.tree; print(jax.numpy.ones(1).dtype)"
    assert python(code) == ["float32"]
