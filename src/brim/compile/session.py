"""Where brim enters JAX: in float64, under JAX's own defaults, and in a process whose JAX works."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax

from brim.errors import BrimError

__all__ = ["check_process", "float64"]

#: What a user may set for his own code and brim's does not bear: a density passes through infinities and NaN on its way, arrays of
#: NumPy are arguments, programs are compiled. ``context manager of jax -> its value here``; those that this JAX lacks are passed over.
_OWN = {
    "enable_x64": True,
    "debug_nans": False,
    "debug_infs": False,
    "debug_key_reuse": False,
    "disable_jit": False,
    "check_tracer_leaks": False,
    "transfer_guard": "allow",
    "numpy_rank_promotion": "allow",
    "numpy_dtype_promotion": "standard",
    "default_prng_impl": "threefry2x32",
    "threefry_partitionable": True,  # draws would depend on it
    "enable_custom_prng": False,
}
_CONTEXTS = tuple((getattr(jax, name), value) for name, value in _OWN.items() if hasattr(jax, name))

_entered = False  # JAX was used by brim in this process or one that it was forked from
_forked = False  # this process was forked from one that had used JAX


@contextmanager
def float64() -> Iterator[None]:
    """JAX with float64 and its own defaults, in this thread; the caller's settings are back afterwards.

    Raises
    ------
    BrimError
        In a process that was forked from one in which JAX ran.
    """
    global _entered
    check_process()
    _entered = True
    with ExitStack() as stack:
        for context, value in _CONTEXTS:
            stack.enter_context(context(value))
        yield


def check_process() -> None:
    """Stop where JAX would hang: its threads, and those that compile, did not come along when the process was forked."""
    if _forked:
        raise BrimError(
            "this process was forked from one that had computed with JAX, whose threads did not come along: it would wait for ever",
            hint="start processes by 'spawn': multiprocessing.get_context('spawn'), or ProcessPoolExecutor(mp_context=...)",
        )


def _after_fork() -> None:
    global _forked
    backends = getattr(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized", None)
    _forked = _forked or _entered or (backends is not None and backends())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
