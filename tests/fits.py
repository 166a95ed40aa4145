"""Fits that several tests look at: brms' short posteriors (tests/reference/post), and small models with made-up draws."""

import hashlib
from functools import cache

import numpy as np
import pandas as pd

import brim
from references import data, draws, family, formula, reference

POSTERIORS = ("sleep_slopes", "poisson", "cumulative")


@cache
def fit(name):
    """The fit with the reference's posterior: 4 chains of 100 draws."""
    ref = reference(f"post/{name}")
    spec = ref["spec"]
    empty = brim.brm(formula(spec), data(spec["data"]), family=family(spec["family"]), iter=300, warmup=200, data_name="d", empty=True)
    return empty.with_draws(draws(ref), chains=4)


@cache
def small():
    """Forty rows in eight groups with random draws, for what the references do not have."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "z": rng.normal(size=40)})
    rows["se"] = np.linspace(0.5, 1, 40)
    rows["g"], rows["h"] = np.arange(40) % 8 + 1, np.arange(40) % 4 + 1
    rows["by"] = np.where(rows["g"] < 4, "u", "v")
    return rows


def random_draws(spec, n=6, **kwargs):
    """A model of ``small()`` with draws that differ in every variable; correlations lie in (-1, 1)."""
    empty = brim.brm(spec, small(), empty=True, **kwargs)
    rng = np.random.default_rng(4)
    columns = {v: np.tanh(rng.normal(size=n)) if v.startswith("cor_") else np.exp(rng.normal(size=n)) for v in empty.variables()}
    return empty.with_draws(pd.DataFrame(columns), chains=2)


def r_array(packed):
    """R's array: values in column-major order."""
    return np.reshape(np.array(packed["values"], dtype=float), packed["dim"], order="F")


def names(packed, axis):
    """Labels of an axis; R's JSON writes one label without brackets."""
    return list(np.atleast_1d(packed["dimnames"][axis]))


def reseal(path):
    """Give a file of a fit, changed by hand, a seal that fits."""
    content = path.read_bytes()
    path.write_bytes(content + b"\nbrim-sha256\n" + hashlib.sha256(content).digest())
