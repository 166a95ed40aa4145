"""Programs that serve data of any shape: those of the last shapes are kept, so that memory does not grow with each new one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

from brim.compile.recent import LastUsed
from brim.compile.xla import options

__all__ = ["bounded"]

KEPT = 24  # programs; each is some MB
_programs: LastUsed[Any] = LastUsed(KEPT)


def bounded(structure: Hashable, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """The function that ``make()`` makes, compiled for the arguments that it is called with.

    Parameters
    ----------
    structure
        What the function is made of: equal structures share programs.
    make
        Makes it; called when there is no program for the shapes of some arguments.

    Examples
    --------
    >>> double = bounded("double", lambda: lambda x: 2 * x)
    >>> [float(double(np.ones(n)).sum()) for n in (1, 2)]
    [2.0, 4.0]
    """

    def run(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        key = (structure, tree, tuple((np.shape(x), str(getattr(x, "dtype", type(x)))) for x in leaves))
        program = _programs.get(key)
        if program is None:
            program = jax.jit(make(), compiler_options=options()).lower(*args).compile()
        _programs.keep(key, program)
        return program(*args)

    return run
