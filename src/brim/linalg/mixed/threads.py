"""Many factorisations at once: one thread for each, instead of all threads for one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["PROCESSORS", "each"]

PROCESSORS = os.cpu_count() or 1

A = TypeVar("A")
B = TypeVar("B")


def each(function: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """``function`` of every item, by as many threads as there are processors; the linear algebra of each has one.

    On a busy machine the threads of one small factorisation wait for each other several times as long as it takes.
    """
    with _controller().limit(limits=1, user_api="blas"), ThreadPoolExecutor(PROCESSORS) as pool:
        return list(pool.map(function, items))


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Of the libraries that SciPy brought."""
    return ThreadpoolController()
