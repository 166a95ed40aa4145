"""Draws taken back to the unconstrained scale: the joint density there is the one that was sampled."""

import numpy as np
import pytest

import brim
from fits import small

MODELS = {
    "groups": ("y ~ x + (1 + x | g) + (1 | h)", {}),
    "by": ("y ~ x + (1 + x | gr(g, by = by))", {}),
    "smooth": ("y ~ s(x) + t2(z, se, k = 3)", {}),
    "known": ("y ~ x + (1 | gr(g, cov = A))", {"data2": {"A": 0.5 ** np.abs(np.subtract.outer(np.arange(8), np.arange(8)))}}),
    "ordinal": ("h ~ x", {"family": "cumulative"}),
    "dpar": (brim.bf("y ~ mo(h) + x", "sigma ~ z"), {}),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in ("by", "smooth", "ordinal") else n for n in MODELS])
def test_joint_density(name):
    from brim.post.unconstrained import Unconstrained

    formula, options = MODELS[name]
    data = small()
    if name == "known":
        import pandas as pd

        levels = [str(i) for i in range(1, 9)]
        options = {"data2": {"A": pd.DataFrame(options["data2"]["A"], index=levels, columns=levels)}}
    fit = brim.brm(formula, data, chains=1, iter=60, warmup=50, seed=1, progress=False, **options)
    space = Unconstrained(fit)
    np.testing.assert_allclose(space.log_joint(space.draws), fit.draws["lp__"].ravel(), rtol=1e-8)
