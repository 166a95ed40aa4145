"""Model formulas as immutable objects, and what ``+`` adds to them; ``bf.py`` makes them from text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from brim.errors import BrimError, suggest
from brim.language.expand import (
    Binary,
    LeftSide,
    Name,
    Node,
    Number,
    Terms,
    Unary,
    deparse,
    expand,
    fault,
    parse,
    split_response,
    variables,
    walk,
)

__all__ = ["Formula", "MvFormula", "Predictor", "response_name"]


@dataclass(frozen=True)
class Predictor:
    """The formula of one parameter, ``par ~ rhs``; the main formula is that of ``mu``.

    Attributes
    ----------
    par
        The distributional or nonlinear parameter.
    node
        The whole formula.
    nl
        Whether the right-hand side is an expression of nonlinear parameters instead of terms.
    loop
        Whether brms would evaluate a nonlinear expression row by row (it changes no number here).
    center
        Whether columns are centred and the intercept is that of the centred ones; ``None``: unless it is a nonlinear parameter's.
    cmc
        Whether factors are coded by their cells where there is no intercept.
    sparse
        As in brms: columns are then not centred (it changes no other number here).
    decomp
        ``"QR"``: coefficients of orthogonal columns are sampled, and priors of class ``b`` are about these; ``"none"``.
    """

    par: str
    node: Node
    nl: bool = False
    loop: bool = True
    center: bool | None = None
    cmc: bool = True
    sparse: bool = False
    decomp: str = "none"

    @property
    def centred(self) -> bool:
        """Whether the columns are centred, of a distributional parameter."""
        return self.center is not False and not self.sparse

    @property
    def rhs(self) -> Node:
        """What stands right of ``~``."""
        assert isinstance(self.node, Binary | Unary)
        return self.node.right if isinstance(self.node, Binary) else self.node.operand

    def terms(self, columns: Sequence[str] = ()) -> Terms:
        """R's expansion of the right-hand side (``formula.expand``); not for a nonlinear formula.

        ``columns`` are those that a ``.`` stands for; the main formula leaves out what is left of ``~`` by itself.
        """
        if self.nl:
            raise fault(self.node, f"the formula of '{self.par}' is nonlinear: an expression, not terms")
        return expand(self.node, columns)

    def __str__(self) -> str:
        return deparse(self.node)


@dataclass(frozen=True, repr=False)
class Formula:
    """The formula of one response, made by ``bf``. It holds no data; ``+`` adds to it.

    Attributes
    ----------
    main
        The main formula, ``response | additions ~ rhs``.
    predictors
        The formulas of further parameters, in the order given.
    fixed
        Parameters set to a number, or equal to another parameter (a string).
    family
        What was given as family, or None.
    autocor
        The one-sided formula of autocorrelation terms, or None.
    unused
        The one-sided formula of columns to keep in the data, or None.
    mecor
        Whether the latent variables of ``me()`` terms are correlated.
    """

    main: Predictor
    predictors: tuple[Predictor, ...] = ()
    fixed: tuple[tuple[str, float | str], ...] = ()
    family: Any = field(default=None, hash=False)
    autocor: Node | None = None
    unused: Node | None = None
    mecor: bool = True

    @cached_property
    def left(self) -> LeftSide:
        """The response expression and its addition terms."""
        return split_response(self.main.node)

    @property
    def resp(self) -> str:
        """The name of the response in names of parameters: ``logy`` for ``log(y)``."""
        return response_name(self.left.response)

    @property
    def nl(self) -> bool:
        """Whether the main formula is nonlinear."""
        return self.main.nl

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """Itself alone; ``MvFormula`` has several."""
        return (self,)

    @property
    def responses(self) -> tuple[str, ...]:
        """The names of the responses."""
        return (self.resp,)

    @property
    def rescor(self) -> bool | None:
        """Residual correlations need several responses."""
        return None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters with a formula, ``mu`` first."""
        return tuple(dict.fromkeys(["mu", *(predictor.par for predictor in self.predictors)]))

    def predictor(self, par: str) -> Predictor:
        """The formula of a parameter; that of ``mu`` is the main formula unless ``mu ~ ...`` was given."""
        for predictor in self.predictors:
            if predictor.par == par:
                return predictor
        if par == "mu":
            return self.main
        raise BrimError(
            f"parameter '{par}' has no formula", source=str(self.main), hint=suggest(par, self.parameters, "parameters with one")
        )

    def terms(self, par: str, columns: Sequence[str] = ()) -> Terms:
        """The expanded right-hand side of a parameter; a ``.`` stands for the ``columns`` that are not in the response."""
        left = variables(self.left_node)
        return self.predictor(par).terms([column for column in columns if column not in left])

    def value(self, par: str) -> float | str | None:
        """The number or the other parameter that ``par`` is set to, or None."""
        return dict(self.fixed).get(par)

    def variables(self, columns: Sequence[str] = (), complete: bool = False) -> tuple[str, ...]:
        """The data columns that all parts use, in order; ``columns`` are those of the data, for a ``.`` on the right.

        ``complete`` leaves out those that may have missing values, which ``mi()`` estimates.
        """
        left = variables(self.left_node)
        estimated = complete and self.left.addition("mi") is not None
        found = [name for call in self.left.additions for name in variables(call, complete)] if estimated else list(left)
        return tuple(dict.fromkeys([*found, *self.right_variables(columns, complete)]))

    def right_variables(self, columns: Sequence[str] = (), complete: bool = False) -> tuple[str, ...]:
        """Those that stand right of any ``~``."""
        left, found = variables(self.left_node), list[str]()
        for right in [*(predictor.rhs for predictor in (self.main, *self.predictors)), self.autocor, self.unused]:
            if right is not None:
                found += variables(right, complete)
                found += [column for column in columns if column not in left and Name(".") in walk(right)]
        nonlinear = any(predictor.nl for predictor in (self.main, *self.predictors))
        parameters = [predictor.par for predictor in self.predictors] if nonlinear else []
        return tuple(name for name in dict.fromkeys(found) if name not in parameters)

    @property
    def left_node(self) -> Node:
        """What stands left of the main ``~``, as written."""
        assert isinstance(self.main.node, Binary)
        return self.main.node.left

    def with_family(self, family: Any) -> Formula:
        """The same formula with another family."""
        return replace(self, family=family)

    def with_shares(self) -> Formula:
        """The same formula with mixing proportions that are all numbers scaled to sum to one, ``theta1 = 1, theta2 = 3``."""
        shares = {par: v for par, v in self.fixed if re.fullmatch(r"theta\d+", par)}
        numbers = [v for v in shares.values() if not isinstance(v, str)]
        if not numbers or len(numbers) < len(shares) or min(numbers) < 0 or sum(numbers) <= 0:
            return self
        total = sum(numbers)
        return replace(self, fixed=tuple((par, v / total if par in shares and not isinstance(v, str) else v) for par, v in self.fixed))

    def with_autocor(self) -> Formula:
        """The same formula with the terms of ``autocor`` in the main formula, unless that is nonlinear."""
        if self.autocor is None or self.nl:
            return self
        return replace(self, main=replace(self.main, node=parse(f"{self.main} + {deparse(self.autocor)}")), autocor=None)

    def __iter__(self) -> Iterator[Formula]:
        return iter(self.formulas)

    def __add__(self, other: Any) -> Any:
        match other:
            case Formula() | MvFormula():
                return together(self, other)
            case str():
                return self + Predictors(read_predictors(other))
            case Rescor():
                hint = "add set_rescor() to bf() + bf()"
                raise BrimError("residual correlations need several responses", source=str(self.main), hint=hint)
            case Addition(resp=resp):
                if resp not in (None, self.resp):
                    raise _unknown_response(resp, self.responses)
                return other.joined(self)
            case None | int() | float() | list() | tuple() | dict():
                raise _cannot_add(other)
        return NotImplemented

    def __str__(self) -> str:
        lines = [str(self.main)]
        if self.autocor is not None:
            lines.append(f"autocor ~ {deparse(self.autocor)}")
        lines += [str(predictor) for predictor in self.predictors]
        lines += [f"{par} = {_plain(value)}" for par, value in self.fixed]
        return "\n".join(lines)

    def __repr__(self) -> str:
        parts = [repr(str(predictor)) for predictor in (self.main, *self.predictors)]
        parts += [f"{par}={value!r}" for par, value in self.fixed]
        parts += ["nl=True"] if self.nl else []
        parts += [f"autocor={'~ ' + deparse(self.autocor)!r}"] if self.autocor is not None else []
        parts += [f"family={self.family!r}"] if self.family is not None else []
        return f"bf({', '.join(parts)})"


