"""Names of programs that are the same in every process: from brim's source and the structure of a model, without tracing anything.

Tracing a model and printing its program takes longer than loading the compiled program from disk. What a program computes follows from
brim's source and from what its function is made of: closures and frozen dataclasses, of which the fields that take part in comparison
decide (fields of learned numbers do not, since equal models share one program).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

__all__ = ["Unnamed", "fingerprint", "source_digest"]

# packages whose functions are known by their names, their versions being part of every program's name
_KNOWN = ("brim", "jax", "jaxlib", "numpy", "numpyro", "builtins")


class Unnamed(Exception):
    """Something that has no name in other processes: a user's function, for instance."""


def fingerprint(value: Any) -> str:
    """A digest of what decides a program, equal for equal structures in all processes.

    Parameters
    ----------
    value
        Numbers, text, tuples, mappings, brim's dataclasses, and functions of brim, JAX and NumPy.

    Raises
    ------
    Unnamed
        For anything else: then the program must be traced to know it.

    Examples
    --------
    >>> from brim.terms.base import given_key
    >>> fingerprint((1, "a", given_key)) == fingerprint((1, "a", given_key))
    True
    >>> fingerprint((1, "a")) == fingerprint((1.0, "a"))
    False
    >>> fingerprint(object())
    Traceback (most recent call last):
    ...
    brim.compile.fingerprint.Unnamed: object
    """
    return hashlib.sha256(_text(value).encode()).hexdigest()


def _text(value: Any) -> str:
    """One line that tells a value from all others."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tuple | list):
        return _joined(type(value).__name__, map(_text, value))
    if isinstance(value, frozenset | set):
        return _joined("set", sorted(map(_text, value)))
    if isinstance(value, Mapping):
        return _joined("mapping", sorted(f"{_text(k)}: {_text(v)}" for k, v in value.items()))
    if isinstance(value, Enum):
        return f"{_place(type(value))} {value.name}"
    if is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    return _callable(value)


def _joined(kind: str, parts: Any) -> str:
    return f"{kind}({', '.join(parts)})"


def _record(value: Any) -> str:
    """A dataclass of brim by the fields that are compared."""
    cls = type(value)
    if not _place(cls).startswith("brim.") or not cls.__dataclass_params__.eq:
        raise Unnamed(f"{cls.__name__} object")
    return _joined(_place(cls), (f"{f.name}={_text(getattr(value, f.name))}" for f in fields(value) if f.compare))


def _callable(value: Any) -> str:
    if isinstance(value, partial):
        return _joined("partial", map(_text, (value.func, value.args, value.keywords)))
    if isinstance(value, MethodType):
        return _joined("method", map(_text, (value.__self__, value.__func__)))
    if _is_public(value):
        return _place(value)
    if isinstance(value, FunctionType) and value.__module__.partition(".")[0] == "brim":
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        return _joined(_place(value), map(_text, (_code(value.__code__), cells, value.__defaults__, value.__kwdefaults__)))
    raise Unnamed(f"{type(value).__name__} {getattr(value, '__qualname__', '')}".strip())


def _place(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"


def _is_public(value: Any) -> bool:
    """Whether the value is what its module calls by its name, in a package that is known."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module.partition(".")[0] not in _KNOWN:
        return False
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _code(code: CodeType) -> tuple[Any, ...]:
    """What tells two lambdas of a line from each other: the module's source is known, the place in it is not."""
    return code.co_firstlineno, code.co_code, code.co_names, tuple(map(_constant, code.co_consts))


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


@lru_cache(maxsize=1)
def source_digest() -> str:
    """A digest of all of brim's modules.

    Raises
    ------
    Unnamed
        When the source is not in a folder.
    """
    folder = Path(__file__).parents[1]
    files = sorted(folder.rglob("*.py"))
    if not files:
        raise Unnamed("brim's source is not in a folder")
    out = hashlib.sha256()
    for file in files:
        out.update(f"{file.relative_to(folder)}\0".encode())
        out.update(file.read_bytes())
    return out.hexdigest()
