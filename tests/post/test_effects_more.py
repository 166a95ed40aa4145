"""conditional_effects against brms (tests/reference/after/conditional_effects.json.gz): pairs of variables, conditions, categories, ..."""

import numpy as np
import pandas as pd
import pytest

import brim
from posteriors import model
from references import reference

REF = reference("after/conditional_effects")
CALLS = {
    "num_num": {"effects": "x:z", "resolution": 25},
    "num_num_swap": {"effects": "z:x", "resolution": 12},
    "fac_num": {"effects": "Trt:zBase"},
    "num_fac": {"effects": "zBase:Trt", "resolution": 20},
    "num_num_pois": {"effects": "zBase:zAge", "resolution": 15},
    "fac_only": {"effects": "Trt", "prob": 0.8},
    "int_conditions": {"effects": "x:z", "resolution": 10, "int_conditions": {"z": [-0.5, 0, 1]}},
    "robust_false": {"effects": "zAge", "robust": False, "resolution": 12},
    "conditions": {"effects": "zAge", "resolution": 8, "conditions": pd.DataFrame({"Trt": ["0", "1"], "zBase": [-0.5, 1]})},
    "ordinal": {"categorical": True, "resolution": 15},
    "dpar_sigma": {"dpar": "sigma", "resolution": 15},
    "dist_mu": {"resolution": 10},
    "re_formula_null": {
        "effects": "Days",
        "re_formula": None,
        "resolution": 8,
        "conditions": pd.DataFrame({"Subject": ["308", "335"]}),
    },
    "surface": {"effects": "x:z", "surface": True, "resolution": 6},
    "linpred": {"effects": "zBase", "method": "posterior_linpred", "resolution": 8},
    "fac_num_plain": {"resolution": 10},
    "all_default": {"resolution": 10},
}


def compare(name, mine):
    for effect, ref in REF[name]["effects"].items():
        (key,) = [k for k in mine if k == effect.removesuffix(":cats__")]
        for column in ("estimate__", "se__", "lower__", "upper__"):
            np.testing.assert_allclose(mine[key][column], ref[column], rtol=1e-6, atol=1e-8, err_msg=f"{effect} {column}")


@pytest.mark.parametrize("name", CALLS)
def test_as_brms(name):
    compare(name, model(REF[name]["model"]).conditional_effects(**CALLS[name]))


def test_mean_category():
    with pytest.warns(brim.BrimWarning, match="mean category"):
        mine = model("cumulative").conditional_effects(effects="x", resolution=15)
    compare("ordinal_mean", mine)


def test_make_conditions():
    fit = model("poisson")
    conditions = fit.make_conditions(["zBase", "Trt"])
    assert conditions["cond__"].tolist()[:3] == ["zBase = -1 & Trt = 0", "zBase = -1 & Trt = 1", "zBase = 0 & Trt = 0"]
    compare("make_conditions", fit.conditional_effects(effects="zAge", resolution=6, conditions=conditions))
    with pytest.raises(brim.BrimError, match="no variable 'Trx'"):
        fit.make_conditions("Trx")


def test_conditions_of_groups():
    """A level of a grouping factor each, also of one whose levels are numbers."""
    data = brim.load_data("epilepsy")
    fit = brim.brm("count ~ zAge + (1 | patient)", data, family="poisson", empty=True)
    conditions = fit.make_conditions(["patient"])
    assert len(conditions) == data["patient"].nunique()
    assert conditions["cond__"].iloc[0] == "patient = 1"
