"""Tests: of a model's terms, of nested models, of terms left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np
from scipy.linalg import cholesky
from scipy.stats import chi2
from scipy.stats import f as f_law

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix
from brim.errors import BrimError, printable
from brim.frames.columns import Factor, Logical
from brim.language.expand import Call, Name, Node, label
from brim.lme4.design import learn
from brim.lme4.formula import Bar, MixedFormula
from brim.lme4.groups import Groups
from brim.lme4.observed import Observed
from brim.post.summaries.rformat import coefficient_table

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["Anova", "anova", "compare", "drop1", "ranova", "terms_table"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False, repr=False)
class Anova:
    """A table of tests that prints as R prints it; ``table`` is a data frame, whose columns can be asked for by name."""

    heading: tuple[str, ...]
    table: pd.DataFrame

    def __getitem__(self, name: str) -> Any:
        return self.table[name]

    def __str__(self) -> str:
        t = self.table
        p = next((str(c) for c in t if str(c).startswith("Pr(")), "")
        tests = [str(c) for c in t if c in ("F value", "Chisq", "LRT")]
        zapped = [str(c) for c in t if c not in tests and c != p]
        lines = coefficient_table(
            [str(i) for i in t.index], {str(c): t[c].to_numpy(float) for c in t}, 5, (), tests, p, missing="", zapped=zapped
        )
        return printable("\n".join([*self.heading, *lines]))

    __repr__ = __str__


def anova(
    fit: AbstractMer, *others: AbstractMer, refit: bool = True, type: Any = 1, ddf: str | None = None, names: tuple[str, ...] = ()
) -> Anova:
    """Tests of the terms of a model, or likelihood ratio tests of models.

    Parameters
    ----------
    fit
        A fitted mixed model.
    others
        Models of the same rows. Without any: sequential sums of squares of each term, ``(R beta)^2``, over ``sigma^2``.
    refit
        Whether REML fits that are compared are fitted again by maximum likelihood.
    type, ddf
        Of linear models without others: F tests of type 1, 2 or 3 with ``"Satterthwaite"`` or ``"Kenward-Roger"`` denominators.
    names
        What the models are called in the table.

    Returns
    -------
    Anova
        ``.table`` is a data frame; of models ``npar AIC BIC logLik deviance Chisq Df Pr(>Chisq)``, ordered by their number of
        parameters, each tested against the one before.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> one = brim.lmer("Reaction ~ Days + (1 | Subject)", brim.load_data("sleepstudy"))
    >>> table = m.anova(one, names=("slopes", "intercepts")).table
    >>> table["Chisq"].round(2).to_dict()
    {'intercepts': nan, 'slopes': 42.14}
    >>> m.anova(ddf="Satterthwaite").table["F value"].round(2).to_dict()
    {'Days': 45.85}
    """
    return compare((fit, *others), refit, names) if others else terms_table(fit, type, ddf)


def compare(fits: Sequence[AbstractMer], refit: bool, names: Sequence[str]) -> Anova:
    """Likelihood ratio tests of models, each against the one with fewer parameters."""
    import pandas as pd

    if len({f.nobs() for f in fits}) > 1:
        raise BrimError("the models were fitted to different numbers of rows", hint="fit all to the rows that are complete in every model")
    labels = list(names) or [f"MODEL{i + 1}" for i in range(len(fits))]
    if len(labels) != len(fits):
        raise BrimError(f"{len(labels)} names for {len(fits)} models")
    fitted = [f.refit_ml() if refit else f for f in fits]
    order = sorted(range(len(fits)), key=lambda i: fitted[i].npar)
    models = [fitted[i] for i in order]
    table = pd.DataFrame(
        {
            "npar": [m.npar for m in models],
            "AIC": [m.AIC() for m in models],
            "BIC": [m.BIC() for m in models],
            "logLik": [m.logLik() for m in models],
            "deviance": [-2.0 * m.logLik() for m in models],
        },
        index=[labels[i] for i in order],
    )
    chisq = np.append(np.nan, np.maximum(-np.diff(table["deviance"]), 0.0))
    df = np.append(np.nan, np.diff(table["npar"]))
    table["Chisq"], table["Df"] = chisq, df
    table["Pr(>Chisq)"] = np.where(df > 0, chi2.sf(chisq, np.where(df > 0, df, 1.0)), np.nan)
    heading = [f"Data: {fits[0].observed.data_name}", "Models:", *(f"{labels[i]}: {fits[i].formula}" for i in order)]
    return Anova(tuple(heading), table)


def terms_table(fit: AbstractMer, type_: Any, ddf: str | None) -> Anova:
    """Sums of squares of the terms."""
    import pandas as pd

    design = fit.observed.design
    if ddf is not None:
        return _f_tests(fit, str(type_), ddf)
    effects = cholesky(fit.fixed_information) @ fit.beta
    assign = np.array(design.assign)
    terms = [i for i in range(1, len(design.term_labels) + 1) if (assign == i).any()]
    count = np.array([(assign == i).sum() for i in terms])
    squares = np.array([np.sum(effects[assign == i] ** 2) for i in terms])
    table = {"npar": count, "Sum Sq": squares, "Mean Sq": squares / count, "F value": squares / count / fit.sigma**2}
    return Anova(("Analysis of Variance Table",), pd.DataFrame(table, index=[design.term_labels[i - 1] for i in terms]))


_TYPES = {"1": "I", "I": "I", "2": "II", "II": "II", "3": "III", "III": "III"}


def _f_tests(fit: AbstractMer, type_: str, ddf: str) -> Anova:
    """F tests with approximate denominators, linear models only."""
    import pandas as pd

    from brim.lme4.df import approximation
    from brim.lme4.lmer import LmerFit

    if not isinstance(fit, LmerFit) or ddf not in ("Satterthwaite", "Kenward-Roger"):
        raise BrimError("F tests with ddf are for linear models", hint="ddf is 'Satterthwaite' or 'Kenward-Roger'")
    if type_ not in _TYPES:
        raise BrimError(f"unknown type '{type_}' of tests", hint="types: 1, 2, 3")
    law = approximation(fit, ddf)
    rows = []
    for name, contrasts in _contrasts(fit, _TYPES[type_]).items():
        value, df = law.test(contrasts)
        q = len(contrasts)
        rows.append((value * q * fit.sigma**2, value * fit.sigma**2, q, df, value, float(f_law.sf(value, q, df)), name))
    columns = ["Sum Sq", "Mean Sq", "NumDF", "DenDF", "F value", "Pr(>F)"]
    table = pd.DataFrame([r[:-1] for r in rows], columns=columns, index=[r[-1] for r in rows])
    return Anova((f"Type {_TYPES[type_]} Analysis of Variance Table with {ddf}'s method",), table)


def _contrasts(fit: AbstractMer, type_: str) -> dict[str, Array]:
    """The hypotheses of each term over the coefficients."""
    design, assign = fit.observed.design, np.array(fit.observed.design.assign)
    labels = design.term_labels
    terms = [i for i in range(1, len(labels) + 1) if (assign == i).any()]
    if type_ == "I":
        gram = fit.observed.x.T @ fit.observed.x
        upper = cholesky(gram)
        return {labels[i - 1]: upper[assign == i] for i in terms}
    if type_ == "III":
        other = ModelMatrix(_summed(fit)).learn(fit.observed.frame)
        x = other.matrix(fit.observed.frame)
        turn = np.linalg.lstsq(x, fit.observed.x, rcond=None)[0]
        return {labels[i - 1]: _basis(turn[np.array(other.assign) == i]) for i in terms}
    out = {}
    sets = [frozenset(t) for t in design.fixed.terms.terms]
    for i in terms:
        above = [j for j in terms if sets[i - 1] < sets[j - 1]]
        last = [i, *above]
        order = [c for c in range(len(assign)) if assign[c] not in last]
        mine = [c for c in range(len(assign)) if assign[c] == i]
        rest = [c for c in range(len(assign)) if assign[c] in above]
        upper = cholesky(fit.observed.x[:, order + mine + rest].T @ fit.observed.x[:, order + mine + rest])
        rows = np.zeros((len(mine), len(assign)))
        rows[:, order + mine + rest] = upper[len(order) : len(order) + len(mine)]
        out[labels[i - 1]] = rows
    return out


def _basis(rows: Array) -> Array:
    """Rows that say the same without repetition: contrasts given as a matrix may have fewer columns than the factor has levels."""
    _, values, turned = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > 1e-9 * values[0]).sum()) if values.size else 0
    return rows if rank == len(rows) else turned[:rank]


def _summed(fit: AbstractMer) -> Any:
    """The fixed terms with sum-to-zero contrasts, in which a main effect is an average over the other factors."""
    terms, frame = fit.observed.design.fixed.terms, fit.observed.frame

    def coded(node: Node) -> Node:
        value = Expression(node).learn(frame).value(frame)
        if not isinstance(value, Factor | Logical):
            return node
        inner = node.args[0] if isinstance(node, Call) and node.fn == "C" else node
        return Call("C", (inner, Name("contr.sum")))

    return replace(terms, terms=tuple(tuple(coded(n) for n in t) for t in terms.terms))


# ---- terms left out --------------------------------------------------------------------------------------------------------


def _with_formula(observed: Observed, formula: MixedFormula) -> Observed:
    design, x, codes = learn(formula, observed.frame)
    return replace(observed, design=design, x=x, groups=Groups.of(design, observed.frame, codes))


def drop1(fit: AbstractMer) -> Anova:
    """The model without each term that no other contains: ``npar AIC LRT Pr(Chi)``, likelihood ratio tests by maximum likelihood.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.drop1().table["LRT"].round(2).to_dict()
    {'<none>': nan, 'Days': 23.54}
    """
    import pandas as pd

    full = fit.refit_ml()
    formula = fit.observed.design.formula
    terms = formula.fixed.terms
    sets = [frozenset(t) for t in terms]
    rows: list[tuple[str, float, float, float, float]] = [("<none>", np.nan, full.AIC(), np.nan, np.nan)]
    for i, t in enumerate(terms):
        if any(sets[i] < other for other in sets):
            continue
        left = replace(formula, fixed=replace(formula.fixed, terms=tuple(o for j, o in enumerate(terms) if j != i)))
        less = full.refit_design(_with_formula(full.observed, left))
        df, lrt = full.npar - less.npar, max(less.criterion - full.criterion, 0.0)
        rows.append((label(t), df, less.AIC(), lrt, float(chi2.sf(lrt, df)) if df else np.nan))
    table = pd.DataFrame([r[1:] for r in rows], index=[r[0] for r in rows], columns=["npar", "AIC", "LRT", "Pr(Chi)"])
    return Anova(("Single term deletions", "", "Model:", fit.formula), table)


def ranova(fit: AbstractMer) -> Anova:
    """The model without each group term, or without one of its effects: likelihood ratio tests by the criterion of the fit.

    The table has ``npar logLik AIC LRT Df Pr(>Chisq)``. A variance of zero is at the edge of what is possible, so its p value is too large.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.ranova().table[["npar", "LRT", "Df"]].round(2).iloc[1].to_dict()
    {'npar': 4.0, 'LRT': 42.84, 'Df': 2.0}
    """
    import pandas as pd

    formula = fit.observed.design.formula
    rows = [("<none>", fit.npar, fit.logLik(), fit.AIC(), np.nan, np.nan, np.nan)]
    for i, bar in enumerate(formula.bars):
        inner = bar.terms.terms
        if bar.terms.intercept and inner:
            smaller: list[tuple[str, Bar | None]] = [
                (f"{label(t)} in ({bar.text})", replace(bar, terms=replace(bar.terms, terms=tuple(o for o in inner if o != t))))
                for t in inner
            ]
        else:
            smaller = [(f"({bar.text})", None)]
        for name, one in smaller:
            bars = tuple(b for j, b in enumerate(formula.bars) if j != i) + (() if one is None else (one,))
            log_lik, npar = _restricted(fit, replace(formula, bars=bars))
            lrt, df = max(2.0 * (fit.logLik() - log_lik), 0.0), fit.npar - npar
            rows.append((name, npar, log_lik, 2.0 * (npar - log_lik), lrt, df, float(chi2.sf(lrt, df))))
    columns = ["npar", "logLik", "AIC", "LRT", "Df", "Pr(>Chisq)"]
    table = pd.DataFrame([r[1:] for r in rows], index=[r[0] for r in rows], columns=columns)
    return Anova(("ANOVA-like table for random-effects: Single term deletions", "", "Model:", fit.formula), table)


def _restricted(fit: AbstractMer, formula: MixedFormula) -> tuple[float, int]:
    """Log likelihood and number of parameters with fewer group terms; without any, of the linear model."""
    if formula.bars:
        less = fit.refit_design(_with_formula(fit.observed, formula))
        return less.logLik(), less.npar
    o = fit.observed
    if fit.function != "lmer":
        raise BrimError("a generalized model without group terms is not a mixed model", hint="compare with a model that has one left")
    root = np.ones(o.n) if o.weights is None else np.sqrt(o.weights)
    q, r = np.linalg.qr(o.x * root[:, None])
    target = (o.y - o.offset) * root
    rss = float(np.sum((target - q @ (q.T @ target)) ** 2))
    p = o.x.shape[1]
    d = o.n - p if fit.reml else o.n
    criterion = d * (1.0 + np.log(2.0 * np.pi * rss / d)) - 2.0 * np.log(root).sum()
    criterion += 2.0 * np.log(np.abs(np.diag(r))).sum() if fit.reml else 0.0
    return -0.5 * float(criterion), p + 1
