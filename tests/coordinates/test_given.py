"""Chains that start at values of parameters: ``init`` as brms takes it."""

import numpy as np
import pandas as pd
import pytest

import brim
from brim import load_data
from brim.compile.session import float64
from brim.coordinates.given import given_points
from brim.errors import BrimError
from brim.fit.run import coordinates

BIMODAL = pd.DataFrame({"y": np.repeat([-20.0, 20.0], 10) + np.tile(np.linspace(-1, 1, 10), 2)})


@pytest.mark.default_precision
def test_chains_start_at_given_values():
    """Components of a mixture keep the order in which they start; the values are those of the first draws where there is no warm-up."""
    priors = [brim.prior("normal(0, 30)", class_="Intercept", dpar=f"mu{k}") for k in (1, 2)]
    first = {"Intercept_mu1": -20.0, "Intercept_mu2": 20.0, "sigma1": 1.0, "sigma2": 1.0}
    second = {**first, "Intercept_mu1": 20.0, "Intercept_mu2": -20.0}
    options = {"family": brim.mixture("gaussian", "gaussian", order="none"), "prior": priors, "chains": 2, "seed": 1, "progress": False}
    for init in ([first, second], lambda chain: first if chain == 1 else second):
        fit = brim.brm("y ~ 1", BIMODAL, init=init, iter=200, **options)
        means = fit.draws["b_mu1_Intercept"].mean(axis=1)
        np.testing.assert_allclose(means, [-20, 20], atol=1.0)


@pytest.mark.default_precision
@pytest.mark.parametrize("marginalize", [False, "auto"])
def test_values_are_of_parameters_and_variables(marginalize):
    rows = load_data("sleepstudy").to_dict("list")
    fit = brim.brm("Reaction ~ Days + (1 + Days | Subject)", rows, marginalize=marginalize, empty=True)
    space = coordinates(fit, 0.0)
    plain = given_points(space, ({},), 1)[0]
    q = given_points(space, ({"b_Days": 3.0, "Intercept": 250.0, "sigma": 2.0, "sd_1": [5.0, 6.0], "L_1": [[1, 0], [0.6, 0.8]]},), 1)[0]
    with float64():
        inner = space.plan.own(q, space.target.data)[0] if space.plan.moves else q
        found = space.plan.inner.layout.constrain(np.asarray(inner), {})[0]
    for name, value in {"b": [3.0], "Intercept": 250.0, "sigma": 2.0, "sd_1": [5.0, 6.0], "L_1": [[1, 0], [0.6, 0.8]]}.items():
        if name in found:
            np.testing.assert_allclose(found[name], value, rtol=1e-12)
    assert {"sigma", "sd_1", "L_1"} <= set(found)
    one = given_points(space, ({"sd_Subject__Days": 6.0},), 1)[0]
    assert (one != plain).sum() == 1


def test_values_that_no_chain_can_start_from():
    rows = load_data("sleepstudy").to_dict("list")
    for init, said in (
        ({"b_Dayz": 1.0}, "the model samples no 'b_Dayz'.*did you mean 'b_Days'"),
        ({"b_Intercept": 1.0}, "'b_Intercept' is computed from what is sampled.*give 'Intercept'"),
        ({"sigma": -1.0}, "sigma = -1 is outside of its range.*above 0"),
        ({"sigma": "one"}, "sigma = 'one' is no number"),
        ({"b": [1.0, 2.0]}, "b has 2 values.*it takes 1"),
        ([{"sigma": 1.0}] * 3, "values for 3 chains of 4"),
        (lambda: 3.0, "the function returned 3.0"),
        (lambda a, b: {}, "the function takes 2 arguments"),
    ):
        with pytest.raises(BrimError, match=f"(?s){said}"):
            brim.brm("Reaction ~ Days", rows, init=init, progress=False)
    with pytest.raises(BrimError, match="'map' does not start from values"):
        brim.brm("Reaction ~ Days", rows, init={"sigma": 1.0}, algorithm="map", progress=False)
