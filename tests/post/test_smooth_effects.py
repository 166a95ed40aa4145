"""posterior_smooths, conditional_smooths: parts of the predictor that add up to it."""

import numpy as np
import pandas as pd
import pytest

import brim
import fits


def drawn(formula, n=5):
    rng = np.random.default_rng(4)
    empty = brim.brm(formula, fits.small(), empty=True)
    columns = {v: np.exp(b) if v.startswith(("sd", "sigma")) else b for v in empty.variables() for b in [rng.normal(size=n)]}
    return empty.with_draws(pd.DataFrame(columns))


def test_parts_add_up():
    fit = drawn("y ~ s(x, k = 5) + s(z, k = 4) + (1 | g)")
    parts = sum(fit.posterior_smooths(name) for name in ("s(x, k = 5)", "s(z, k = 4)"))
    rest = fit.draws["b_Intercept"].ravel()[:, None]
    np.testing.assert_allclose(parts + rest, fit.posterior_linpred(re_formula=False), rtol=1e-9, atol=1e-9)
    few = fit.posterior_smooths("s(x,k=5)", {"x": fits.small()["x"][:3]}, draw_ids=[1])
    np.testing.assert_allclose(few, fit.posterior_smooths("s(x, k = 5)")[[1], :3], rtol=1e-9, atol=1e-9)


def test_tables():
    fit = drawn(brim.bf("y ~ s(x, k = 5) + t2(x, z, k = 3)", "sigma ~ s(z, k = 4)"))
    found = fit.conditional_smooths(resolution=7)
    assert [k.split("(")[0] for k in found] == ["mu: s", "mu: t2", "sigma: s"]
    table = found[next(iter(found))]
    assert len(table) == 7
    draws = fit.posterior_smooths("s(x, k = 5)", {"x": table["effect1__"]})
    np.testing.assert_allclose(table["estimate__"], np.median(draws, axis=0), rtol=1e-9)
    surface = found[list(found)[1]]
    assert len(surface) == 49
    sigma = fit.posterior_smooths("s(z, k = 4)", {"z": [0.0]}, dpar="sigma")
    assert sigma.shape == (5, 1)
    assert found.plot()


def test_refused():
    fit = drawn("y ~ s(x, k = 5)")
    with pytest.raises(brim.BrimError, match="no smooth 's\\(z\\)'"):
        fit.posterior_smooths("s(z)")
    with pytest.raises(brim.BrimError, match="no smooths"):
        drawn("y ~ x").conditional_smooths()
