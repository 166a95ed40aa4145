"""Options of XLA that brim's programs are compiled with."""

from __future__ import annotations

import threading
from functools import lru_cache

import jax

__all__ = ["options", "wanted"]

# jaxlib 0.10.2 and 0.12.0 hand reductions on CPUs to a library that takes f(x) for f(c x) where both are in one sum, c being a constant
# of the program: sum(log(2 x) - log(x)) over 5000 numbers comes out as 0.
_OWN_REDUCTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
_OLDER_GENERATOR = {"xla_cpu_use_fusion_emitters": False}
_asking = threading.Lock()


def options(short: bool = False) -> dict[str, str | bool]:
    """The options that this version of XLA knows, ``compiler_options`` of ``jax.jit``.

    ``short`` adds XLA's older code generator, which compiles in half the time and gives a little slower code.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> total = jax.jit(lambda x: jnp.sum(jnp.log(2 * x) - jnp.log(x)), compiler_options=options())
    >>> float(total(jnp.full(5000, 3.0, "float32"))) / 5000
    0.693
    """
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in wanted(short).items() if _known(name, value)}


def wanted(short: bool = False) -> dict[str, str | bool]:
    """The options before it is known whether this version of XLA has them."""
    return {**_OWN_REDUCTIONS, **(_OLDER_GENERATOR if short else {})}


def _known(name: str, value: str | bool) -> bool:
    """Whether a program compiles with an option; asked once."""
    with _asking:
        return _compiles(name, value)


@lru_cache(maxsize=8)
def _compiles(name: str, value: str | bool) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
    except Exception:  # what XLA raises for options it does not know differs by version
        return False
    return True
