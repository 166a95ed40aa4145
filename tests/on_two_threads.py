"""Fits of models with matrices, each run by itself: ``python on_two_threads.py NAME [ROWS]`` on two cores, which a hang would occupy."""

import faulthandler
import os
import sys
import warnings

#: formula, family; ``|`` parts responses
MODELS = {
    "gp": ("y ~ gp(a)", "gaussian"),
    "two gp": ('y ~ gp(a) + x + gp(b, cov = "matern15")', "gaussian"),
    "gp in a count": ("count ~ gp(a) + gp(b)", "poisson"),
    "gp in mu and sigma": ("y ~ gp(a) ; sigma ~ gp(b)", "gaussian"),
    "sar": ("y ~ x + sar(M)", "gaussian"),
    "sar of errors": ('y ~ gp(a) + sar(M, type = "error")', "gaussian"),
    "car": ('count ~ gp(a) + car(W, gr = place, type = "icar")', "poisson"),
    "fcor": ("y ~ gp(a) + fcor(V)", "gaussian"),
    "cosy": ("y ~ x + cosy(t, gr = g)", "gaussian"),
    "unstr": ("y ~ gp(a) + unstr(t, g)", "gaussian"),
    "arma": ("y ~ gp(a) + arma(t, g, cov = TRUE)", "gaussian"),
    "latent arma": ("count ~ gp(a) + arma(t, g, cov = TRUE)", "poisson"),
    "two responses": ("y ~ x + cosy(t, gr = g) | z ~ x + arma(t, g, cov = TRUE)", "gaussian"),
    "rescor": ("y ~ gp(a) | z ~ gp(b) | v ~ x", "gaussian"),
    "gr(cov)": ("y ~ gp(a) + (1 + x + a + b + z | gr(place, cov = A))", "gaussian"),
}


def fit(name, rows):
    import numpy as np
    import pandas as pd

    from brim import bf, brm, set_rescor

    rng = np.random.default_rng(1)
    places = [f"p{i}" for i in range(rows // 3)]
    d = pd.DataFrame({c: rng.normal(size=rows) for c in "yzvx"} | {c: rng.uniform(size=rows) for c in "ab"})
    d = d.assign(count=rng.poisson(3, rows), g=np.arange(rows) // 5, t=np.arange(rows) % 5, place=np.resize(places, rows))
    ring = 1.0 * np.isin(np.subtract.outer(np.arange(rows), np.arange(rows)) % rows, [1, rows - 1])
    near = 1.0 * (np.abs(np.subtract.outer(np.arange(len(places)), np.arange(len(places)))) == 1)
    a = pd.DataFrame(0.3**near * 0.5 ** (1 - near) + 0.5 * np.eye(len(places)), places, places)
    data2 = {"M": ring / 2, "V": 0.3 + 0.7 * np.eye(rows), "W": pd.DataFrame(near, places, places), "A": a}
    text, family = MODELS[name]
    responses = [bf(*(part.strip() for part in one.split(";"))) for one in text.split("|" if "~" in text.partition("|")[2] else "\0")]
    formula = sum(responses[1:], responses[0])
    formula = formula + set_rescor(name == "rescor") if len(responses) > 1 else formula
    short = {"max_treedepth": 4}  # what is asked is whether programs end, not how long trajectories before adaptation are
    settings = {"chains": 2, "iter": max(10, 3000 // rows), "seed": 1, "cores": 2, "progress": False, "control": short}
    one = brm(formula, d, family, data2=data2, **settings)
    new = one.posterior_predict(d.assign(a=d.a + 0.01), seed=1)
    assert np.isfinite(one.log_lik()).all()
    assert np.isfinite(new).all()


if __name__ == "__main__":
    faulthandler.dump_traceback_later(float(sys.argv[3]), exit=True)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])  # before jax counts them
    warnings.simplefilter("ignore")
    fit(sys.argv[1], int(sys.argv[2]))
    print("finished")
