"""What every test runs under."""

import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _float64(request):
    """The numerical tests compute in float64, which brim's public functions enter by themselves (and those tests check that)."""
    if "default_precision" in request.keywords:
        yield
        return
    import jax

    with jax.enable_x64(True):
        yield
