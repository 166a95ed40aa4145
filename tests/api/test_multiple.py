"""Pooled fits, imported draws."""

import numpy as np
import pandas as pd
import pytest

import brim
import fits


def data(shift=0.0):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 30), "g": np.repeat(list("abc"), 10)})
    return frame.assign(y=frame["x"] + shift + rng.normal(0, 0.3, 30))


OPTIONS = {"chains": 2, "iter": 300, "seed": 1, "progress": False}


def test_pooled():
    """The pooled draws are those of the single fits, one after the other."""
    sets = [data(), data(1.0)]
    pooled = brim.brm_multiple("y ~ x", sets, **OPTIONS)
    apart = brim.brm_multiple("y ~ x", sets, combine=False, **OPTIONS)
    np.testing.assert_array_equal(pooled.draws["b_x"], np.concatenate([f.draws["b_x"] for f in apart]))
    assert pooled.info["rhat_by_set"].shape == (2,)
    assert pooled.summary().chains == 4
    made = brim.brm_multiple("y ~ x", lambda i: data(float(i)), m=2, **OPTIONS)
    np.testing.assert_array_equal(made.draws["b_x"], pooled.draws["b_x"])
    assert pooled.posterior_epred().shape == (600, 30)


def test_saved(tmp_path):
    pooled = brim.brm_multiple("y ~ x", [data(), data()], **OPTIONS)
    pooled.save(tmp_path / "fit.nc")
    np.testing.assert_array_equal(brim.load(tmp_path / "fit.nc").info["rhat_by_set"], pooled.info["rhat_by_set"])


def test_refused():
    one = brim.brm("y ~ x", data(), **OPTIONS)
    with pytest.raises(brim.BrimError, match="different variables"):
        brim.combine_models(one, brim.brm("y ~ 1", data(), **OPTIONS))
    with pytest.raises(brim.BrimError, match="different data"):
        brim.combine_models(one, brim.brm("y ~ x", data(1.0), **OPTIONS))
    with pytest.raises(brim.BrimError, match="several data sets"):
        brim.brm_multiple("y ~ x", data())


def test_draws_from_r(tmp_path):
    """What R writes: chains by their column, draws in any order, prior draws kept."""
    source = fits.fit("sleep_slopes")
    frame = source.as_draws_df().assign(prior_sigma=1.0).sample(frac=1, random_state=1)
    path = tmp_path / "draws.csv"
    frame.to_csv(path, index=False)
    back = brim.from_brms(path, source.formula, brim.load_data("sleepstudy"))
    pd.testing.assert_frame_equal(back.fixef(), source.fixef())
    assert back.draws.chains == 4
    assert "prior_sigma" in back.variables()
    (tmp_path / "fit.rds").touch()
    with pytest.raises(brim.BrimError, match="R's own format"):
        brim.from_brms(tmp_path / "fit.rds", "y ~ x", data())
    with pytest.raises(brim.BrimError, match="no file"):
        brim.from_brms(tmp_path / "none.csv", "y ~ x", data())
