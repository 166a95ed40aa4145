"""Prior laws under Stan's names: log density (JAX), distribution function and sampler (NumPy).

A law's arguments are run-time data of the compiled program, so that another scale compiles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.errors import BrimError, suggest
from brim.language.expand import Binary, Call, Constant, Name, Node, Number, Paren, Unary, deparse, parse

__all__ = ["JOINT", "LAWS", "SHRINKING", "SHRUNK", "Law", "ParsedPrior", "parse_prior"]


@dataclass(frozen=True)
class Law:
    """One distribution of Stan's.

    Attributes
    ----------
    arity
        Number of arguments.
    distribution
        ``args -> numpyro Distribution``.
    cdf
        ``(x, *args) -> P(X <= x)`` in NumPy, for the mass between a parameter's bounds; ``None`` for joint laws.
    ranges
        The argument positions that must be positive.
    location, scale
        Positions of the arguments that say where the law sits and how wide it is (for starting values), or ``None``.
    """

    arity: int
    distribution: Callable[..., Any]
    cdf: Callable[..., Any] | None
    positive: tuple[int, ...] = ()
    location: int | None = None
    scale: int | None = None


def _d() -> Any:
    """NumPyro's distributions, imported at the first density."""
    import numpyro.distributions as d

    return d


def _special() -> Any:
    """SciPy's functions, imported at the first mass between bounds that needs one."""
    from scipy import special

    return special


def _student_cdf(x: Any, df: float, loc: float, scale: float) -> Any:
    z = (x - loc) / scale
    return 0.5 if np.all(z == 0.0) else _special().stdtr(df, z)  # brms' defaults end at their location


def _gumbel_cdf(x: Any, loc: float, scale: float) -> Any:
    return np.exp(-np.exp(-(x - loc) / scale))


def _laplace_cdf(x: Any, loc: float, scale: float) -> Any:
    z = (x - loc) / scale
    return np.where(z < 0, 0.5 * np.exp(np.minimum(z, 0)), 1 - 0.5 * np.exp(-np.maximum(z, 0)))


def _positive(cdf: Callable[..., Any]) -> Callable[..., Any]:
    """A distribution function on (0, inf) made safe at and below zero."""

    def wrapped(x: Any, *args: float) -> Any:
        return np.where(np.asarray(x) <= 0, 0.0, cdf(np.maximum(x, 1e-300), *args))

    return wrapped


#: Laws of one element. Parameterisations are Stan's.
LAWS: dict[str, Law] = {
    "normal": Law(2, lambda m, s: _d().Normal(m, s), lambda x, m, s: _special().ndtr((x - m) / s), (1,), 0, 1),
    "std_normal": Law(0, lambda: _d().Normal(0.0, 1.0), lambda x: _special().ndtr(x)),
    "student_t": Law(3, lambda n, m, s: _d().StudentT(n, m, s), _student_cdf, (0, 2), 1, 2),
    "cauchy": Law(2, lambda m, s: _d().Cauchy(m, s), lambda x, m, s: 0.5 + np.arctan((x - m) / s) / math.pi, (1,), 0, 1),
    "double_exponential": Law(2, lambda m, s: _d().Laplace(m, s), _laplace_cdf, (1,), 0, 1),
    "logistic": Law(2, lambda m, s: _d().Logistic(m, s), lambda x, m, s: _special().expit((x - m) / s), (1,), 0, 1),
    "gumbel": Law(2, lambda m, s: _d().Gumbel(m, s), _gumbel_cdf, (1,), 0, 1),
    "lognormal": Law(2, lambda m, s: _d().LogNormal(m, s), _positive(lambda x, m, s: _special().ndtr((np.log(x) - m) / s)), (1,)),
    "exponential": Law(1, lambda r: _d().Exponential(r), _positive(lambda x, r: -np.expm1(-r * x)), (0,)),
    "gamma": Law(2, lambda a, b: _d().Gamma(a, b), _positive(lambda x, a, b: _special().gammainc(a, b * x)), (0, 1)),
    "inv_gamma": Law(2, lambda a, b: _d().InverseGamma(a, b), _positive(lambda x, a, b: _special().gammaincc(a, b / x)), (0, 1)),
    "chi_square": Law(1, lambda n: _d().Chi2(n), _positive(lambda x, n: _special().gammainc(n / 2, x / 2)), (0,)),
    "inv_chi_square": Law(1, lambda n: _d().InverseGamma(n / 2, 0.5), _positive(lambda x, n: _special().gammaincc(n / 2, 0.5 / x)), (0,)),
    "weibull": Law(2, lambda a, s: _d().Weibull(s, a), _positive(lambda x, a, s: -np.expm1(-((x / s) ** a))), (0, 1)),
    "frechet": Law(2, lambda a, s: _frechet(a, s), _positive(lambda x, a, s: np.exp(-((x / s) ** -a))), (0, 1)),
    "beta": Law(2, lambda a, b: _d().Beta(a, b), lambda x, a, b: _special().betainc(a, b, np.clip(x, 0, 1)), (0, 1)),
    "uniform": Law(2, lambda a, b: _d().Uniform(a, b), lambda x, a, b: np.clip((x - a) / (b - a), 0, 1)),
    "pareto": Law(2, lambda m, a: _d().Pareto(m, a), lambda x, m, a: np.where(x < m, 0.0, 1 - (m / np.maximum(x, m)) ** a), (0, 1)),
}

