"""Fits with the draws that R's loo, brms and bayesplot computed with: those of tests/reference/post and the added models of after/."""

from functools import cache

import jax
import numpy as np

import brim
import fits
from references import data, draws, family, formula, reference


@cache
def model(name):
    """A fit with the reference's draws."""
    if name in fits.POSTERIORS:
        return fits.fit(name)
    ref = reference("post/s_group") if name == "s_group" else reference("after/loo")["extra_models"][name]
    spec = ref["spec"]
    empty = brim.brm(formula(spec), data(spec["data"]), family=family(spec["family"]), empty=True)
    return empty.with_draws(draws(ref) if name != "s_group" else turned(empty, draws(ref)), chains=ref["chains"])


def turned(empty, frame):
    """R's eigenvectors of the smooth, and with them its coefficients, may have the other sign."""
    (term,) = (t for p in empty.model.responses[0].predictors for t in p.terms if t.key == "smooth_1")
    with jax.enable_x64(True):
        design = term.design(empty.frame)
    theirs = reference("smooth_bases")["s_group"]
    columns = np.hstack([theirs["Xs"], theirs["Zs"]["Zs_1_1"]])
    signs = np.sign(np.sum(np.hstack([design["X"], design["Z"]]) * columns, axis=0))
    names = [v for v in empty.variables() if v.startswith(("bs_", "s_"))]
    return frame.assign(**{v: frame[v] * sign for v, sign in zip(names, signs, strict=True)})
