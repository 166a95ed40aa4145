"""Methods of ``Fit`` that are functions elsewhere: a line each in the class, their text and signature where they are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import MethodType
from typing import Any, final

from brim.arguments import named

__all__ = ["Elsewhere", "Method"]


@final
class Method:
    """A function of a fit as its method, imported when it is first asked for: ``loo = Method("brim.post.comparison.loo")``.

    Parameters
    ----------
    module
        Where the function is.
    name
        What it is called there; as the method by default.
    """

    def __init__(self, module: str, name: str = "") -> None:
        self.module, self.name = module, name

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __get__(self, fit: Any, owner: type | None = None) -> Callable[..., Any]:
        function = _named(self.module, self.name)
        return function if fit is None else MethodType(function, fit)


@final
class Elsewhere:
    """The package under its own name in a class body: ``loo = brim.post.comparison.loo.loo`` there is a ``Method``.

    To a type checker it is the package itself, imported under ``if TYPE_CHECKING``, and the line the function: what is misspelt in it is
    told, and calls have the function's arguments and result.

    Parameters
    ----------
    path
        The names so far, with dots between.

    Examples
    --------
    >>> from brim.api.method import Elsewhere
    >>> there = Elsewhere("textwrap")
    >>> class Text(str):
    ...     shortened = there.shorten
    >>> Text("far too long").shortened(width=9, placeholder="")
    'far too'
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def __getattr__(self, name: str) -> Elsewhere:
        if name.startswith("_"):  # what Python asks of a class's attributes
            raise AttributeError(name)
        return Elsewhere(f"{self._path}.{name}")

    def __set_name__(self, owner: type, name: str) -> None:
        setattr(owner, name, Method(*self._path.rsplit(".", 1)))


@cache
def _named(module: str, name: str) -> Callable[..., Any]:
    return named(getattr(import_module(module), name))
