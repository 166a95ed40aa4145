"""Where chains start: the user's ``init``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from brim.errors import BrimError, suggest
from brim.infer.engines import engine
from brim.infer.info import Info
from brim.infer.nuts.sampling import fresh_seed
from brim.infer.nuts.warmup import Start
from brim.infer.target import Target

__all__ = ["Init", "read_init", "start_of"]

_FROM = ("laplace", "pathfinder", "meanfield", "fullrank")
DRAWS = 250  # of an approximation that chains start from, a chain


@dataclass(frozen=True)
class Init:
    """``init`` read.

    Attributes
    ----------
    spread
        Half-width of the uniform spread around the priors' centre.
    algorithm
        The approximation that chains start from, if any.
    info
        What the engine of an earlier fit told, to start from it.
    values
        Values of parameters, by name, for each chain, or for all.
    """

    spread: float = 1.0
    algorithm: str = ""
    info: Info | None = None
    values: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)

    @property
    def approximate(self) -> bool:
        """Whether chains start from an approximation or a fit."""
        return bool(self.algorithm) or self.info is not None


# the words of brms for starting points at random, and for those without spread
_WORDS = {"random": Init(), "0": Init(spread=0.0)}


def read_init(init: Any, chains: int = 1) -> Init:
    """``None``, a number, the name of an approximation, or a fit (anything with the ``info`` of one); brms' ``"random"`` and ``"0"``.

    Values of parameters are a dict for all ``chains``, a list with one for each, or a function that gives one (of the chain's number,
    from 1, where it takes an argument).

    Examples
    --------
    >>> read_init("pathfinder").algorithm
    'pathfinder'
    >>> read_init(0.5).spread
    0.5
    >>> read_init("random") == read_init(None)
    True
    >>> read_init(lambda: {"sigma": 1.0}, chains=2).values
    ({'sigma': 1.0}, {'sigma': 1.0})
    """
    if init is None:
        return Init()
    if isinstance(init, str):
        if init in _WORDS:
            return _WORDS[init]
        if init not in _FROM:
            raise BrimError(f"init = {init!r}", hint=suggest(init, (*_WORDS, *_FROM), "starts"))
        return Init(algorithm=init)
    if isinstance(init, int | float | np.number) and not isinstance(init, bool) and np.isfinite(init) and init >= 0:
        return Init(spread=float(init))
    info = getattr(init, "info", None)
    if isinstance(info, Mapping):
        return Init(info=cast("Info", info))
    if isinstance(init, Mapping):
        return Init(values=(init,) * chains)
    if inspect.isroutine(init):
        return Init(values=_from_function(init, chains))
    if isinstance(init, list | tuple) and init and all(isinstance(one, Mapping) for one in init):
        if len(init) != chains:
            raise BrimError(f"init has values for {len(init)} chains of {chains}", hint="give a dict for each chain, or one for all")
        return Init(values=tuple(init))
    raise BrimError(
        f"init = {init!r}",
        hint="give a number >= 0, 'laplace', 'pathfinder', 'meanfield', 'fullrank', a fit, or values: {'b_x': 1.0}, a list of such dicts",
    )


def _from_function(init: Callable[..., Any], chains: int) -> tuple[Mapping[str, Any], ...]:
    """The values that a function gives for each chain."""
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    own = [p for p in inspect.signature(init).parameters.values() if p.default is p.empty and p.kind in places]
    hint = "it returns a dict: lambda: {'b_x': 1.0}, or lambda chain: {'b_x': chain / 10}"
    if len(own) > 1:
        raise BrimError(f"init: the function takes {len(own)} arguments", hint=hint)
    found = [init(number + 1) if own else init() for number in range(chains)]
    wrong = [one for one in found if not isinstance(one, Mapping)]
    if wrong:
        raise BrimError(f"init: the function returned {wrong[0]!r}", hint=hint)
    return tuple(found)


def start_of(init: Init, target: Target, chains: int, seed: int | None, algorithm: str) -> Start | None:
    """First points and metric of the chains of an ``algorithm``; ``None`` when they start at random.

    Raises
    ------
    BrimError
        When the fit to start from has other coordinates, or none.
    """
    info = init.info
    if init.approximate and algorithm != "sampling":
        raise BrimError(f"init: algorithm '{algorithm}' does not start from an approximation", hint="algorithm='sampling' does")
    if init.algorithm:
        seed = fresh_seed() if seed is None else seed
        info = engine(init.algorithm)(target, chains=chains, draws=DRAWS, thin=1, seed=seed).info
    if info is None:
        return None
    points = info.get("last_q")
    metric = info.get("covariance", info.get("inv_mass"))
    if points is None or metric is None:
        raise BrimError(
            "init: the fit does not know where its chains ended", hint="give one of algorithm='pathfinder', or with marginalize=False"
        )
    if np.shape(points)[1] != target.dim:
        raise BrimError(
            f"init: the fit has {np.shape(points)[1]} sampled dimensions, this model {target.dim}",
            hint="give a fit of the same model, with the same levels and the same marginalize",
        )
    metric = np.asarray(metric) if "covariance" in info else np.mean(metric, axis=0)
    return Start(np.asarray(points)[np.arange(chains) % len(points)], metric)