#: Laws of a whole array.
JOINT: dict[str, Law] = {
    "lkj_corr_cholesky": Law(1, lambda eta: eta, None, (0,)),
    "dirichlet": Law(-1, lambda *a: _d().Dirichlet(jnp.stack([jnp.asarray(v) for v in a])), None, (0,)),
}

_ALIASES = {"lkj": "lkj_corr_cholesky", "laplace": "double_exponential", "std_normal": "std_normal"}
#: Priors of all parameters of one class or several together, with parameters of their own.
SHRINKING = ("horseshoe", "R2D2", "lasso")
#: The classes that can have them, in brms' order, and whether their parameters have a sign (else they are standard deviations).
SHRUNK = {"b": True, "sds": False, "sdgp": False, "sderr": False, "ar": True, "ma": True, "sdcar": False, "sd": False}


def _frechet(shape: Any, scale: Any) -> Any:
    """Frechet as the reciprocal of a Weibull variable."""
    d = _d()
    return d.TransformedDistribution(d.Weibull(1.0 / scale, shape), d.transforms.PowerTransform(-1.0))


@dataclass(frozen=True)
class ParsedPrior:
    """``law(args)``; law ``"flat"``, ``"constant"`` or one of ``SHRINKING`` besides those of the tables."""

    law: str
    args: tuple[float, ...] = ()
    named: tuple[tuple[str, float], ...] = ()


def parse_prior(text: str, symbols: Mapping[str, float] | None = None) -> ParsedPrior:
    """Read a prior in Stan's notation; ``symbols`` are names that stand for numbers.

    Errors
    ------
    BrimError
        Unknown law, wrong number of arguments, an argument that is no number, a scale that is not positive.

    Examples
    --------
    >>> parse_prior("student_t(3, 0, 2.5)")
    ParsedPrior(law='student_t', args=(3.0, 0.0, 2.5), named=())
    """
    stripped = text.strip()
    if stripped in ("", "flat", "(flat)", "flat()"):
        return ParsedPrior("flat")
    node = parse(stripped)
    if not isinstance(node, Call):
        raise BrimError(f"'{text}' is not a prior", source=text, hint="write a distribution in Stan's notation, for example normal(0, 1)")
    if node.fn in SHRINKING:
        return ParsedPrior(node.fn, tuple(_flag(a, text) for a in node.args), tuple((k, _flag(v, text)) for k, v in node.kwargs))
    name = _ALIASES.get(node.fn, node.fn)
    args = tuple(_number(a, text, symbols or {}) for a in node.args)
    if node.kwargs:
        raise BrimError(f"{node.fn}() takes its arguments by position", source=text, span=node.kwargs[0][1].span)
    if name == "constant":
        if len(args) != 1:
            raise BrimError("constant() takes one value", source=text, span=node.span)
        return ParsedPrior("constant", args)
    law = LAWS.get(name) or JOINT.get(name)
    if law is None:
        raise BrimError(
            f"unknown prior distribution '{node.fn}'",
            source=text,
            span=node.span,
            hint=suggest(node.fn, [*LAWS, *JOINT, "constant"], "distributions"),
        )
    _check_args(name, law, args, text, node)
    return ParsedPrior(name, args)


def _check_args(name: str, law: Law, args: tuple[float, ...], text: str, node: Call) -> None:
    if law.arity >= 0 and len(args) != law.arity:
        raise BrimError(f"{name}() takes {law.arity} argument{'s' * (law.arity != 1)}, not {len(args)}", source=text, span=node.span)
    for i in law.positive if law.arity >= 0 else range(len(args)):
        if not args[i] > 0:
            raise BrimError(f"argument {i + 1} of {name}() must be positive, not {args[i]:g}", source=text, span=node.args[i].span)
    if name == "uniform" and not args[0] < args[1]:
        raise BrimError("uniform(a, b) needs a < b", source=text, span=node.span)


_OPS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
}
_FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log}


def _flag(node: Node, text: str) -> float:
    """A number, or ``TRUE`` and ``FALSE`` as 1 and 0."""
    return float(node.value) if isinstance(node, Constant) and isinstance(node.value, bool) else _number(node, text, {})


def _number(node: Node, text: str, symbols: Mapping[str, float]) -> float:
    """The value of a constant arithmetic expression."""
    if isinstance(node, Name) and node.name in symbols:
        return symbols[node.name]
    if isinstance(node, Number):
        return float(node.value)
    if isinstance(node, Constant) and isinstance(node.value, float):
        return node.value
    if isinstance(node, Paren):
        return _number(node.inner, text, symbols)
    if isinstance(node, Unary) and node.op in "+-":
        return _number(node.operand, text, symbols) * (-1 if node.op == "-" else 1)
    if isinstance(node, Binary) and node.op in _OPS:
        return _OPS[node.op](_number(node.left, text, symbols), _number(node.right, text, symbols))
    if isinstance(node, Call) and node.fn in _FUNCTIONS and len(node.args) == 1:
        return _FUNCTIONS[node.fn](_number(node.args[0], text, symbols))
    what = f"'{node.name}'" if isinstance(node, Name) else f"'{deparse(node)}'"
    raise BrimError(
        f"{what} is not a number",
        source=text,
        span=node.span,
        hint="prior arguments are numbers; hierarchical priors come from group terms",
    )
