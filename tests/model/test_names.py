"""Names and order of variables: brms 2.18's for the same models (``tests/reference/names.json.gz``)."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import brim
from brim import bf, brm, prior, set_rescor

NAMES = json.loads(gzip.decompress((Path(__file__).parents[1] / "reference" / "names.json.gz").read_bytes()))
#: Latent vectors that brms keeps only on request, and long ones that the file leaves out.
LATENT = ("Xme_", "err[", "s_", "zgp_")


def data():
    rng = np.random.default_rng(1)
    n = 24
    d = pd.DataFrame({name: rng.normal(size=n) for name in ("y1", "y2", "x", "z", "xe")})
    d = d.assign(g=list("abcd") * 6, k=pd.Categorical([1, 2, 3] * 8, ordered=True), c3=["1", "2", "3"] * 8, se=np.abs(d.z) + 0.1)
    d = d.assign(c=pd.Categorical([1, 2, 3] * 8, ordered=True), tt=np.arange(1, n + 1), m=d.z.where(d.index != 2), pos=np.exp(d.y1))
    d["h"] = np.where(d.g.isin(["a", "b"]), "u v", "w")
    d["odd"] = np.where(d.g.isin(["a", "b"]), "u-v [1]", "w,(x)")
    d["reverse"] = list("dcba") * 6
    return d


NEIGHBOURS = pd.DataFrame([[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]], index=list("abcd"), dtype=float)
NL = [prior("normal(0, 1)", nlpar="k1"), prior("normal(0, 1)", nlpar="b")]
MODELS = {
    "mv": lambda d: brm(
        bf("y1 ~ x + (1 + x|g)", "sigma ~ x + (1|g)") + bf("y2 ~ x + (1|p|g)", "sigma ~ x + (1|p|g)") + set_rescor(False), d, empty=True
    ),
    "special": lambda d: brm(
        bf("y1 ~ x", "sigma ~ mo(k) + s(x) + me(xe, se) + gp(z)") + bf("y2 ~ mo(k) + s(x) + gp(z)") + set_rescor(False), d, empty=True
    ),
    "nl": lambda d: brm(bf("y1 ~ a * exp(b * x)", "a ~ z + (1|p|g)", "b ~ 1 + (1|p|g)", "sigma ~ x + (1|p|g)", nl=True), d, empty=True),
    "nlmv": lambda d: brm(
        bf("y1 ~ a * exp(b * x)", "a ~ z + mo(k) + (1|p|g)", "b ~ s(x)", "sigma ~ x + (1|p|g)", nl=True) + bf("y2 ~ x") + set_rescor(False),
        d,
        empty=True,
    ),
    "nlorder": lambda d: brm(
        bf("y1 ~ b * exp(a)", "b + k1 ~ 1 + (1|p|g)", "nu ~ x + (1|p|g)", "sigma ~ x + (1|p|g)", nl=True) + brim.nlf("a ~ k1 * x"),
        d,
        "student",
        NL,
        empty=True,
    ),
    "by": lambda d: brm("y1 ~ x + (1 + x | gr(g, by = by2))", d.rename(columns={"h": "by2"}), empty=True),
    "byodd": lambda d: brm("y1 ~ x + (1 | gr(g, by = by2))", d.rename(columns={"odd": "by2"}), empty=True),
    "mi": lambda d: brm(bf("pos ~ x", "shape ~ mi(m)", family=brim.gamma("log")) + bf("m | mi() ~ x", family="gaussian"), d, empty=True),
    "cat": lambda d: brm("c3 ~ x + (1|g)", d, "categorical", empty=True),
    "catmv": lambda d: brm(bf("c3 ~ x + (1|p|g)", family="categorical") + bf("y1 ~ x + (1|p|g)"), d, empty=True),
    "catmvdist": lambda d: brm(
        bf("c3 ~ x + s(z) + mo(k)", family="categorical") + bf("y1 ~ x + t2(x, z) + (1|g:k)", "sigma ~ gp(x, by = g)"), d, empty=True
    ),
    "mix": lambda d: brm(
        bf("y1 ~ x + (1|g)", "sigma1 ~ z", "theta2 ~ x", "mu2 ~ (1|g)"), d, brim.mixture("gaussian", "gaussian"), empty=True
    ),
    "ordmv": lambda d: brm(bf("k ~ x", family="cumulative") + bf("y1 ~ x") + set_rescor(False), d, empty=True),
    "car": lambda d: brm("y1 ~ x + car(W, gr = g)", d, data2={"W": NEIGHBOURS}, empty=True),
    "arma": lambda d: brm("y1 ~ x + arma(tt)", d, "student", empty=True),
    "mm": lambda d: brm("y1 ~ x + (1 + x | mm(g, by))", d.rename(columns={"reverse": "by"}), empty=True),
    "mo": lambda d: brm("y1 ~ mo(k) * x + mo(c3)", d.assign(c3=d["c"]), empty=True),
    "lasso": lambda d: brm("y1 ~ x + z", d, prior=prior("lasso()"), empty=True),
}


@pytest.mark.parametrize("model", sorted(MODELS))
def test_names(model):
    got = MODELS[model](data()).variables()
    assert [n for n in got if not n.startswith(LATENT)] == NAMES[model]
