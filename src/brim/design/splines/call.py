"""From the call ``s(x, k = 5, by = f)`` to a smooth that is ready to learn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from brim.design.splines.asked import Asked
from brim.design.splines.bases import BASES, OVER_FACTORS, REFUSED
from brim.design.splines.basis import AbstractBasis
from brim.design.splines.effects import Independent
from brim.design.splines.mixed import AbstractSmooth, Single
from brim.design.splines.tensor import SeparateTensor, Summed, TensorMargin
from brim.errors import suggest, warn
from brim.language.expand import Call, Constant, Name, Node, Number, Paren, Text, Unary, arguments, deparse, fault
from brim.limits import within

__all__ = ["SmoothCall"]

NOT_BUILT = ("mc",)
#: Arguments that say how mgcv would estimate smoothness; brms takes them and leaves them unread.
UNREAD = ("id", "sp")


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

    def warn_of_unread(self) -> None:
        """Tell which arguments change nothing."""
        for name in (n for n in UNREAD if n in self.options and not _is_null(self.options[n])):
            warn(f"{name} of {deparse(self.call)} is not read: each smooth has its own standard deviation sds, which is sampled")

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
            if name in REFUSED:
                raise fault(node, f'bs = "{name}" is not built: {REFUSED[name]}', f"built are {', '.join((*BASES, *OVER_FACTORS))}")
            if name not in BASES and name not in OVER_FACTORS:
                raise fault(node, f"unknown basis {name!r}", suggest(str(name), (*BASES, *OVER_FACTORS), "bases"))
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

    def build(
        self, levels: tuple[tuple[str, ...], ...], centred: bool, knots: Mapping[str, np.ndarray], data2: Mapping[str, Any]
    ) -> AbstractSmooth:
        """The smooth.

        Parameters
        ----------
        levels
            Levels of each covariate, none for a numeric one.
        centred
            Whether functions are made to sum to zero (not so where a numeric ``by`` multiplies them).
        knots
            Knots by covariate, as written in the formula.
        data2
            Matrices that ``xt = list(nb = W)`` names.
        """
        if self.call.fn != "s":
            return self._tensor(levels, centred, knots, data2)
        name, *more = self.bs
        if more:
            raise fault(self.options["bs"], "s() has one basis", "t2() takes one for each covariate")
        names = tuple(deparse(c) for c in self.covariates)
        asked = Asked(self.call, name, names, levels, self._k(self.numbers("k")), self._m(), extras=self._extras(data2))
        asked = self._with_knots(asked, knots)
        if name in OVER_FACTORS:
            for option in ("fx", "pc"):
                if self.flag(option) if option == "fx" else self._point(1):
                    raise fault(self.options[option], f'{option} has no meaning for bs = "{name}"', "leave it out")
            return OVER_FACTORS[name](asked, self._basis)
        return Single(self._basis(asked), self.flag("fx"), centred, self._point(len(names)))

    def _basis(self, asked: Asked) -> AbstractBasis:
        if asked.bs not in BASES:
            raise asked.error("xt takes the name of the curves' basis", 'xt = "cr"', "xt")
        return BASES[asked.bs](asked)

    def _with_knots(self, asked: Asked, knots: Mapping[str, np.ndarray]) -> Asked:
        """With the knots of its covariates (of the numeric ones, where coefficients run over factors)."""
        wanted = [n for n, levels in zip(asked.names, asked.levels, strict=True) if not levels or asked.bs not in OVER_FACTORS]
        for name in (n for n in asked.names if n in knots and n not in wanted):
            raise fault(self.call, f"knots are given for {name}, which is a factor here", "leave them out")
        found = [n for n in wanted if n in knots]
        if found and len(found) < len(wanted):
            missing = next(n for n in wanted if n not in knots)
            raise fault(self.call, f"knots are given for {found[0]} and not for {missing}", "give as many of each covariate")
        given = tuple(knots[n] for n in found)
        for name, values in zip(found, given, strict=True):
            if (values.dtype.kind in "fiu") == bool(dict(zip(asked.names, asked.levels, strict=True))[name]):
                raise fault(self.call, f"the knots of {name} are no {'levels' if values.dtype.kind in 'fiu' else 'numbers'}")
        return replace(asked, knots=given)

    def _k(self, values: tuple[float | None, ...]) -> int | None:
        if len(values) > 1:
            raise fault(self.options["k"], "s() has one k", "t2() takes one for each covariate")
        return within("basis", values[0], f"k of {deparse(self.call)}") if values and values[0] is not None else None

    def _m(self) -> tuple[float | None, ...]:
        """``m`` of ``s``, ``NA`` as ``None``."""
        node = self.options.get("m")
        if node is None or _is_null(node):
            return ()
        values = _values(node)
        if any(isinstance(v, str) for v in values):
            raise fault(node, "m of s() takes numbers")
        if any(v is not None and math.isinf(v) for v in values):
            raise fault(node, "m of s() is finite")
        found = tuple(None if v is None or math.isnan(v) else float(v) for v in values)
        return () if all(v is None for v in found) else found

    def _extras(self, data2: Mapping[str, Any]) -> dict[str, Any]:
        """``xt = list(nb = W, max.knots = 100)``; ``xt = "cr"`` is ``xt = list(bs = "cr")``."""
        return self._members(self.options.get("xt"), data2)

    def _extras_of_each(self, n: int, data2: Mapping[str, Any]) -> list[dict[str, Any]]:
        """``xt`` of each margin: ``list(list(max.knots = 20), NULL)``, or one for all."""
        node = self.options.get("xt")
        if isinstance(node, Call) and node.fn == "list" and node.args and not node.kwargs:
            if len(node.args) != n:
                raise fault(node, f"xt has {len(node.args)} lists for {n} margins")
            return [self._members(one, data2) for one in node.args]
        return [self._members(node, data2)] * n

    def _members(self, node: Node | None, data2: Mapping[str, Any]) -> dict[str, Any]:
        if node is None or _is_null(node):
            return {}
        if not (isinstance(node, Call) and node.fn == "list"):
            return {"bs": _constant(node)}
        if node.args:
            raise fault(node, "the members of xt have names", 'xt = list(bs = "cr")')
        return {name: self._extra(value, data2) for name, value in node.kwargs}

    def _extra(self, node: Node, data2: Mapping[str, Any]) -> Any:
        if not isinstance(node, Name):
            return _constant(node)
        if node.name not in data2 or callable(data2[node.name]):
            known = [name for name, value in data2.items() if not callable(value)]
            raise fault(
                node, f"'{node.name}' is not in data2", suggest(node.name, known, "matrices in data2") if known else "give data2 = {...}"
            )
        return data2[node.name]

    def _point(self, d: int) -> tuple[float, ...]:
        """``pc = 0``, ``c(0, 1)`` or ``list(0, 1)``: where the function is zero."""
        node = self.options.get("pc")
        if node is None or _is_null(node):
            return ()
        named = dict(node.kwargs) if isinstance(node, Call) and node.fn == "list" else {}
        if named:
            parts = [named.get(deparse(c)) for c in self.covariates]
            values = tuple(_constant(v) for v in parts if v is not None)
        else:
            values = tuple(v for arg in node.args for v in _values(arg)) if isinstance(node, Call) and node.fn == "list" else _values(node)
        if len(values) != d or any(isinstance(v, str) or v is None or not math.isfinite(v) for v in values):
            raise fault(node, f"pc is one number for each of {d} covariate(s)", "pc = c(0, 1)")
        return tuple(float(v) for v in values)

    def _tensor(
        self, levels: tuple[tuple[str, ...], ...], centred: bool, knots: Mapping[str, np.ndarray], data2: Mapping[str, Any]
    ) -> AbstractSmooth:
        for name in ("fx", "pc"):
            if name in self.options and (self.flag(name) if name == "fx" else not _is_null(self.options[name])):
                what = f"{self.call.fn}() has no {name}, in brms neither"
                raise fault(self.options[name], what, "leave it out; s() has one")
        margins = self._margins(levels, knots, data2)
        if self.call.fn == "t2":
            orders = tuple(int(v or 0) for v in self.numbers("ord")) or None
            return SeparateTensor(margins, self.flag("full"), orders, centred)
        return Summed(margins, self.call.fn == "ti", centred)

    def _margins(
        self, levels: tuple[tuple[str, ...], ...], knots: Mapping[str, np.ndarray], data2: Mapping[str, Any]
    ) -> tuple[TensorMargin, ...]:
        d = [int(v or 1) for v in self.numbers("d")] or [1] * len(levels)
        if sum(d) != len(levels):
            raise fault(self.options["d"], f"the dimensions d sum to {sum(d)}, and there are {len(levels)} covariates")
        bs, k, m = self._each("bs", self.bs, len(d)), self._each("k", self.numbers("k"), len(d)), self._each("m", self._m_list(), len(d))
        out, at = [], 0
        within("basis", math.prod(size or 5.0**width for size, width in zip(k, d, strict=True)), f"k of {deparse(self.call)}")
        for name, size, order, width, extras in zip(bs, k, m, d, self._extras_of_each(len(d), data2), strict=True):
            columns = tuple(range(at, at + width))
            mine = tuple(levels[c] for c in columns)
            names = tuple(deparse(self.covariates[c]) for c in columns)
            at += width
            if (name in OVER_FACTORS and name != "re") or (any(mine) and name != "re"):
                raise fault(self.call, f'a margin with bs = "{name}" cannot be built here', 'a factor makes a margin with bs = "re"')
            asked = self._with_knots(Asked(self.call, name, names, mine, int(size or 5**width), order or (), extras=extras), knots)
            out.append(TensorMargin(Independent(tuple(len(v) for v in mine)) if name == "re" else self._basis(asked), columns))
        return tuple(out)

    def _m_list(self) -> tuple[tuple[float | None, ...], ...]:
        """The order of each margin: ``m = 2``, ``c(2, 3)`` or ``list(2, c(2, 1))``."""
        node = self.options.get("m")
        if isinstance(node, Call) and node.fn == "list":
            return tuple(tuple(None if math.isnan(v) else v for v in _values(arg)) for arg in node.args)
        return tuple(() if v is None else (v,) for v in self._m())

    def _each(self, name: str, values: tuple[Any, ...], n: int) -> tuple[Any, ...]:
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