@dataclass(frozen=True, repr=False)
class MvFormula:
    """Formulas of several responses, the sum of ``bf`` objects.

    Attributes
    ----------
    formulas
        One for each response, in order.
    rescor
        Whether residual correlations are modelled; None when not said.
    """

    formulas: tuple[Formula, ...]
    rescor: bool | None = None

    def __post_init__(self) -> None:
        names = self.responses
        for at, formula in enumerate(self.formulas):
            if formula.resp in names[:at]:
                raise fault(formula.left.response, f"response '{formula.resp}' is used twice", "each response has one formula")

    @property
    def responses(self) -> tuple[str, ...]:
        """The names of the responses."""
        return tuple(formula.resp for formula in self.formulas)

    def variables(self, columns: Sequence[str] = ()) -> tuple[str, ...]:
        """The data columns that all formulas use, in order."""
        return tuple(dict.fromkeys(name for formula in self.formulas for name in formula.variables(columns)))

    def with_family(self, family: Any) -> MvFormula:
        """The same formulas, all with another family."""
        return replace(self, formulas=tuple(formula.with_family(family) for formula in self.formulas))

    def __iter__(self) -> Iterator[Formula]:
        return iter(self.formulas)

    def __add__(self, other: Any) -> Any:
        match other:
            case Formula() | MvFormula():
                return together(self, other)
            case str():
                return self + Predictors(read_predictors(other))
            case Rescor(rescor=rescor):
                return replace(self, rescor=rescor)
            case Mecor():
                return replace(self, formulas=tuple(other.joined(formula) for formula in self.formulas))
            case Addition(resp=None):
                hint = f"give resp=, one of: {', '.join(self.responses)}"
                raise BrimError("with several responses an addition must name the one it belongs to", hint=hint)
            case Addition(resp=resp):
                if resp not in self.responses:
                    raise _unknown_response(resp, self.responses)
                return replace(self, formulas=tuple(other.joined(one) if one.resp == resp else one for one in self.formulas))
            case None | int() | float() | list() | tuple() | dict():
                raise _cannot_add(other)
        return NotImplemented

    def __str__(self) -> str:
        return "\n".join(str(formula) for formula in self.formulas)

    def __repr__(self) -> str:
        rescor = [] if self.rescor is None else [f"set_rescor({self.rescor})"]
        return " + ".join([*map(repr, self.formulas), *rescor])


