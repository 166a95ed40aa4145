"""Python's cycle collector, kept from going through what stays: some 500,000 objects of JAX, pandas and brim, over and over."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["aside", "while_importing"]


@contextmanager
def aside() -> Iterator[None]:
    """The collector leaves out what exists now; at the end all is as before (and so it is where somebody has frozen objects himself).

    Examples
    --------
    >>> import gc
    >>> with aside():
    ...     gc.get_freeze_count() > 0
    True
    >>> gc.get_freeze_count()
    0
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def while_importing() -> Iterator[None]:
    """No rounds of the collector; what was made counts as old at the end, without a round through it."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        with aside():
            pass
        if running:
            gc.enable()
