"""Programs for data of any shape take bounded memory."""

import numpy as np
import pandas as pd

import brim
from brim.compile import bounded as module
from brim.compile.bounded import bounded
from brim.compile.recent import LastUsed


def test_only_the_last_programs_are_kept(monkeypatch):
    monkeypatch.setattr(module, "_programs", LastUsed(3))
    made = []

    def make():
        made.append(1)
        return lambda x: x + 1.0

    add = bounded("add one", make)
    for n in (1, 2, 3, 4, 4, 3, 1):
        np.testing.assert_array_equal(add(np.zeros(n)), np.ones(n))
    assert len(made) == 5  # 1 had to be made again
    assert len(module._programs) <= 3


def test_functions_of_equal_structure_share_a_program():
    made = []

    def make():
        made.append(1)
        return lambda x: 2.0 * x

    for _ in range(3):
        assert bounded(("double", 7), make)(np.ones(1)).item() == 2.0
    assert len(made) == 1


def test_predictions_for_many_shapes_of_data_keep_few_programs(monkeypatch):
    monkeypatch.setattr(module, "_programs", LastUsed(4))
    fit = brim.brm("Reaction ~ Days", brim.load_data("sleepstudy"), empty=True)
    fit = fit.with_draws(pd.DataFrame({"b_Intercept": [250.0, 251.0], "b_Days": [10.0, 11.0], "sigma": [30.0, 31.0]}))
    for n in range(1, 9):
        np.testing.assert_allclose(fit.posterior_epred({"Days": np.arange(n)})[0], 250.0 + 10.0 * np.arange(n))
    assert len(module._programs) <= 4