# ---------------------------------------------------------------------------------------------------------------------
# What "+" adds


@dataclass(frozen=True)
class Addition:
    """Something that ``+`` adds to the formula of the response ``resp`` (None: the only one)."""

    resp: str | None = field(default=None, kw_only=True)

    def joined(self, formula: Formula) -> Formula:
        """The formula with the addition in it; what was there for the same parameter gives way, as in brms."""
        raise NotImplementedError

    def _call(self, name: str, *given: object) -> str:
        """As it is written: ``set_rescor(False)``."""
        own = [repr(value) for value in given] + ([f"resp={self.resp!r}"] if self.resp is not None else [])
        return f"{name}({', '.join(own)})"


@dataclass(frozen=True, repr=False)
class Predictors(Addition):
    predictors: tuple[Predictor, ...]
    dpar: str | None = None

    def __repr__(self) -> str:
        nonlinear = any(one.nl for one in self.predictors)
        return self._call("nlf" if nonlinear else "lf", *map(str, self.predictors))

    def joined(self, formula: Formula) -> Formula:
        known = (*formula.parameters, *(one.par for one in self.predictors))
        if self.dpar not in (None, *known):
            raise BrimError(
                f"dpar = {self.dpar!r} has no formula", source=str(formula.main), hint=suggest(str(self.dpar), known, "parameters")
            )
        merged = {one.par: one for one in formula.predictors} | {one.par: one for one in self.predictors}
        added = [one.par for one in self.predictors]
        fixed = tuple((par, value) for par, value in formula.fixed if par not in added)
        return replace(formula, predictors=tuple(merged.values()), fixed=fixed)


