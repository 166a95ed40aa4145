"""How many threads linear algebra has: one where matrices are small, one for each of many factorisations at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from threading import Lock, get_ident, local
from typing import TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["PROCESSORS", "each", "one_thread", "suited"]

PROCESSORS = os.cpu_count() or 1

#: Rows of a matrix from which on several threads factorise it sooner; below, they wait for each other more than they compute.
LARGE = 1500

A = TypeVar("A")
B = TypeVar("B")


def each(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """``function`` of every item, by as many threads as there are processors; the linear algebra of each has one.

    On a busy machine the threads of one small factorisation wait for each other several times as long as it takes.
    """
    with one_thread(), ThreadPoolExecutor(PROCESSORS) as pool:
        return list(pool.map(function, items))


def suited(rows: int) -> AbstractContextManager[None]:
    """Within, linear algebra has as many threads as matrices of so many rows use well: one for small ones, else the usual number."""
    return one_thread() if rows < LARGE else nullcontext()


_LOCK = Lock()
_WITHIN: list[int] = []  # the threads of Python that are within
_USUAL: list[int] = []  # each library's number before the first of them came
_DEPTH = local()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for the linear algebra within.

    The number belongs to the process: what comes back is the one from before any thread of Python was within, since one that comes second
    finds the first's.
    """
    if getattr(_DEPTH, "inside", False):
        yield
        return
    libraries = _controller().lib_controllers
    with _LOCK:
        if not _WITHIN:
            _USUAL[:] = [library.num_threads for library in libraries]
        _WITHIN.append(get_ident())
        _set([1] * len(libraries))
    _DEPTH.inside = True
    try:
        yield
    finally:
        _DEPTH.inside = False
        with _LOCK:
            _WITHIN.remove(get_ident())
            _set(_USUAL)


def _set(numbers: list[int]) -> None:
    for library, number in zip(_controller().lib_controllers, numbers, strict=True):
        library.set_num_threads(number)


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Of the libraries that NumPy and SciPy brought."""
    import scipy.linalg  # noqa: F401  # what is loaded later would keep its threads

    return ThreadpoolController().select(user_api="blas")
