"""From a classical fit to the Bayesian one of the same formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.design.matrix import brms_name
from brim.errors import BrimError
from brim.language.brms import bf
from brim.language.expand import Call, deparse
from brim.lme4.random import term_covariances
from brim.terms.groups.structure import STRUCTURES

if TYPE_CHECKING:
    from brim.api.fit import Fit
    from brim.frames.frame import Frame
    from brim.lme4.mer import AbstractMer
    from brim.model.model import Model

__all__ = ["to_bayes"]


def to_bayes(fit: AbstractMer, prior: Any = None, **arguments: Any) -> Fit:
    """The Bayesian fit of the same formula and data: ``brim.brm`` with these priors and its defaults for the rest.

    Chains start at the estimates of this fit (standard deviations of zero a little above); ``arguments`` are those of ``brim.brm``, among
    which ``init="laplace"`` starts at draws around the mode of the posterior, with a metric from there. Weights of ``lmer`` become a
    predicted ``sigma``. Of a nonlinear model the formula is ``bf(y ~ curve, parameter ~ 1 + (1 | g), nl=True)``, whose parameters need
    priors.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> fit = m.to_bayes(chains=1, iter=200, seed=1, progress=False)
    >>> list(fit.fixef().index)
    ['Intercept', 'Days']
    """
    from brim.api.brm import brm

    formula, family, frame = _translated(fit)
    given = {"data_name": fit.observed.data_name, **arguments}
    samples = not given.get("empty") and given.get("algorithm", "sampling") == "sampling"
    if samples and "init" not in given:
        given["init"] = _estimates(fit, brm(formula, frame, family, prior, **{**given, "empty": True}).model)
    return brm(formula, frame, family, prior, **given)


def _estimates(fit: AbstractMer, model: Model) -> dict[str, Any]:
    """The estimates under the names of what ``brm`` samples, inside of their ranges."""
    o, known = fit.observed, {p.name: p for p in model.params}
    out: dict[str, Any] = {"Intercept": float(np.mean(o.x @ fit.beta)), "sigma": fit.sigma, "Intercept_sigma": float(np.log(fit.sigma))}
    coefs = [float(b) for n, b in zip(fit.names, fit.beta, strict=True) if n != "(Intercept)"]
    if "b" in known and known["b"].size == len(coefs):
        out["b"] = coefs
    terms = term_covariances(fit)
    least = 1e-2 * max(fit.sigma, float(np.std(fit.linear_predictor)))
    sds = {(t.group, brms_name(c)): max(float(s), least) for t in terms for c, s in zip(t.coefs, t.sd, strict=True)}
    for block in model.blocks:
        group, coefs_of = block.grouping.label, block.coefs
        if not all((group, c) in sds for c in coefs_of):
            continue
        own = [sds[group, c] for c in coefs_of]
        out[f"sd_{block.index}"] = own[: len(block.sd_coefs)]
        term = next((t for t in terms if t.group == group and tuple(map(brms_name, t.coefs)) == coefs_of), None)
        if block.has_cor and term is not None:
            cor = 0.95 * np.nan_to_num(term.cor) + 0.05 * np.eye(len(coefs_of))
            np.fill_diagonal(cor, 1.0)
            key, value = ("L", np.linalg.cholesky(cor)) if block.structure is None else ("rho", cor[1, 0])
            out[f"{key}_{block.index}"] = value
    return {name: value for name, value in out.items() if name in known and known[name].free}


def _translated(fit: AbstractMer) -> tuple[Any, Any, Frame]:
    """brm's formula, family and data: ``cbind(a, b)`` becomes ``a | trials(a + b)``, weights and offset stand in the formula.

    Weights, offsets and shares of trials that are no columns become such (``.weights``, ``.offset``, ``.successes``).
    """
    read, o, family = fit.observed.design.formula, fit.observed, fit.bayes_family()
    if read.contrasts:
        name, given = next(iter(read.contrasts.items()))
        written = f"C({name}, {given})" if isinstance(given, str) else f"C({name}, contr.sum)"
        raise BrimError("contrasts= are not part of the formula that brim.brm() takes", hint=f"write {written} for {name} in it")
    right, frame = deparse(read.node).split("~", 1)[1], o.frame
    for bar in read.bars:
        if bar.structure == "diag":
            right = right.replace(f"diag({bar.text})", f"({bar.text.replace('|', '||')})")
        elif bar.structure in STRUCTURES and f"{bar.structure}({bar.text})" in right:
            inside = deparse(bar.terms.node)
            right = right.replace(f"{bar.structure}({bar.text})", f'({inside} | gr({bar.label}, cov = "{bar.structure}"))')
        elif bar.structure != "us":
            raise BrimError(f"{bar.structure}({bar.text}) stands otherwise in the formula", hint="write each grouping factor by itself")
    shift = o.offset - o.design.offset(frame)
    if np.any(shift != 0):
        frame, right = frame.with_columns({".offset": shift}), f"{right} + offset(`.offset`)"
    left, added = deparse(read.response), []
    if isinstance(read.response, Call) and read.response.fn == "cbind":
        a, b = (deparse(arg) for arg in read.response.args)
        left = a
        added.append(f"trials({a} + ({b}))")
    elif o.weights is not None and fit.shares:
        frame = frame.with_columns({".successes": np.round(o.y * o.weights), ".trials": o.weights})
        left = "`.successes`"
        added.append("trials(`.trials`)")
    elif o.weights is not None:
        name = o.weights_name
        if name not in frame:
            name, frame = ".weights", frame.with_columns({".weights": o.weights})
        if fit.function == "lmer":  # sigma^2 / w, where weights() of brm multiply the log likelihood
            return bf(f"{left} ~{right}", f"sigma ~ 1 + offset(-0.5 * log(`{name}`))"), family, frame
        added.append(f"weights(`{name}`)")
    return f"{left}{' | ' + ' + '.join(added) if added else ''} ~{right}", family, frame
