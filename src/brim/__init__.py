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
    from brim.bf import acformula as acformula
    from brim.bf import bf as bf
    from brim.bf import lf as lf
    from brim.bf import mvbf as mvbf
    from brim.bf import mvbind as mvbind
    from brim.bf import nlf as nlf
    from brim.bf import set_mecor as set_mecor
    from brim.bf import set_nl as set_nl
    from brim.bf import set_rescor as set_rescor
    from brim.brm import brm as brm
    from brim.brm import default_prior as default_prior
    from brim.data import load_data as load_data
    from brim.errors import BrimError as BrimError
    from brim.errors import BrimWarning as BrimWarning
    from brim.fit import Fit as Fit
    from brim.fit import load as load
    from brim.priors import prior as prior

__version__ = "0.1.0"

# Where each public name lives; imported when first used, so that `import brim` costs next to nothing.
# The families (gaussian, student, ...) are public too: brim.families says which there are.
_HOMES = {
    "BrimError": "brim.errors",
    "BrimWarning": "brim.errors",
    "Fit": "brim.fit",
    "acformula": "brim.bf",
    "bf": "brim.bf",
    "brm": "brim.brm",
    "default_prior": "brim.brm",
    "lf": "brim.bf",
    "load": "brim.fit",
    "load_data": "brim.data",
    "mvbf": "brim.bf",
    "mvbind": "brim.bf",
    "nlf": "brim.bf",
    "prior": "brim.priors",
    "set_mecor": "brim.bf",
    "set_nl": "brim.bf",
    "set_rescor": "brim.bf",
}
_MODULES = ("data", "families")

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


class _Package(ModuleType):
    """``brm`` and ``bf`` are functions and modules: for the user ``brim.brm`` is the function, whoever imported the module first."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
