"""Bayesian multilevel regression models from brms and lme4 formulas.

>>> import brim
>>> fit = brim.brm("gpa ~ occasion + (1 + occasion | student)", data=brim.load_data("gpa"), empty=True)
>>> fit.nobs()
1200
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brim.api.brm import brm as brm
    from brim.api.brm import default_prior as default_prior
    from brim.api.fit import Fit as Fit
    from brim.api.fit import load as load
    from brim.api.imported import from_brms as from_brms
    from brim.api.multiple import brm_multiple as brm_multiple
    from brim.api.multiple import combine_models as combine_models
    from brim.data import load_data as load_data
    from brim.errors import BrimError as BrimError
    from brim.errors import BrimWarning as BrimWarning
    from brim.language.brms import acformula as acformula
    from brim.language.brms import bf as bf
    from brim.language.brms import lf as lf
    from brim.language.brms import mvbf as mvbf
    from brim.language.brms import mvbind as mvbind
    from brim.language.brms import nlf as nlf
    from brim.language.brms import set_mecor as set_mecor
    from brim.language.brms import set_nl as set_nl
    from brim.language.brms import set_rescor as set_rescor
    from brim.lme4.lmer import lmer as lmer
    from brim.parameters.prior import prior as prior
    from brim.post.comparison.bridge import bayes_factor as bayes_factor
    from brim.post.comparison.bridge import bridge_sampler as bridge_sampler
    from brim.post.comparison.bridge import post_prob as post_prob
    from brim.post.comparison.compare import add_criterion as add_criterion
    from brim.post.comparison.compare import loo_compare as loo_compare
    from brim.post.comparison.expectations import E_loo as E_loo
    from brim.post.comparison.expectations import bayes_R2 as bayes_R2
    from brim.post.comparison.loo import loo as loo
    from brim.post.comparison.loo import waic as waic
    from brim.post.comparison.refits import kfold as kfold
    from brim.post.comparison.weights import model_weights as model_weights
    from brim.post.diagnose.check import check as check
    from brim.post.diagnose.check import powerscale_sensitivity as powerscale_sensitivity
    from brim.post.inference.comparisons import avg_comparisons as avg_comparisons
    from brim.post.inference.comparisons import avg_predictions as avg_predictions
    from brim.post.inference.comparisons import avg_slopes as avg_slopes
    from brim.post.inference.comparisons import comparisons as comparisons
    from brim.post.inference.comparisons import emmeans as emmeans
    from brim.post.inference.comparisons import predictions as predictions
    from brim.post.inference.comparisons import slopes as slopes
    from brim.post.inference.grids import datagrid as datagrid
    from brim.post.inference.hypothesis import hypothesis as hypothesis
    from brim.post.summaries.tidy import glance as glance
    from brim.post.summaries.tidy import tidy as tidy

__version__ = "0.1.0"

# Where each public name lives; imported when first used, so that `import brim` costs next to nothing.
# The families (gaussian, student, ...) are public too: brim.families says which there are.
_HOMES = {
    "BrimError": "brim.errors",
    "BrimWarning": "brim.errors",
    "E_loo": "brim.post.comparison.expectations",
    "Fit": "brim.api.fit",
    "acformula": "brim.language.brms",
    "add_criterion": "brim.post.comparison.compare",
    "avg_comparisons": "brim.post.inference.comparisons",
    "avg_predictions": "brim.post.inference.comparisons",
    "avg_slopes": "brim.post.inference.comparisons",
    "bayes_R2": "brim.post.comparison.expectations",
    "bayes_factor": "brim.post.comparison.bridge",
    "bf": "brim.language.brms",
    "bridge_sampler": "brim.post.comparison.bridge",
    "brm": "brim.api.brm",
    "brm_multiple": "brim.api.multiple",
    "check": "brim.post.diagnose.check",
    "combine_models": "brim.api.multiple",
    "comparisons": "brim.post.inference.comparisons",
    "datagrid": "brim.post.inference.grids",
    "default_prior": "brim.api.brm",
    "emmeans": "brim.post.inference.comparisons",
    "from_brms": "brim.api.imported",
    "glance": "brim.post.summaries.tidy",
    "hypothesis": "brim.post.inference.hypothesis",
    "kfold": "brim.post.comparison.refits",
    "lf": "brim.language.brms",
    "lmer": "brim.lme4.lmer",
    "load": "brim.api.fit",
    "load_data": "brim.data",
    "loo": "brim.post.comparison.loo",
    "loo_compare": "brim.post.comparison.compare",
    "model_weights": "brim.post.comparison.weights",
    "mvbf": "brim.language.brms",
    "mvbind": "brim.language.brms",
    "nlf": "brim.language.brms",
    "post_prob": "brim.post.comparison.bridge",
    "powerscale_sensitivity": "brim.post.diagnose.check",
    "predictions": "brim.post.inference.comparisons",
    "prior": "brim.parameters.prior",
    "set_mecor": "brim.language.brms",
    "set_nl": "brim.language.brms",
    "set_rescor": "brim.language.brms",
    "slopes": "brim.post.inference.comparisons",
    "tidy": "brim.post.summaries.tidy",
    "waic": "brim.post.comparison.loo",
}
_MODULES = ("data", "families", "rstanarm")

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        return import_module(f"brim.{name}")
    elif not name.startswith("_") and name in _families().__all__:
        value = getattr(_families(), name)
    else:
        raise AttributeError(f"module 'brim' has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES, *_families().__all__})


def _families() -> ModuleType:
    return import_module("brim.families")
