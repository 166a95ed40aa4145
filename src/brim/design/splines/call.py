"""From the call ``s(x, k = 5, by = f)`` to a smooth that is ready to learn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from brim.design.splines.basis import AbstractBasis
from brim.design.splines.cubic import CubicRegression, Cyclic
from brim.design.splines.effects import Independent, Slopes
from brim.design.splines.mixed import AbstractSmooth, Curves, Single
from brim.design.splines.pspline import PSpline
from brim.design.splines.tensor import Margin, Separate, Summed
from brim.design.splines.thinplate import ThinPlate
from brim.errors import suggest
from brim.language.expand import Call, Constant, Node, Number, Paren, Text, Unary, arguments, deparse, fault
from brim.limits import within

__all__ = ["SmoothCall"]

BASES = ("tp", "ts", "cr", "cs", "cc", "ps", "cp", "re", "fs")
PLANNED = ("ds", "gp", "ad", "sz", "mrf", "sos", "so", "bs")
NOT_BUILT = ("id", "sp", "pc", "mc")


@final
@dataclass(frozen=True)
class SmoothCall:
    """A call to ``s``, ``t2``, ``te`` or ``ti`` with its arguments matched."""

    call: Call
    covariates: tuple[Node, ...]
    options: dict[str, Node]

    @staticmethod
    def read(call: Call) -> SmoothCall:
        """Match the arguments, and refuse those that are not built."""
        dots, named = arguments(call)
        for name in NOT_BUILT:
            if name in named and not _is_null(named[name]):
                raise fault(named[name], f"the argument {name} of {call.fn}() is not built yet", "leave it out")
        if "np" in named and _constant(named["np"]) is not True:
            raise fault(named["np"], f"np = FALSE of {call.fn}() is not built yet", "leave it out")
        if not dots:
            raise fault(call, f"{call.fn}() has no covariate", f"write {call.fn}(x)")
        return SmoothCall(call, dots, named)

    @property
    def by(self) -> Node | None:
        """The variable given as ``by``."""
        node = self.options.get("by")
        return None if node is None or _is_null(node) or deparse(node) == "NA" else node

    @property
    def label(self) -> str:
        """mgcv's label, without ``by``."""
        return f"{self.call.fn}({','.join(deparse(c) for c in self.covariates)})"

    @property
    def bs(self) -> tuple[str, ...]:
        """Names of bases."""
        node = self.options.get("bs")
        if node is None:
            return ("tp",) if self.call.fn == "s" else ("cr",)
        names = _values(node)
        for name in names:
            if name in PLANNED:
                raise fault(node, f'smooths with bs = "{name}" are not built yet', f"built are {', '.join(BASES)}")
            if name not in BASES:
                raise fault(node, f"unknown basis {name!r}", suggest(str(name), BASES, "bases"))
        return tuple(str(name) for name in names)

    def flag(self, name: str, default: bool = False) -> bool:
        """A logical argument."""
        return bool(_constant(self.options[name])) if name in self.options else default

    def numbers(self, name: str) -> tuple[float | None, ...]:
        """A numeric argument; missing and negative values (mgcv's default) are ``None``."""
        node = self.options.get(name)
        if node is None:
            return ()
        values = _values(node)
        if any(isinstance(v, str) for v in values):
            raise fault(node, f"{name} of {self.call.fn}() takes numbers")
        return tuple(None if v is None or math.isnan(v) or v < 0 else float(v) for v in values)

    def build(self, levels: tuple[int, ...], centred: bool) -> tuple[AbstractSmooth, tuple[int, ...]]:
        """The smooth, and the covariates that are factors over whose levels its coefficients run.

        Parameters
        ----------
        levels
            Number of levels of each covariate, 0 for a numeric one.
        centred
            Whether functions are made to sum to zero (not so where a numeric ``by`` multiplies them).
        """
        if self.call.fn != "s":
            return self._tensor(levels, centred), ()
        name, *more = self.bs
        if more:
            raise fault(self.options["bs"], "s() has one basis", "t2() takes one for each covariate")
        factors = tuple(i for i, n in enumerate(levels) if n)
        k, m = self._k(self.numbers("k")), self._orders()
        if name in ("re", "fs"):
            self._refuse_unread(("fx",) if name == "fs" else ("fx", "m", "xt"), name)
        if name == "re":
            return Slopes(), factors
        if name == "fs":
            if len(factors) != 1:
                raise fault(self.call, 'bs = "fs" needs one factor among its covariates', 's(x, g, bs = "fs")')
            return Curves(self._basis(self._inner(), k or 10, m, len(levels) - 1)), factors
        if factors:
            node = self.covariates[factors[0]]
            raise fault(node, f"{deparse(node)} is a factor", 'use bs = "re" or bs = "fs", or give it as by')
        return Single(self._basis(name, k, m, len(levels)), self.flag("fx"), centred), ()

    def _refuse_unread(self, names: tuple[str, ...], bs: str) -> None:
        for name in names:
            if name in self.options and (name != "fx" or self.flag(name)):
                raise fault(self.options[name], f'{name} has no meaning for bs = "{bs}"', "leave it out")

    def _k(self, values: tuple[float | None, ...]) -> int | None:
        if len(values) > 1:
            raise fault(self.options["k"], "s() has one k", "t2() takes one for each covariate")
        return within("basis", values[0], f"k of {deparse(self.call)}") if values and values[0] is not None else None

    def _orders(self) -> tuple[float | None, ...]:
        return self.numbers("m") if self.call.fn == "s" else ()

    def _inner(self) -> str:
        """The basis of the curves of ``bs = "fs"``: ``xt = "cr"`` or ``xt = list(bs = "cr")``."""
        node = self.options.get("xt")
        if node is None:
            return "tp"
        inner = dict(node.kwargs).get("bs", node) if isinstance(node, Call) and node.fn == "list" else node
        if not isinstance(inner, Text) or inner.value not in BASES[:-2]:
            raise fault(node, "xt takes the name of the curves' basis", 'xt = "cr"')
        return inner.value

    def _basis(self, name: str, k: int | None, m: tuple[float | None, ...], d: int) -> AbstractBasis:
        if "xt" in self.options and self.bs != ("fs",):
            raise fault(self.options["xt"], 'xt is built for bs = "fs" only', "leave it out")
        orders = [None if v is None else int(v) for v in m]
        if name in ("tp", "ts"):
            if len(orders) > 2 or (len(orders) == 2 and orders[1] not in (None, 0)):
                raise fault(self.options["m"], "m of a thin plate spline is an order, or c(order, 0) for no unpenalised functions")
            return ThinPlate(k, orders[0] if orders and orders[0] else None, name == "ts", not (len(orders) > 1 and orders[1] == 0))
        if name in ("ps", "cp"):
            order, difference = (orders * 2)[:2] if orders else (2, 2)
            pair = 2 if order is None else order, 2 if difference is None else difference
            return PSpline(k or 10, *pair, cyclic=name == "cp")
        if orders:
            raise fault(self.options["m"], f'm has no meaning for bs = "{name}"', "leave it out")
        if d != 1:
            raise fault(self.call, f'bs = "{name}" is for one covariate', 'use bs = "tp", or t2()')
        return Cyclic(k or 10) if name == "cc" else CubicRegression(k or 10, name == "cs")

    def _tensor(self, levels: tuple[int, ...], centred: bool) -> AbstractSmooth:
        for name in ("xt", "fx"):
            if name in self.options and (name == "xt" or self.flag(name)):
                raise fault(self.options[name], f"the argument {name} of {self.call.fn}() is not built yet", "leave it out")
        margins = self._margins(levels)
        if self.call.fn == "t2":
            orders = tuple(int(v or 0) for v in self.numbers("ord")) or None
            return Separate(margins, self.flag("full"), orders, centred)
        return Summed(margins, self.call.fn == "ti", centred)

    def _margins(self, levels: tuple[int, ...]) -> tuple[Margin, ...]:
        d = [int(v or 1) for v in self.numbers("d")] or [1] * len(levels)
        if sum(d) != len(levels):
            raise fault(self.options["d"], f"the dimensions d sum to {sum(d)}, and there are {len(levels)} covariates")
        bs, k, m = self._each("bs", self.bs, len(d)), self._each("k", self.numbers("k"), len(d)), self._each("m", self._m_list(), len(d))
        out, at = [], 0
        within("basis", math.prod(size or 5.0**width for size, width in zip(k, d, strict=True)), f"k of {deparse(self.call)}")
        for name, size, order, width in zip(bs, k, m, d, strict=True):
            columns = tuple(range(at, at + width))
            mine = tuple(levels[c] for c in columns)
            at += width
            if name == "fs" or (any(mine) and name != "re"):
                raise fault(self.call, f'a margin with bs = "{name}" cannot be built here', 'a factor makes a margin with bs = "re"')
            basis = Independent(mine) if name == "re" else self._basis(name, int(size or 5**width), order or (), width)
            out.append(Margin(basis, columns))
        return tuple(out)

    def _m_list(self) -> tuple[tuple[float | None, ...], ...]:
        """The order of each margin: ``m = 2``, ``c(2, 3)`` or ``list(2, c(2, 1))``."""
        node = self.options.get("m")
        if isinstance(node, Call) and node.fn == "list":
            return tuple(tuple(None if math.isnan(v) else v for v in _values(arg)) for arg in node.args)
        return tuple(() if v is None else (v,) for v in self.numbers("m"))

    def _each(self, name: str, values: tuple[Any, ...], n: int) -> tuple[Any, ...]:
        """One value for each margin."""
        if len(values) in (0, 1):
            return (values or (None,)) * n
        if len(values) != n:
            raise fault(self.options[name], f"{name} has {len(values)} values for {n} margins")
        return values


def _is_null(node: Node) -> bool:
    return isinstance(node, Constant) and node.value is None


def _constant(node: Node) -> Any:
    """A number, string or truth value."""
    match node:
        case Number(value) | Text(value) | Constant(value):
            return value
        case Paren(inner):
            return _constant(inner)
        case Unary("-", operand):
            value = _constant(operand)
            if isinstance(value, (int, float)):
                return -value
    raise fault(node, f"{deparse(node)} is not a number or a string", "arguments of a smooth are written out in the formula")


def _values(node: Node) -> tuple[Any, ...]:
    """One constant, or those in ``c(...)``."""
    if isinstance(node, Call) and node.fn == "c":
        return tuple(v for arg in node.args for v in _values(arg))
    return (_constant(node),)
