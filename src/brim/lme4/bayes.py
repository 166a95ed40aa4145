"""From a classical fit to the Bayesian one of the same formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brim.errors import BrimError
from brim.language.expand import Call, deparse

if TYPE_CHECKING:
    from brim.api.fit import Fit
    from brim.lme4.mer import AbstractMer

__all__ = ["to_bayes"]


def to_bayes(fit: AbstractMer, prior: Any = None, **arguments: Any) -> Fit:
    """The Bayesian fit of the same formula and data: ``brim.brm`` with these priors and its defaults for the rest.

    Chains start at draws around the mode of the posterior, with a metric from there (``init="laplace"``); ``arguments`` are those of
    ``brim.brm``. Of a nonlinear model the formula is ``bf(y ~ curve, parameter ~ 1 + (1 | g), nl=True)``, whose parameters need priors.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> fit = m.to_bayes(chains=1, iter=200, seed=1, progress=False)
    >>> list(fit.fixef().index)
    ['Intercept', 'Days']
    """
    from brim.api.brm import brm

    formula, family = _formula(fit)
    given = {"init": "laplace", "data_name": fit.observed.data_name, **arguments}
    if given.get("empty") or given.get("algorithm", "sampling") != "sampling":
        given.pop("init")
    return brm(formula, fit.observed.frame, family, prior, **given)


def _formula(fit: AbstractMer) -> tuple[str, Any]:
    """brm's formula and family: ``cbind(a, b)`` becomes ``a | trials(a + b)``, weights and offset stand in the formula."""
    read, o = fit.observed.design.formula, fit.observed
    for bar in read.bars:
        if bar.structure not in ("us", "diag"):
            raise BrimError(f"{bar.structure}() covariances have no counterpart in brm()", hint="fit with (x | g) or diag(x | g)")
    right = deparse(read.node).split("~", 1)[1]
    for bar in read.bars:
        if bar.structure == "diag":
            right = right.replace(f"diag({bar.text})", f"({bar.text.replace('|', '||')})")
    left, family = deparse(read.response), fit.bayes_family()
    added = []
    if isinstance(read.response, Call) and read.response.fn == "cbind":
        a, b = (deparse(arg) for arg in read.response.args)
        left = a
        added.append(f"trials({a} + ({b}))")
    elif o.weights_name:
        if o.weights_name not in o.frame:
            raise BrimError("weights that are no column of the data cannot go into brm()'s formula", hint="make them a column: weights='w'")
        added.append(f"weights({o.weights_name})")
    return f"{left}{' | ' + ' + '.join(added) if added else ''} ~{right}", family
