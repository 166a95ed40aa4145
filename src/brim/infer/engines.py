"""Engines by name: ``algorithm="sampling"`` and those that slot in beside it.

An engine is a function of ``(target, *, chains, warmup, draws, thin, cores, seed, control, start, progress, callback) -> Draws``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from brim.errors import BrimError, suggest
from brim.infer.base import Draws

__all__ = ["engine"]

# name -> "module:function"; None: planned, not built. Modules are imported when asked for, since some need optional packages.
_ENGINES: dict[str, str | None] = {
    "sampling": "brim.infer.sampling:sample",
    "map": None,
    "laplace": None,
    "pathfinder": None,
    "meanfield": None,
    "fullrank": None,
    "nutpie": None,
    "numpyro": None,
    "blackjax": None,
}


def engine(name: str) -> Callable[..., Draws]:
    """The engine called ``name``.

    Raises
    ------
    BrimError
        For an unknown name (with the near ones), and for one that is not built yet.

    Examples
    --------
    >>> engine("sampling").__name__
    'sample'
    >>> engine("samplin")
    Traceback (most recent call last):
    brim.errors.BrimError: unknown algorithm 'samplin'
    did you mean 'sampling'?
    """
    if name not in _ENGINES:
        raise BrimError(f"unknown algorithm {name!r}", hint=suggest(str(name), _ENGINES, "algorithms"))
    where = _ENGINES[name]
    if where is None:
        built = [known for known, path in _ENGINES.items() if path is not None]
        raise BrimError(f"algorithm '{name}' is not built yet", hint="built: " + ", ".join(built))
    module, function = where.split(":")
    found: Callable[..., Draws] = getattr(import_module(module), function)
    return found
