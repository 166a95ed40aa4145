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

from brim.api.collector import while_importing
from brim.errors import end_in_users_frame
from brim.fit.version import __version__

if TYPE_CHECKING:
    from brim import data as data
    from brim import families as families
    from brim import limits as limits
    from brim import mixedup as mixedup
    from brim import rstanarm as rstanarm
    from brim.api.brm import brm as brm
    from brim.api.brm import default_prior as default_prior
    from brim.api.brm import get_prior as get_prior
    from brim.api.fit import Fit as Fit
    from brim.api.fit import load as load
    from brim.api.imported import from_brms as from_brms
    from brim.api.multiple import brm_multiple as brm_multiple
    from brim.api.multiple import combine_models as combine_models
    from brim.api.resume import resume as resume
    from brim.api.sbc import sbc as sbc
    from brim.data import load_data as load_data
    from brim.errors import BrimError as BrimError
    from brim.errors import BrimWarning as BrimWarning
    from brim.families import acat as acat
    from brim.families import asym_laplace as asym_laplace
    from brim.families import bernoulli as bernoulli
    from brim.families import beta as beta
    from brim.families import beta_binomial as beta_binomial
    from brim.families import binomial as binomial
    from brim.families import categorical as categorical
    from brim.families import com_poisson as com_poisson
    from brim.families import cox as cox
    from brim.families import cratio as cratio
    from brim.families import cumulative as cumulative
    from brim.families import custom_family as custom_family
    from brim.families import dirichlet as dirichlet
    from brim.families import dirichlet_multinomial as dirichlet_multinomial
    from brim.families import discrete_weibull as discrete_weibull
    from brim.families import exgaussian as exgaussian
    from brim.families import exponential as exponential
    from brim.families import frechet as frechet
    from brim.families import gamma as gamma
    from brim.families import gaussian as gaussian
    from brim.families import gen_extreme_value as gen_extreme_value
    from brim.families import geometric as geometric
    from brim.families import hurdle_cumulative as hurdle_cumulative
    from brim.families import hurdle_gamma as hurdle_gamma
    from brim.families import hurdle_lognormal as hurdle_lognormal
    from brim.families import hurdle_negbinomial as hurdle_negbinomial
    from brim.families import hurdle_poisson as hurdle_poisson
    from brim.families import inverse_gaussian as inverse_gaussian
    from brim.families import logistic_normal as logistic_normal
    from brim.families import lognormal as lognormal
    from brim.families import mixture as mixture
    from brim.families import multinomial as multinomial
    from brim.families import negbinomial as negbinomial
    from brim.families import negbinomial2 as negbinomial2
    from brim.families import poisson as poisson
    from brim.families import shifted_lognormal as shifted_lognormal
    from brim.families import skew_normal as skew_normal
    from brim.families import sratio as sratio
    from brim.families import student as student
    from brim.families import von_mises as von_mises
    from brim.families import weibull as weibull
    from brim.families import wiener as wiener
    from brim.families import xbeta as xbeta
    from brim.families import zero_inflated_asym_laplace as zero_inflated_asym_laplace
    from brim.families import zero_inflated_beta as zero_inflated_beta
    from brim.families import zero_inflated_beta_binomial as zero_inflated_beta_binomial
    from brim.families import zero_inflated_binomial as zero_inflated_binomial
    from brim.families import zero_inflated_negbinomial as zero_inflated_negbinomial
    from brim.families import zero_inflated_poisson as zero_inflated_poisson
    from brim.families import zero_one_inflated_beta as zero_one_inflated_beta
    from brim.families.registry import brmsfamily as brmsfamily
    from brim.infer.nuts.stopping import stop_when as stop_when
    from brim.language.brms import acformula as acformula
    from brim.language.brms import bf as bf
    from brim.language.brms import brmsformula as brmsformula
    from brim.language.brms import lf as lf
    from brim.language.brms import mvbf as mvbf
    from brim.language.brms import mvbind as mvbind
    from brim.language.brms import nlf as nlf
    from brim.language.brms import set_mecor as set_mecor
    from brim.language.brms import set_nl as set_nl
    from brim.language.brms import set_rescor as set_rescor
    from brim.lme4.glmer import glmer as glmer
    from brim.lme4.lmer import lmer as lmer
    from brim.lme4.mvnorm import rmvnorm as rmvnorm
    from brim.lme4.nlmer import nlmer as nlmer
    from brim.mixedup.compare import compare_estimates as compare_estimates
    from brim.parameters.prior import prior as prior
    from brim.parameters.prior import set_prior as set_prior
    from brim.post.comparison.averages import posterior_average as posterior_average
    from brim.post.comparison.averages import pp_average as pp_average
    from brim.post.comparison.averages import pp_mixture as pp_mixture
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
    from brim.post.effects.conditions import make_conditions as make_conditions
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


