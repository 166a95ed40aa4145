"""``stan_polr``: ordinal regression with priors on the share of variance explained and on the categories."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.distributions.numerics.logspace import log1mexp
from brim.errors import BrimError, suggest
from brim.families import family as resolve
from brim.families import support
from brim.families.base import Dpar, DparSpec, Family
from brim.families.counts import Bernoulli
from brim.families.kinds import Kind
from brim.families.links import LINKS, Link
from brim.frames.columns import Factor, Logical, Numeric
from brim.frames.frame import Frame
from brim.language.expand import Node, deparse
from brim.parameters.param import Piece
from brim.rstanarm.again import remembered
from brim.rstanarm.assemble import Draft, fitted, population, with_priors
from brim.rstanarm.call import Call
from brim.rstanarm.densities import ExplainedOrdinal, root_of
from brim.rstanarm.fit import StanFit
from brim.rstanarm.language import sides, with_columns, without_groups
from brim.rstanarm.names import Names
from brim.rstanarm.priors import R2, Dirichlet

__all__ = ["stan_polr"]

_COUNTS = Dirichlet()
_METHODS = {"logistic": "logit", "probit": "probit", "loglog": "loglog", "cloglog": "cloglog", "cauchit": "cauchit"}
#: The link of ``1 - F(-x)``.
_MIRRORED = {"loglog": "cloglog", "cloglog": "loglog"}


@remembered
def stan_polr(
    formula: str,
    data: Any,
    *,
    method: str = "logistic",
    prior: R2 | None,
    prior_counts: Dirichlet | None = _COUNTS,
    shape: float | None = None,
    rate: float | None = None,
    weights: Any = None,
    prior_PD: bool = False,
    **sampling: Any,
) -> StanFit:
    """An ordinal regression, ``P(y <= j) = F(zeta_j - x b)``, with priors on the share of variance explained and on the categories.

    Two categories have an intercept, ``P(y = second) = 1 - F(-(a + x b))``, and, with ``shape`` and ``rate``, an exponent (scobit
    regression): ``P(y = first) = F(-(a + x b))^alpha``, ``alpha ~ gamma(shape, rate)``.

    Parameters
    ----------
    formula, data
        As ``MASS::polr``.
    method
        ``"logistic"``, ``"probit"``, ``"loglog"``, ``"cloglog"`` or ``"cauchit"``.
    prior
        ``R2(location, what)`` of the latent variable; ``None`` for a flat one.
    prior_counts
        Of the categories' probabilities at the mean of the predictors.
    shape, rate
        Of the exponent's prior.
    weights, prior_PD, sampling
        As in ``stan_glm``.

    Examples
    --------
    >>> import brim
    >>> rs = brim.rstanarm
    >>> fit = rs.stan_polr("rating ~ treat + period", brim.load_data("inhaler"), prior=rs.R2(0.3, "mean"), empty=True)
    >>> fit.variables()
    ['treat', 'period', '1|2', '2|3', '3|4']
    """
    if method not in _METHODS:
        raise BrimError(f"stan_polr(method = {method!r})", hint=suggest(method, _METHODS, "methods"))
    link = _METHODS[method]
    frame, given = with_columns(data, weights=weights)
    left, right = sides(formula)
    without_groups(right, "stan_polr")
    binary = _two_categories(left, frame)
    skewed = _check_exponent(shape, rate, binary, method)
    family = (
        resolve("cumulative", link=link) if not binary else _scobit() if skewed else resolve("bernoulli", link=_MIRRORED.get(link, link))
    )
    response = deparse(left) + "".join(f" | weights(`{c}`)" for c in given.values())
    draft = Draft.build(f"{response} ~ {deparse(right)}", frame, family, sampling, prior_PD)
    pop, x = population(draft.model), draft.columns()
    k = len(pop.coefs)
    if not k:
        raise BrimError("stan_polr() needs a predictor: its prior is about what predictors explain", hint="use brim.brm()")
    names, cuts = _names(draft, binary, skewed)
    counts = _counts(prior_counts, 2 if binary else len(cuts) + 1)
    eta = 1.0 if prior is None else prior.eta(k)
    term = ExplainedOrdinal("Intercept", link, len(x), eta, k, counts, root_of(x), prior is None, -1.0 if binary else 1.0)
    pieces: dict[str, tuple[Piece, ...]] = {pop.key: (), "Intercept": ()}
    told: dict[str, Any] = {
        "prior": {"dist": None if prior is None else "R2", "location": prior and prior.location, "what": prior and prior.what},
        "prior_counts": {"dist": "dirichlet", "concentration": counts},
    }
    if skewed:
        pieces["alpha"] = (Piece("gamma", None, (float(shape or 0), float(rate or 0))),)
        told["scobit_exponent"] = {"dist": "gamma", "shape": shape, "rate": rate}
    text = f"binomial [{link}]" if binary else f"ordered [{method}]"
    call = Call("stan_polr", text, formula, names, told, tuple(stan for stan, _ in names.first), cutpoints=cuts)
    return fitted(draft, with_priors(draft.model, pieces, [term]), call)


def _two_categories(left: Node, frame: Frame) -> bool:
    value = Expression(left).learn(frame).value(frame)
    factor = value.as_factor() if isinstance(value, Numeric | Logical) else value
    return isinstance(factor, Factor) and len(factor.levels_used) == 2


def _check_exponent(shape: float | None, rate: float | None, binary: bool, method: str) -> bool:
    """Whether there is an exponent."""
    if shape is None and rate is None:
        return False
    if shape is None or rate is None or not (shape > 0 and rate > 0):
        raise BrimError(f"shape = {shape}, rate = {rate}", hint="give both, positive: the exponent's prior is gamma(shape, rate)")
    if not binary or method != "logistic":
        raise BrimError("the exponent with prior gamma(shape, rate) is for two categories and method = 'logistic'", hint="leave it out")
    return True


def _scobit() -> Family:
    """``P(y = 1) = 1 - F(-eta)^alpha`` with the logistic ``F``."""
    none = LINKS["logit"].log1m_inverse

    def law(d: Any, data: Any) -> Bernoulli:
        alpha = d["alpha"].value

        def log(eta: Any) -> Any:
            return log1mexp(alpha * none(eta))

        link = Link("scobit", lambda p: p, lambda e: jnp.exp(log(e)), log, lambda e: alpha * none(e), lambda e: log(e) - alpha * none(e))
        return Bernoulli(Dpar(d["mu"].eta, link))

    dpars = (DparSpec("mu", ("logit",)), DparSpec("alpha", ("identity", "log"), lb=0.0, prior="gamma(1, 1)"))
    return Family("scobit", dpars, {"mu": "logit", "alpha": "identity"}, law, support.binary, Kind.BINARY)


def _names(draft: Draft, binary: bool, skewed: bool) -> tuple[Names, tuple[str, ...]]:
    """The names of all parameters, and those of the thresholds."""
    pop = population(draft.model)
    assert pop.matrix is not None
    coefs = tuple(zip(pop.matrix.names[pop.dropped :], (f"b_{c}" for c in pop.coefs), strict=True))
    if binary:
        return Names((("(Intercept)", "b_Intercept"), *coefs, *([("alpha", "alpha")] if skewed else []))), ()
    thresholds = next(q for q in draft.model.reported() if q.key.startswith("b_Intercept"))
    levels = draft.model.responses[0].response.levels or tuple(str(i + 1) for i in range(thresholds.names.size + 1))
    cuts = tuple(f"{a}|{b}" for a, b in pairwise(levels))
    return Names(coefs, last=tuple(zip(cuts, map(str, thresholds.names), strict=True)), fixed=(("disc", 1.0),)), cuts


def _counts(prior: Dirichlet | None, categories: int) -> tuple[float, ...]:
    given = 1.0 if prior is None else prior.concentration
    counts = given if isinstance(given, tuple) else (given,) * categories
    if len(counts) != categories:
        raise BrimError(
            f"dirichlet() has {len(counts)} concentrations for {categories} categories", hint="give one number, or one for each"
        )
    return tuple(np.asarray(counts, float).tolist())
