"""What was asked for last, kept by key: memory does not grow with each new one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["LastUsed"]

V = TypeVar("V")


class LastUsed(Generic[V]):
    """The ``most`` values that were asked for last; threads may share it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, the oldest first."""
        with self._lock:
            return iter(tuple(self._values))

    def get(self, key: Hashable) -> V | None:
        """The value, if it is there."""
        with self._lock:
            return self._values.get(key)

    def keep(self, key: Hashable, value: V) -> None:
        """Keep a value as the last one asked for; the oldest go."""
        with self._lock:
            self._keep(key, value)

    def found(self, key: Hashable, make: Callable[[], V], stale: Callable[[V], bool] = lambda _: False) -> V:
        """The value, made (while other threads wait) where it is not there or ``stale``.

        Examples
        --------
        >>> squares = LastUsed(2)
        >>> [squares.found(x, lambda x=x: x * x) for x in (2, 3, 4)]
        [4, 9, 16]
        >>> squares.get(2), squares.get(4)
        (None, 16)
        """
        with self._lock:
            value = self._values.get(key)
            if value is None or stale(value):
                value = make()
            self._keep(key, value)
            return value

    def _keep(self, key: Hashable, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self.most:
            self._values.popitem(last=False)
