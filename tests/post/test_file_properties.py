"""Wherever a saved fit is damaged, and whatever its content is changed to: brim's error, or the fit as it was."""

import json
from contextlib import suppress
from functools import partial

import h5py
import pytest
from hypothesis import strategies as st

import brim
from fits import random_draws, reseal
from properties import FEW, MANY, hold

pytestmark = [pytest.mark.default_precision, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("fits") / "fit.nc"
    random_draws("y ~ x + (1 | g)").save(path)
    return path, path.read_bytes()


def damaged(path, whole, harm):
    kind, at, value = harm
    at = int(at * (len(whole) - 1))
    parts = {
        "flipped": whole[:at] + bytes([whole[at] ^ (1 + value % 255)]) + whole[at + 1 :],
        "cut": whole[:at],
        "longer": whole + bytes([value]) * (1 + at % 50),
        "zeros": whole[:at] + bytes(min(16, len(whole) - at)) + whole[at + 16 :],
        "moved": whole[at:] + whole[:at],
    }
    if parts[kind] == whole:
        return
    path.write_bytes(parts[kind])
    with pytest.raises(brim.BrimError):
        brim.load(path)


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=4,
)


def tampered(path, whole, change):
    """One value anywhere in the request, replaced by any other, under a seal that fits."""
    which, new = change
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        content = json.loads(file["brim/content"][()])
        places = list(_places(content))
        holder, key = places[int(which * (len(places) - 1))]
        holder[key] = new
        file["brim/content"][()] = json.dumps(content)
    reseal(path)
    with suppress(brim.BrimError):
        assert "\x1b" not in str(brim.load(path).summary())


def _places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        yield value, key
        yield from _places(inner)


CASES = [
    (damaged, st.tuples(st.sampled_from(("flipped", "cut", "longer", "zeros", "moved")), st.floats(0, 1), st.integers(0, 255))),
    (tampered, st.tuples(st.floats(0, 1), _json)),
]


@pytest.mark.parametrize(("check", "examples"), CASES, ids=["damaged", "tampered"])
def test_files(saved, check, examples):
    hold(FEW, partial(check, *saved), examples)
    saved[0].write_bytes(saved[1])
    assert brim.load(saved[0]).nobs() == 40


@pytest.mark.slow
@pytest.mark.parametrize(("check", "examples"), CASES, ids=["damaged", "tampered"])
def test_many_files(saved, check, examples):
    hold(MANY, partial(check, *saved), examples)
