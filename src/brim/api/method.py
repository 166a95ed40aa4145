"""Methods of ``Fit`` that are functions elsewhere: a line each in the class, their text and signature where they are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import MethodType
from typing import Any, final

from brim.arguments import named

__all__ = ["Method"]


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


@cache
def _named(module: str, name: str) -> Callable[..., Any]:
    return named(getattr(import_module(module), name))
