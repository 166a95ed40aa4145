"""Compiled programs of this process: compiled, or loaded from disk, in threads of their own, once for each structure and shapes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import numpy as np

from brim.compile.cache import compile_cached
from brim.compile.placed import Placed
from brim.compile.recent import LastUsed
from brim.compile.session import check_process, float64

__all__ = ["Compiled", "compiled"]

P = TypeVar("P")

_KEPT = 32  # programs held in memory; a program is some MB
_programs: LastUsed[Future[Any]] = LastUsed(_KEPT)


@dataclass(frozen=True)
class Compiled:
    """A compiled function, and what it cost to get."""

    run: Callable[..., Any]
    seconds: float
    from_disk: bool


def compiled(
    structure: Hashable,
    make: Callable[[], Callable[..., Any]],
    args: tuple[Any, ...],
    wrap: Callable[[Compiled], P],
    short: bool = False,
    placed: Placed | None = None,
) -> Future[P]:
    """Start compiling ``make()`` in float64 for arguments like ``args`` in a thread, unless it is there or on its way.

    Parameters
    ----------
    structure
        What the function is made of: equal structures share a program.
    make
        Makes the function to compile.
    args
        Its arguments, or anything of their shapes and types.
    wrap
        What to make of the compiled function.
    short
        Whether it runs for so short a time that its compilation counts more.
    placed
        Devices to run on, the second argument being the data: the program is part of ``structure`` then, and not kept on disk.
    """
    check_process()
    leaves, tree = jax.tree.flatten(args)
    key = (structure, tree, tuple((np.shape(x), np.result_type(x).str) for x in leaves))

    def begin() -> Future[P]:
        future: Future[P] = Future()
        build = partial(compile_cached, make, args, structure, short) if placed is None else partial(_for_devices, placed, make, args)
        threading.Thread(target=_build, args=(future, build, wrap), name="brim-compile").start()
        return future

    return _programs.found(key, begin, stale=lambda future: future.done() and future.exception() is not None)


def _for_devices(placed: Placed, make: Callable[[], Callable[..., Any]], args: tuple[Any, ...]) -> tuple[Any, bool]:
    return placed.compile(make, args, split=1), False


def _build(future: Future[P], build: Callable[[], tuple[Any, bool]], wrap: Callable[[Compiled], P]) -> None:
    try:
        start = time.perf_counter()
        with float64():
            run, from_disk = build()
        future.set_result(wrap(Compiled(run, time.perf_counter() - start, from_disk)))
    except BaseException as error:  # handed to whoever waits
        future.set_exception(error)
