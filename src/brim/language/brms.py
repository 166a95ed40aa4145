"""Model formulas as brms writes them: ``bf()``, ``lf()``, ``nlf()``, ``mvbf()`` and what else ``+`` adds to a formula."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from brim.arguments import flag, named
from brim.errors import BrimError
from brim.language.expand import Binary, Call, Name, Node, Unary, deparse, fault, parse, special, split_response, walk
from brim.language.formula import (
    Autocor,
    Fixed,
    Formula,
    Mecor,
    MvFormula,
    Nl,
    Predictor,
    Predictors,
    Rescor,
    predictor_of,
    read_predictors,
    response_name,
    together,
)

__all__ = [
    "Formula",
    "MvFormula",
    "Predictor",
    "acformula",
    "as_formula",
    "bf",
    "brmsformula",
    "lf",
    "mvbf",
    "mvbind",
    "nlf",
    "response_name",
    "set_mecor",
    "set_nl",
    "set_rescor",
]


@named
def bf(
    formula: str | Formula | MvFormula,
    *more: Any,
    nl: bool | None = None,
    family: Any = None,
    loop: bool | None = None,
    center: bool | None = None,
    cmc: bool | None = None,
    sparse: bool | None = None,
    decomp: str | None = None,
    autocor: str | None = None,
    unused: str | None = None,
    **named: float | str,
) -> Any:
    """A model formula with the formulas of its further parameters.

    Parameters
    ----------
    formula
        ``"response | additions ~ predictors"``; ``mvbind(y1, y2)`` left of ``~`` gives one formula for each response.
        An existing formula object is extended.
    *more
        Formulas of distributional or nonlinear parameters, ``"sigma ~ x"``, ``"a + b ~ 1"`` (the same for both), the results
        of ``lf()`` and ``nlf()``, or lists of these.
    nl
        Whether the right-hand side is an expression of nonlinear parameters.
    family
        The family of this response.
    loop, center, cmc, sparse, decomp
        See ``Predictor``; they belong to the main formula.
    autocor
        Autocorrelation terms, ``"~ ar(p = 1)"``.
    unused
        Columns to keep in the data although no term uses them, ``"~ z"``.
    **named
        ``sigma=1`` fixes a parameter, ``sigma2="sigma1"`` sets it equal to another, ``sigma="~ x"`` gives its formula.

    Returns
    -------
    Formula or MvFormula
        An immutable object without data. Its right-hand sides are expanded when a model is made of it.

    Raises
    ------
    BrimError
        For what cannot be parsed, an unknown addition term, a parameter given twice or with an illegal name.

    Examples
    --------
    >>> print(bf("y ~ x + (1|g)", "sigma~x", quantile=0.25))
    y ~ x + (1 | g)
    sigma ~ x
    quantile = 0.25
    >>> print(bf("mvbind(y1, y2) ~ x") + set_rescor(False))
    y1 ~ x
    y2 ~ x
    """
    base = as_formula(formula)
    options = _options(nl=nl, loop=loop, center=center, cmc=cmc, sparse=sparse, decomp=decomp)
    whole = _given(
        family=family,
        autocor=None if autocor is None else _autocor(autocor),
        unused=None if unused is None else _one_sided(unused),
    )
    values = [_named(par, value) for par, value in named.items()]
    predictors = (*_flat(more), *(value for value in values if isinstance(value, Predictor)))
    fixed = tuple((par, value) for par, value in zip(named, values, strict=True) if not isinstance(value, Predictor))
    _once([one.par for one in predictors] + [par for par, _ in fixed], deparse(base.formulas[0].main.node))
    made = [replace(one, main=replace(one.main, **options), **whole) for one in base.formulas]
    made = [Fixed(fixed).joined(Predictors(predictors).joined(one)) for one in made]
    return replace(base, formulas=tuple(made)) if isinstance(base, MvFormula) else made[0]


#: brms' long name for it.
brmsformula = bf


@named
def lf(
    *formulas: str,
    dpar: str | None = None,
    resp: str | None = None,
    center: bool | None = None,
    cmc: bool | None = None,
    sparse: bool | None = None,
    decomp: str | None = None,
) -> Predictors:
    """Formulas of distributional or nonlinear parameters, to be added to ``bf()`` with ``+``.

    Parameters
    ----------
    *formulas
        ``"sigma ~ x"``, ``"a + b ~ 1"``.
    dpar
        The distributional parameter whose nonlinear formula they belong to. Their own names say so too, each being of one parameter:
        it must be one that has a formula.
    resp
        The response they belong to, when there are several.
    center, cmc, sparse, decomp
        See ``Predictor``.

    Examples
    --------
    >>> print(bf("y ~ x") + lf("sigma ~ x", "nu ~ 1"))
    y ~ x
    sigma ~ x
    nu ~ 1
    """
    options = _options(center=center, cmc=cmc, sparse=sparse, decomp=decomp)
    return Predictors(tuple(replace(one, **options) for one in _flat(formulas)), dpar, resp=resp)


@named
def nlf(formula: str, *more: str, dpar: str | None = None, resp: str | None = None, loop: bool | None = None) -> Predictors:
    """A nonlinear formula of a parameter (``more``: linear formulas of its own parameters), to be added to ``bf()`` with ``+``.

    Examples
    --------
    >>> print(bf("y ~ a * x", nl=True) + nlf("a ~ exp(b)") + lf("b ~ 1"))
    y ~ a * x
    a ~ exp(b)
    b ~ 1
    """
    options = _options(loop=loop)
    nonlinear = tuple(replace(one, nl=True, **options) for one in _flat([formula]))
    return Predictors((*nonlinear, *_flat(more)), dpar, resp=resp)


@named
def mvbf(*formulas: str | Formula | MvFormula, rescor: bool | None = None) -> MvFormula:
    """One model of several responses; the same as ``bf() + bf() + set_rescor()``.

    Examples
    --------
    >>> mvbf("y1 ~ x", "log(y2) ~ x").responses
    ('y1', 'logy2')
    """
    return together(*(as_formula(formula) for formula in formulas), rescor=rescor)


@named
def mvbind(*responses: str) -> str:
    """The text of a left-hand side with several responses that share their predictors.

    Examples
    --------
    >>> print(bf(mvbind("y1", "y2") + " ~ x"))
    y1 ~ x
    y2 ~ x
    """
    return f"mvbind({', '.join(responses)})"


@named
def set_rescor(rescor: bool = True) -> Rescor:
    """Whether to model residual correlations, to be added to formulas of several responses.

    Examples
    --------
    >>> (bf("y1 ~ x") + bf("y2 ~ x") + set_rescor(False)).rescor
    False
    """
    return Rescor(flag("rescor", rescor))


@named
def set_mecor(mecor: bool = True) -> Mecor:
    """Whether to model correlations of the latent variables of ``me()`` terms, to be added to a formula.

    Examples
    --------
    >>> (bf("y ~ me(x, sdx)") + set_mecor(False)).mecor
    False
    """
    return Mecor(flag("mecor", mecor))


@named
def set_nl(nl: bool = True, dpar: str | None = None, resp: str | None = None) -> Nl:
    """Make the main formula (or that of ``dpar``) nonlinear, to be added to a formula.

    Examples
    --------
    >>> (bf("y ~ a * exp(x)", "a ~ 1") + set_nl()).nl
    True
    """
    return Nl(nl, dpar, resp=resp)


@named
def acformula(autocor: str, resp: str | None = None) -> Autocor:
    """Autocorrelation terms, to be added to a formula.

    Examples
    --------
    >>> print(bf("y ~ x") + acformula("~ ar(p = 1)"))
    y ~ x
    autocor ~ ar(p = 1)
    """
    return Autocor(_autocor(autocor), resp=resp)


def as_formula(formula: str | Formula | MvFormula) -> Formula | MvFormula:
    """A formula object of a string; formula objects come back as they are.

    Examples
    --------
    >>> as_formula("y ~ x") == bf("y ~ x")
    True
    """
    if isinstance(formula, Formula | MvFormula):
        return formula
    node = parse(formula)
    if not isinstance(node, Binary | Unary) or node.op != "~":
        raise fault(node, "a model formula needs a '~'", 'write "y ~ x"')
    if isinstance(node, Unary) and any(isinstance(n, Name) and n.name == "." for n in walk(node)):
        # for an update: the old response
        node = Binary("~", Name(".", source=node.source, span=node.span), node.operand, source=node.source, span=node.span)
    made = tuple(Formula(Predictor("mu", one)) for one in _responses(node))
    return made[0] if len(made) == 1 else MvFormula(made)


# ---------------------------------------------------------------------------------------------------------------------
# Reading arguments


def _responses(node: Node) -> tuple[Binary, ...]:
    """``mvbind(y1, y2) | additions ~ rhs`` -> one formula for each response."""
    left = split_response(node)
    assert isinstance(node, Binary)
    match left.response:
        case Call("mvbind", args, ()) if args:
            added = node.left.right if isinstance(node.left, Binary) else None
            sides = [one if added is None else Binary("|", one, added, source=node.source, span=node.left.span) for one in args]
            return tuple(Binary("~", side, node.right, source=node.source, span=node.span) for side in sides)
    for part in walk(left.response):
        if isinstance(part, Call) and part.fn == "mvbind":
            raise fault(part, "mvbind() takes responses and stands alone left of '~'", "write mvbind(y1, log(y2)) ~ x")
    return (node,)


def _given(**options: Any) -> dict[str, Any]:
    """Only the options that were given."""
    return {key: value for key, value in options.items() if value is not None}


def _options(**options: Any) -> dict[str, Any]:
    given = _given(**options)
    if given.get("decomp", "none") not in ("none", "QR"):
        raise BrimError(f"unknown decomp '{given['decomp']}'", hint="decomp is 'none' or 'QR'")
    return given


def _flat(parts: Iterable[Any]) -> tuple[Predictor, ...]:
    """The predictors of strings, results of ``lf()`` and ``nlf()``, and lists of these."""
    found: list[Predictor] = []
    for part in parts:
        match part:
            case str():
                found += read_predictors(part)
            case Predictors(predictors):
                found += predictors
            case list() | tuple():
                found += _flat(part)
            case _:
                hint = 'write "sigma ~ x"; formulas of further responses are added with +'
                raise BrimError(f"the formula of a parameter is a string, not {type(part).__name__}", hint=hint)
    return tuple(found)


def _named(par: str, value: Any) -> Predictor | float | str:
    """``sigma=1``, ``sigma2="sigma1"`` or ``sigma="~ x"``."""
    if isinstance(value, str):
        node = parse(value)
        match node:
            case Unary("~", rhs):
                return predictor_of(Name(par), rhs)
            case Name(other):
                if other == par or other.rstrip("0123456789") != par.rstrip("0123456789"):
                    raise BrimError(f"'{par}' cannot equal '{other}'", hint="only parameters of one kind can: sigma2='sigma1'")
                return other
        raise fault(node, f"'{par}' is set to neither a number nor another parameter", f'for a formula write {par}="~ {deparse(node)}"')
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise BrimError(f"'{par}' is set to {value!r}", hint="give one number, the name of another parameter, or a formula '~ x'")
    return float(value)


def _once(parameters: Sequence[str], source: str) -> None:
    for at, par in enumerate(parameters):
        if par in parameters[:at]:
            raise BrimError(f"parameter '{par}' is given twice", source=source, hint="keep one formula or value for it")


def _one_sided(text: str) -> Node:
    node = parse(text)
    if not isinstance(node, Unary) or node.op != "~":
        raise fault(node, "a one-sided formula is wanted", 'write "~ x"')
    return node.operand


def _autocor(text: str) -> Node:
    node = _one_sided(text)
    for part in walk(node):
        if isinstance(part, Call) and (entry := special(part)) and entry.kind == "autocor":
            return node
    raise fault(node, f"{deparse(node)!r} has no autocorrelation term", "write for example ~ ar(p = 1)")
