"""Engines by name: ``algorithm="sampling"`` and those that slot in beside it.

An engine is a function of ``(target, *, chains, warmup, draws, thin, cores, seed, control, progress) -> Draws``, which may leave out
what it has no use for (an approximation has no warm-up). Its ``info`` has ``engine``, ``seed`` and ``thin``; approximations add ``khat``
and a ``verdict`` for the summary; ``last_q`` and ``inv_mass`` or ``covariance`` let later chains start from it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from brim.errors import BrimError, suggest
from brim.infer.target import Draws

__all__ = ["ALGORITHMS", "AUTO", "EXACT", "check_algorithm", "engine"]

# name -> "module:function". Modules are imported when asked for, since some need optional packages.
_ENGINES: dict[str, str] = {
    "sampling": "brim.infer.nuts.sampling:sample",
    "map": "brim.infer.approximate.mode:maximum",
    "laplace": "brim.infer.approximate.normal:sample_laplace",
    "nested_laplace": "brim.infer.approximate.importance:sample_importance",
    "pathfinder": "brim.infer.approximate.pathfinder:sample_pathfinder",
    "meanfield": "brim.infer.approximate.variational:sample_meanfield",
    "fullrank": "brim.infer.approximate.variational:sample_fullrank",
    "nutpie": "brim.infer.external.engines:sample_nutpie",
    "numpyro": "brim.infer.external.engines:sample_numpyro",
    "blackjax": "brim.infer.external.engines:sample_blackjax",
}

AUTO = "auto"  # importance where that is good, else Markov chains: see ``fit.run``
ALGORITHMS = tuple(_ENGINES)
EXACT = ("sampling", "nutpie", "numpyro", "blackjax")  # Markov chains; the others approximate


def check_algorithm(name: str) -> str:
    """A name that ``algorithm=`` takes.

    Raises
    ------
    BrimError
        For an unknown name (with the near ones).
    """
    names = (AUTO, *ALGORITHMS)
    if name not in names:
        meant = "'sampling' is the no-U-turn sampler" if str(name).lower() in ("nuts", "hmc", "mcmc", "no-u-turn") else ""
        raise BrimError(f"unknown algorithm {name!r}", hint=meant or suggest(str(name), names, "algorithms"))
    return name


def engine(name: str) -> Callable[..., Draws]:
    """The engine called ``name``.

    Raises
    ------
    BrimError
        For an unknown name (with the near ones).

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
    module, function = _ENGINES[name].split(":")
    found: Callable[..., Draws] = getattr(import_module(module), function)
    return found
