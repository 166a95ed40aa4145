"""``drop_unused_levels``: levels that no row has, against ``get_prior(drop_unused_levels = FALSE)`` of brms 2.18."""

import numpy as np
import pandas as pd
import pytest

import brim

D = pd.DataFrame(
    {
        "y": [1.0, 2.0, 0.5, 3.0],
        "f": pd.Categorical(["a", "b", "a", "b"], categories=["a", "b", "c"]),
        "g": pd.Categorical(["u", "v", "u", "v"], categories=["u", "v", "w"]),
        "o": pd.Categorical([1, 2, 1, 2], categories=[1, 2, 3], ordered=True),
        "t": ["p", "q", "p", "q"],
    }
)


def test_dropped_by_default():
    assert "b_fc" not in brim.brm("y ~ f + (1 | g)", D, empty=True).variables()


def test_kept(tmp_path):
    with pytest.warns(brim.BrimWarning, match="'fc' is 0 in every row"):
        fit = brim.brm("y ~ f + t + (1 | g)", D, drop_unused_levels=False, empty=True)
    wanted = ["b_Intercept", "b_fb", "b_fc", "b_tq", "r_g[u,Intercept]", "r_g[v,Intercept]", "r_g[w,Intercept]"]
    assert [v for v in fit.variables() if v.startswith(("b_", "r_"))] == wanted
    path = tmp_path / "fit.nc"
    with pytest.warns(brim.BrimWarning):
        again = fit.update(empty=True)
    fit.save(path)
    assert again.variables() == fit.variables() == brim.load(path).variables()
    assert "b_fc" not in fit.update(drop_unused_levels=True, empty=True).variables()
    one = fit.with_draws(pd.DataFrame({v: [float(i)] for i, v in enumerate(fit.variables())}))
    at = {v: i for i, v in enumerate(fit.variables())}
    value = at["b_Intercept"] + at["b_fc"] + at["r_g[w,Intercept]"]
    np.testing.assert_allclose(one.posterior_epred({"f": ["c"], "t": ["p"], "g": ["w"]}), [[value]])


def test_kept_categories():
    assert brim.brm("o ~ 1", D, "cumulative", empty=True).variables()[:2] == ["b_Intercept[1]", "disc"]
    fit = brim.brm("o ~ 1", D, "cumulative", drop_unused_levels=False, empty=True)
    assert fit.variables()[:3] == ["b_Intercept[1]", "b_Intercept[2]", "disc"]


def test_checked():
    with pytest.raises(brim.BrimError, match="drop_unused_levels"):
        brim.brm("y ~ f", D, drop_unused_levels="no", empty=True)