@dataclass(frozen=True, repr=False)
class Fixed(Addition):
    fixed: tuple[tuple[str, float | str], ...]

    def __repr__(self) -> str:
        return self._call("lf", dict(self.fixed))

    def joined(self, formula: Formula) -> Formula:
        merged = dict(formula.fixed) | dict(self.fixed)
        predictors = tuple(one for one in formula.predictors if one.par not in dict(self.fixed))
        return replace(formula, predictors=predictors, fixed=tuple(merged.items()))


@dataclass(frozen=True, repr=False)
class Nl(Addition):
    nl: bool
    dpar: str | None

    def __repr__(self) -> str:
        return self._call("set_nl", self.nl, *([self.dpar] if self.dpar is not None else []))

    def joined(self, formula: Formula) -> Formula:
        if self.dpar in (None, "mu"):
            return replace(formula, main=replace(formula.main, nl=self.nl))
        return Predictors((replace(formula.predictor(str(self.dpar)), nl=self.nl),)).joined(formula)


@dataclass(frozen=True, repr=False)
class Autocor(Addition):
    autocor: Node

    def __repr__(self) -> str:
        return self._call("acformula", f"~ {deparse(self.autocor)}")

    def joined(self, formula: Formula) -> Formula:
        return replace(formula, autocor=self.autocor)


@dataclass(frozen=True, repr=False)
class Mecor(Addition):
    mecor: bool

    def __repr__(self) -> str:
        return self._call("set_mecor", self.mecor)

    def joined(self, formula: Formula) -> Formula:
        return replace(formula, mecor=self.mecor)


@dataclass(frozen=True, repr=False)
class Rescor(Addition):
    rescor: bool

    def __repr__(self) -> str:
        return self._call("set_rescor", self.rescor)


def _cannot_add(other: object) -> BrimError:
    what = f"{other!r} cannot be added to a formula"
    return BrimError(what, hint="what is added is a formula as text, lf(), nlf(), set_rescor(), or the bf() of another response")


def _unknown_response(resp: str | None, responses: Sequence[str]) -> BrimError:
    return BrimError(f"unknown response '{resp}'", hint=suggest(str(resp), responses, "responses"))


# ---------------------------------------------------------------------------------------------------------------------
# Names, and formulas of parameters


def response_name(response: Node) -> str:
    """Brms' name of a response, its letters and digits: ``logy`` for ``log(y)``, ``y1`` for ``y_1``.

    Examples
    --------
    >>> response_name(parse("log(y_1 + 2)"))
    'logy12'
    """
    text = deparse(response).replace("`", "")
    # R's make.names puts an X before what is no name.
    start = "" if re.match(r"[^\W\d_]|\.(?!\d)", text) else "X"
    return start + re.sub(r"[\W_]", "", text)


def together(*parts: Formula | MvFormula, rescor: bool | None = None) -> MvFormula:
    """The formulas of several responses as one; what was said last of ``rescor`` holds."""
    said = [part.rescor for part in parts if part.rescor is not None] + ([] if rescor is None else [rescor])
    return MvFormula(tuple(one for part in parts for one in part.formulas), said[-1] if said else None)


def read_predictors(text: str) -> tuple[Predictor, ...]:
    """``"sigma ~ x"`` -> one formula; ``"a + b ~ 1"`` -> one for each of ``a`` and ``b``."""
    node = parse(text)
    if not isinstance(node, Binary) or node.op != "~":
        raise fault(node, "the formula of a parameter names it left of '~'", 'write "sigma ~ x"')
    return tuple(predictor_of(par, node.right) for par in _parameters(node.left))


def predictor_of(par: Name, rhs: Node) -> Predictor:
    """The formula ``par ~ rhs``, after a look at the parameter's name."""
    if re.search(r"[._]", par.name):
        raise fault(par, f"illegal parameter name '{par.name}'", "names of parameters have no dots or underscores")
    node = Binary("~", par, rhs, source=rhs.source, span=(min(par.span[0], rhs.span[0]), rhs.span[1]))
    return Predictor(par.name, node)


def _parameters(node: Node) -> tuple[Name, ...]:
    match node:
        case Name():
            return (node,)
        case Binary("+", left, right):
            return *_parameters(left), *_parameters(right)
    raise fault(node, f"{deparse(node)!r} is no name of a parameter", 'write "sigma ~ x", or "a + b ~ x" for several')


def _plain(value: float | str) -> str:
    """A fixed value as R prints it."""
    return value if isinstance(value, str) else deparse(Number(float(value)))
