"""Special terms by kind: which module reads ``s()``, ``gp()``, ``mo()``, ... from a formula.

A reader is a function ``(terms, context) -> Read`` of all terms of its kind in one predictor, each the tuple of its factors.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from brim.language.expand import Call, Node, deparse, fault, special
from brim.terms.base import Context, Read
from brim.terms.special.variable import SpecialVariable

__all__ = ["TOGETHER", "Reader", "VariableReader", "reader", "variable_reader"]

Reader = Callable[[tuple[tuple[Node, ...], ...], Context], Read]
VariableReader = Callable[[Call, Context], SpecialVariable]

#: kind (see ``brim.language.specials``) -> "module:function". Imported when a formula uses it.
_READERS: dict[str, str] = {
    "smooth": "brim.terms.curves.smooth:read",
    "gp": "brim.terms.curves.gp:read",
    "sp": "brim.terms.special.products:read",
    "cs": "brim.terms.cs:read",
    "autocor": "brim.terms.residuals.reader:read",
}

#: Calls that are no term of their own: where they stand.
_INSIDE = {
    "mmc": "it gives each member of mm() its own values: write (1 + {call} | mm(g1, g2))",
    "group": "it stands right of the bar of a group term: write (1 | {call})",
}

#: Kinds that may interact with each other and are read together, under one name.
TOGETHER = {"mo": "sp", "me": "sp", "mi": "sp", "of": "sp"}


def reader(kind: str, node: Node) -> Reader:
    """The reader of a kind of special term.

    Raises
    ------
    BrimError
        The kind is no term of its own.
    """
    if kind in _INSIDE:
        raise fault(node, f"{deparse(node)} is no term of its own", _INSIDE[kind].format(call=deparse(node)))
    module, function = _READERS[kind].split(":")
    found: Reader = getattr(import_module(module), function)
    return found


#: The special variables that ``sp`` multiplies with each other and with plain columns.
_VARIABLES = {
    "mo": "brim.terms.special.mo:read",
    "me": "brim.terms.special.me:read",
    "mi": "brim.terms.special.mi:read",
    "of": "brim.terms.special.function:read",
}


def variable_reader(call: Call) -> VariableReader:
    """The reader of a special variable."""
    kind = special(call)
    assert kind is not None
    module, function = _VARIABLES[kind.kind].split(":")
    found: VariableReader = getattr(import_module(module), function)
    return found