end_in_users_frame()

# Where each public name lives; imported when first used, so that `import brim` costs next to nothing.
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
    "brmsfamily": "brim.families.registry",
    "brmsformula": "brim.language.brms",
    "get_prior": "brim.api.brm",
    "set_prior": "brim.parameters.prior",
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
    "compare_estimates": "brim.mixedup.compare",
    "glmer": "brim.lme4.glmer",
    "rmvnorm": "brim.lme4.mvnorm",
    "lmer": "brim.lme4.lmer",
    "load": "brim.api.fit",
    "resume": "brim.api.resume",
    "stop_when": "brim.infer.nuts.stopping",
    "load_data": "brim.data",
    "loo": "brim.post.comparison.loo",
    "loo_compare": "brim.post.comparison.compare",
    "make_conditions": "brim.post.effects.conditions",
    "model_weights": "brim.post.comparison.weights",
    "mvbf": "brim.language.brms",
    "mvbind": "brim.language.brms",
    "nlf": "brim.language.brms",
    "post_prob": "brim.post.comparison.bridge",
    "posterior_average": "brim.post.comparison.averages",
    "powerscale_sensitivity": "brim.post.diagnose.check",
    "pp_average": "brim.post.comparison.averages",
    "pp_mixture": "brim.post.comparison.averages",
    "predictions": "brim.post.inference.comparisons",
    "nlmer": "brim.lme4.nlmer",
    "prior": "brim.parameters.prior",
    "sbc": "brim.api.sbc",
    "set_mecor": "brim.language.brms",
    "set_nl": "brim.language.brms",
    "set_rescor": "brim.language.brms",
    "slopes": "brim.post.inference.comparisons",
    "tidy": "brim.post.summaries.tidy",
    "waic": "brim.post.comparison.loo",
}
# The names of families; a test compares them with the families themselves.
_FAMILIES = (
    "acat",
    "asym_laplace",
    "bernoulli",
    "beta",
    "beta_binomial",
    "binomial",
    "categorical",
    "com_poisson",
    "cox",
    "cratio",
    "cumulative",
    "custom_family",
    "dirichlet",
    "dirichlet_multinomial",
    "discrete_weibull",
    "exgaussian",
    "exponential",
    "frechet",
    "gamma",
    "gaussian",
    "gen_extreme_value",
    "geometric",
    "hurdle_cumulative",
    "hurdle_gamma",
    "hurdle_lognormal",
    "hurdle_negbinomial",
    "hurdle_poisson",
    "inverse_gaussian",
    "logistic_normal",
    "lognormal",
    "mixture",
    "multinomial",
    "negbinomial",
    "negbinomial2",
    "poisson",
    "shifted_lognormal",
    "skew_normal",
    "sratio",
    "student",
    "von_mises",
    "weibull",
    "wiener",
    "xbeta",
    "zero_inflated_asym_laplace",
    "zero_inflated_beta",
    "zero_inflated_beta_binomial",
    "zero_inflated_binomial",
    "zero_inflated_negbinomial",
    "zero_inflated_poisson",
    "zero_one_inflated_beta",
)
_MODULES = ("data", "families", "limits", "rstanarm", "mixedup")

__all__ = ["__version__", *_FAMILIES, *_HOMES]


if not TYPE_CHECKING:  # to a type checker, what is not imported above is not there

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            value = getattr(_imported(_HOMES[name]), name)
        elif name in _MODULES:
            return _imported(f"brim.{name}")
        elif name in _FAMILIES:
            value = getattr(_families(), name)
        else:
            raise AttributeError(_missing(name), name=name, obj=sys.modules[__name__])
        globals()[name] = value
        return value


def _missing(name: str) -> str:
    """What is said of a name that is not here; of a name of brms', what to use."""
    what = f"module 'brim' has no attribute {name!r}"
    if name.startswith("_"):
        return what
    use = _imported("brim.api.elsewhere").of_module(name)
    if not use and hasattr(_imported("brim.api.fit").Fit, name):
        use = f"it is a method of a fit: fit.{name}(...)"
    return f"{what}: {use}" if use else what


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})


def _families() -> ModuleType:
    return _imported("brim.families")


def _imported(module: str) -> ModuleType:
    with while_importing():
        return import_module(module)
