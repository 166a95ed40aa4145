"""Special terms by kind: which module reads ``s()``, ``gp()``, ``mo()``, ... from a formula.

A reader is a function ``(terms, context) -> Read`` of all terms of its kind in one predictor, each the tuple of its factors.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from brim.errors import BrimError
from brim.language.expand import Call, Node, deparse, special
from brim.terms.base import Context, Read
from brim.terms.special.variable import SpecialVariable

__all__ = ["TOGETHER", "Reader", "VariableReader", "reader", "variable_reader"]

Reader = Callable[[tuple[tuple[Node, ...], ...], Context], Read]
VariableReader = Callable[[Call, Context], SpecialVariable]

#: kind (see ``brim.language.specials``) -> "module:function"; ``None``: planned, not built. Imported when a formula uses it.
_READERS: dict[str, str | None] = {
    "smooth": "brim.terms.curves.smooth:read",
    "gp": "brim.terms.curves.gp:read",
    "sp": "brim.terms.special.products:read",
    "cs": "brim.terms.cs:read",
    "autocor": "brim.terms.residuals.reader:read",
}

#: Kinds that may interact with each other and are read together, under one name.
TOGETHER = {"mo": "sp", "me": "sp", "mi": "sp"}


def reader(kind: str, node: Node) -> Reader:
    """The reader of a kind of special term; ``node`` is shown when it is not built.

    Raises
    ------
    BrimError
        The kind is not built yet, or makes no sense here.
    """
    where = _READERS.get(kind)
    if where is None:
        raise BrimError(f"the term {deparse(node)} is not built yet", source=node.source or None, span=node.span)
    module, function = where.split(":")
    found: Reader = getattr(import_module(module), function)
    return found


#: The special variables that ``sp`` multiplies with each other and with plain columns.
_VARIABLES = {"mo": "brim.terms.special.mo:read", "me": "brim.terms.special.me:read", "mi": "brim.terms.special.mi:read"}


def variable_reader(call: Call) -> VariableReader:
    """The reader of a special variable."""
    kind = special(call)
    assert kind is not None
    module, function = _VARIABLES[kind.kind].split(":")
    found: VariableReader = getattr(import_module(module), function)
    return found
