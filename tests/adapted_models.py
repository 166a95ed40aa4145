"""Models with group effects in coordinates adapted to the data."""

import numpy as np
import pandas as pd

import brim
from brim import bf, set_rescor
from brim.fit.run import coordinates
from brim.infer.nuts.control import Control
from references import data

SIM = data("sim").assign(gw=lambda d: 1.0 + 0.1 * d.g.cat.codes, xr=lambda d: d.x.round())
COV = pd.DataFrame(0.4 + 0.6 * np.eye(SIM.g.nunique()), *2 * [SIM.g.cat.categories])
CONTROL = Control.read({"metric": "split"})

#: formula, family, which blocks are singles, border, chain, and whether the rest of the mean is linear
STRUCTURES = {
    "intercepts": ("ycount ~ x + (1 | g)", "poisson", (0, 0, 1), True),
    "slopes": ("ycount ~ x + (1 + x | g)", "poisson", (0, 0, 1), True),
    "uncorrelated": ("ycount ~ x + (1 + x || g)", "poisson", (0, 0, 1), True),
    "by": ("ycount ~ x + (1 + x | gr(g, by = sex))", "poisson", (0, 0, 1), True),
    "nested": ("ycount ~ x + (1 + x | g2 / f3)", "poisson", (0, 0, 2), True),
    "crossed": ("ycount ~ x + (1 + x | g) + (1 + x | g2)", "poisson", (0, 1, 1), True),
    "nested and crossed": ("ycount ~ x + (1 | g2 / f3) + (1 | g)", "poisson", (0, 1, 2), True),
    "smooth": ("ycount ~ s(x, k = 5) + (1 | g)", "poisson", (0, 1, 1), True),
    "smooth alone": ("ycount ~ z + s(x, k = 5)", "poisson", (1, 0, 0), True),
    "smooths": ("ycount ~ mo(xo) + s(x, k = 5) + s(z, k = 4, by = f3) + (1 | g2 / f3)", "poisson", (0, 2, 2), False),
    "smooth of the scale": (bf("y ~ x + s(z, k = 4)", "sigma ~ s(x, k = 5)"), "student", (0, 2, 0), True),
    "process": ("ycount ~ gp(w) + (1 + x | g)", "poisson", (0, 0, 1), False),
    "process of a basis": ("ycount ~ z + gp(x, k = 5, c = 1.25, by = sex)", "poisson", (0, 1, 0), True),
    "process of rounded points": ("ycount ~ gp(xr) + (1 | g)", "poisson", (0, 1, 1), True),
    "smooth and memberships": ("ycount ~ t2(x, z, k = 3) + (1 | mm(h1, h2))", "poisson", (1, 1, 0), True),
    "not linear": ("ycount ~ mo(xo) + (1 + x | g) + (1 | g2)", "poisson", (0, 1, 1), False),
    "shape": ("ycount ~ x + (1 | g)", "negbinomial", (0, 0, 1), True),
    "predicted shape": (bf("ycount ~ x + (1 | g)", "shape ~ z + (1 | g2)"), "negbinomial", (0, 1, 1), True),
    "tails": ("y ~ x + (1 + x | g) + (1 | g2)", "student", (0, 1, 1), True),
    "scale": (bf("y ~ x + (1 | g)", "sigma ~ z + (1 | g2)"), "gaussian", (0, 1, 1), True),
    "scale, correlated": (bf("y ~ x + (1 + x | p | g)", "sigma ~ (1 | p | g)"), "student", (0, 0, 1), True),
    "inflation": (bf("zcount ~ mo(xo) + (1 | g)", "zi ~ (1 | g)"), "zero_inflated_poisson", (0, 0, 2), False),
    "categories": ("ycat ~ x + (1 + x | g)", "categorical", (0, 0, 2), True),
    "nonlinear": (bf("ypos ~ a * exp(k * x)", "a ~ 1 + (1 | g)", "k ~ 0 + z + (1 | g2)", nl=True), "gamma", (0, 1, 1), True),
    "two responses": (bf("y ~ x + (1 | p | g)") + bf("ycount ~ z + (1 | p | g) + (1 | g2)", family="poisson"), "gaussian", (0, 1, 1), True),
    "tied responses": (bf("y ~ x + (1 + x | p | g)") + bf("y2 ~ mo(xo) + (1 | p | g)") + set_rescor(True), "gaussian", (0, 0, 1), False),
    "other rows": (bf("y | subset(sub1) ~ x + (1 | p | g)") + bf("y2 ~ z + (1 | p | g)") + set_rescor(False), "gaussian", (0, 0, 1), True),
    "missing": (bf("y ~ mi(xmis) + (1 | p | g)") + bf("xmis | mi() ~ z + (1 | p | g)") + set_rescor(False), "gaussian", (0, 0, 1), False),
    "memberships": ("ycount ~ x + (1 | mm(h1, h2))", "poisson", (1, 0, 0), True),
    "memberships with slopes": ("ycount ~ mo(xo) + (1 + x | mm(h1, h2, weights = cbind(w1, w2)))", "poisson", (0, 1, 0), False),
    "memberships beside": ("ycount ~ x + (1 | g) + (1 | mm(h1, h2))", "poisson", (0, 1, 1), True),
    "correlated levels": ("ycount ~ x + (1 | gr(g, cov = A))", "poisson", (1, 0, 0), True),
    "correlated levels beside": ("ycount ~ mo(xo) + (1 + x | gr(g, cov = A)) + (1 + x | g2)", "poisson", (0, 1, 1), False),
    "special": ("ycount ~ mo(xo) * x + (1 + mo(xo):x | g)", "poisson", (0, 0, 1), False),
    "two terms of a block": ("ycount ~ mo(xo) + (1 | p | g) + (0 + x | p | g)", "poisson", (0, 0, 1), False),
    "widths": ("ycount ~ x + (1 + x | gr(g, dist = 'student'))", "poisson", (0, 0, 1), True),
}


def adapted(formula, family, **more):
    """The fit without draws and its coordinates after the search for the modes."""
    fit = brim.brm(formula, data=SIM, family=family, empty=True, data2={"A": COV}, **more)
    return fit, coordinates(fit).approach(CONTROL, 2, 1)
