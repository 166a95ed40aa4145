"""Special terms by kind: which module reads ``s()``, ``gp()``, ``mo()``, ... from a formula; rows of ``language.specials`` say it.

A reader is a function ``(terms, context) -> Read`` of all terms of its kind in one predictor, each the tuple of its factors.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from brim.language.expand import Call, Node, deparse, fault, special
from brim.terms.base import Context, Read
from brim.terms.special.variable import SpecialVariable

__all__ = ["Reader", "VariableReader", "reader", "variable_reader"]

Reader = Callable[[tuple[tuple[Node, ...], ...], Context], Read]
VariableReader = Callable[[Call, Context], SpecialVariable]

#: What reads the terms with a factor that has values of its own (``mo(x):z``).
_PRODUCTS = "brim.terms.special.products:read"


def reader(node: Node) -> Reader:
    """The reader of the terms of a special call's kind.

    Raises
    ------
    BrimError
        The call is no term of its own.
    """
    row = special(node)
    assert row is not None
    if row.inside:
        raise fault(node, f"{deparse(node)} is no term of its own", row.inside.format(call=deparse(node)))
    found: Reader = _function(_PRODUCTS if row.factor else row.reader)
    return found


def variable_reader(call: Call) -> VariableReader:
    """The reader of a special variable."""
    row = special(call)
    assert row is not None
    found: VariableReader = _function(row.reader)
    return found


def _function(address: str) -> Any:
    """``"module:function"``, imported when a formula uses it."""
    module, function = address.split(":")
    return getattr(import_module(module), function)
