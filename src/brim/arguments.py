"""Arguments of the public functions, checked: what is wrong with a value, and what was meant by an unknown name."""

from __future__ import annotations

import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from brim.errors import BrimError, near, suggest

__all__ = [
    "drawn_seed",
    "flag",
    "intervals",
    "label",
    "named",
    "named_methods",
    "number",
    "one_of",
    "place",
    "positions",
    "seed",
    "unknown",
    "whole",
]

W = TypeVar("W", bound=str)

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

_LARGEST_SEED = 2**63 - 1  # what JAX's generators take

#: Names that other packages give to an argument -> how brim says it. ``name=...`` when it goes into another argument.
_MEANT = {
    "adapt_delta": "control={'adapt_delta': 0.95}",
    "allow_newlevels": "allow_new_levels",
    "backend": "algorithm",
    "burnin": "warmup",
    "class": "class_",
    "conf_level": "prob",
    "dataset": "data",
    "df": "data",
    "draws": "iter",
    "inits": "init",
    "max_treedepth": "control={'max_treedepth': 12}",
    "metric": "control={'metric': 'dense'}",
    "n_chains": "chains",
    "n_draws": "ndraws",
    "n_iter": "iter",
    "n_jobs": "cores",
    "n_samples": "ndraws",
    "nchains": "chains",
    "new_data": "newdata",
    "niter": "iter",
    "nsamples": "ndraws",
    "num_chains": "chains",
    "num_samples": "iter",
    "num_warmup": "warmup",
    "pars": "variable",
    "priors": "prior",
    "progress_bar": "progress",
    "progressbar": "progress",
    "random_seed": "seed",
    "random_state": "seed",
    "re_form": "re_formula",
    "refresh": "progress",
    "rng": "seed",
    "sampler": "algorithm",
    "samples": "iter",
    "silent": "progress",
    "step_size": "control={'step_size': 0.1}",
    "subset": "draw_ids",
    "target_accept": "control={'adapt_delta': 0.95}",
    "tune": "warmup",
    "verbose": "progress",
}

#: Arguments of brms' functions that have no counterpart -> what to do instead.
_INSTEAD = {
    "autocor": "write ar(time, g) and the like in the formula, or bf(..., autocor='~ ar(time)')",
    "contrasts": "in brim.brm(), write C(f, contr.sum) in the formula",
    "cov_ranef": "write (1 | gr(g, cov = A)) in the formula, with data2={'A': matrix}",
    "devfunonly": "fit.search() gives the function that is minimised, and where the search began",
    **dict.fromkeys(("etastart", "mustart"), "start={'theta': ..., 'fixef': ...} says where the search begins"),
    "na_action": "rows with missing values are left out; mi() in the formula imputes them",
    "offset": "in brim.brm(), write offset(x) in the formula",
    "subset": "choose the rows before: data[data['x'] > 2]; of several responses, write y | subset(s)",
    "weights": "in brim.brm(), write y | weights(w) in the formula",
    "sparse": "write bf(..., sparse=True)",
    **dict.fromkeys(("stanvars", "stan_funs"), "numbers go into the prior's text, matrices into data2={...}, laws into custom_family()"),
    "fit": "fit.update(newdata=...) fits the same model again",
    **dict.fromkeys(("save_pars", "save_ranef", "save_mevars", "save_all_pars"), "all is kept; keep= says what is left out"),
    **dict.fromkeys(("threads", "threading"), "cores= says how many chains run at a time"),
    "opencl": "device='gpu' runs chains there",
    "future": "executor= says where chains run",
    **dict.fromkeys(("save_fits", "recompile", "save_model", "stan_model_args", "rename", "normalize", "ntrys"), "leave it out"),
    **dict.fromkeys(("theme", "ask", "newpage"), "leave it out; the figure that comes back is matplotlib's"),
    **dict.fromkeys(("pointwise", "combine", "sort", "env", "check", "force_save"), "leave it out"),
    **dict.fromkeys(("log_lik", "posterior_epred", "vars"), "the function that gives the distribution says it all"),
    "flist": "give the formulas one after the other",
    "probs": "prob=0.95 gives the interval",
    "fixed": "regex=True takes patterns",
    "model_names": "write name=fit for each",
}


# --------------------------------------------------------------------------- values


def whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number: of Python, NumPy, or a float without fraction (R's numbers are such), within bounds.

    Examples
    --------
    >>> whole("iter", 1e3, least=1)
    1000
    >>> whole("iter", 2.5, least=1)
    Traceback (most recent call last):
    brim.errors.BrimError: iter = 2.5
    give a whole number >= 1
    """
    found = _index(value)
    if found is None or (least is not None and found < least) or (most is not None and found > most):
        raise BrimError(f"{name} = {_shown(value)}", hint=f"give a whole number{_within(least, most)}")
    return found


def _index(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, float | np.floating):
        return int(value) if math.isfinite(value) and value == int(value) else None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _within(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return "" if least is None and most is None else f" >= {least}" if most is None else f" <= {most}"


def number(name: str, value: Any, above: float = -math.inf, below: float = math.inf) -> float:
    """A finite number strictly between bounds.

    Examples
    --------
    >>> number("prob", 0.9, above=0, below=1)
    0.9
    """
    real = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.complexfloating)
    if not real or not math.isfinite(value) or not above < value < below:
        between = f" between {above:g} and {below:g}" if math.isfinite(above) and math.isfinite(below) else ""
        limit = between or (f" > {above:g}" if math.isfinite(above) else f" < {below:g}" if math.isfinite(below) else "")
        raise BrimError(f"{name} = {_shown(value)}", hint=f"give a number{limit}")
    return float(value)


def seed(value: Any, name: str = "seed") -> int | None:
    """A seed, or ``None`` for a fresh one.

    Examples
    --------
    >>> seed(np.int64(3))
    3
    """
    if value is None:
        return None
    found = _index(value)
    if found is None or not 0 <= found <= _LARGEST_SEED:
        raise BrimError(f"{name} = {_shown(value)}", hint="a seed is a whole number from 0 to 2^63 - 1, or None for a fresh one")
    return found


def drawn_seed(value: Any) -> int:
    """A seed; a fresh one for ``None``."""
    found = seed(value)
    return int(np.random.default_rng().integers(2**31)) if found is None else found


def flag(name: str, value: Any) -> bool:
    """``True`` or ``False``, nothing that merely counts as one."""
    if not isinstance(value, bool | np.bool_):
        raise BrimError(f"{name} = {_shown(value)}", hint="give True or False")
    return bool(value)


def one_of(name: str, value: Any, options: Iterable[W], what: str = "choices") -> W:
    """A word out of some.

    Examples
    --------
    >>> one_of("scale", "respons", ["response", "linear"])
    Traceback (most recent call last):
    brim.errors.BrimError: scale = 'respons'
    did you mean 'response'?
    """
    words = {str(word): word for word in options}
    if not isinstance(value, str) or value not in words:
        raise BrimError(f"{name} = {_shown(value)}", hint=suggest(str(value), list(words), what))
    return words[value]


def label(name: str, value: Any) -> str:
    """The name of something: text, or a whole number as its digits (``coef = 1`` is the first threshold); ``None`` is none.

    Examples
    --------
    >>> label("coef", 1)
    '1'
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    digits = _index(value)
    if digits is None:
        raise BrimError(f"{name} = {_shown(value)}", hint=f"give one name as text: {name}='x'")
    return str(digits)


def positions(name: str, value: Any, total: int) -> np.ndarray:
    """Positions (from 0) among ``total``: one, or several in a sequence, a range or an array."""
    hint = f"give whole numbers from 0 to {total - 1}, in a list, a range or an array"
    one = _index(value)
    if one is not None:
        found = np.array([one])
    else:
        try:
            given = np.asarray(value if isinstance(value, np.ndarray) else list(value))
        except (TypeError, ValueError) as error:
            raise BrimError(f"{name} = {_shown(value)}", hint=hint) from error
        whole_floats = given.dtype.kind == "f" and bool(np.all(np.isfinite(given) & (given == np.round(given))))
        if given.ndim != 1 or (given.dtype.kind not in "iu" and not whole_floats):
            raise BrimError(f"{name} = {_shown(value)}", hint=hint)
        found = given.astype(np.int64)
    if found.size == 0 or found.min() < 0 or found.max() >= total:
        raise BrimError(f"{name} must lie between 0 and {total - 1}", hint=hint)
    return found


def intervals(value: Any, name: str = "probs") -> tuple[float, ...]:
    """Probabilities of quantiles, each in [0, 1]."""
    hint = "probabilities lie between 0 and 1: (0.025, 0.975)"
    try:
        found = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise BrimError(f"{name} = {_shown(value)}", hint=hint) from error
    if found.ndim != 1 or not np.all((found >= 0.0) & (found <= 1.0)):
        raise BrimError(f"{name} = {_shown(value)}", hint=hint)
    return tuple(found.tolist())


def place(name: str, value: Any) -> Path:
    """A place on disk."""
    try:
        text = os.fspath(value)
    except TypeError as error:
        raise BrimError(f"{name} = {_shown(value)}", hint="give the name of a file or folder") from error
    if not isinstance(text, str) or not text or "\0" in text:
        raise BrimError(f"{name} = {_shown(value)}", hint="give the name of a file or folder as text")
    return Path(text)


def _shown(value: Any, most: int = 60) -> str:
    """A value in a message: its text, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most].splitlines()[0]}... ({type(value).__name__})"


# --------------------------------------------------------------------------- names


def named(function: F) -> F:
    """A function whose calls with arguments that it does not have end in brim's error, which names what was meant."""
    if getattr(function, "checks_names", False):
        return function
    signature = inspect.signature(function)
    kinds = {p.kind for p in signature.parameters.values()}
    takes_all = inspect.Parameter.VAR_KEYWORD in kinds

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not takes_all:
            for name in kwargs:
                if name not in signature.parameters:
                    raise unknown(function.__name__, name, signature.parameters)
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            names = [p.name for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
            by_name = f"give {', '.join(names[:3])}, ... by name" if "too many positional" in str(error) and names else ""
            raise BrimError(f"{function.__name__}(): {error}", hint=by_name or f"see help({function.__name__})") from error
        return function(*args, **kwargs)

    vars(checked)["checks_names"] = True
    return cast(F, checked)


def named_methods(cls: C) -> C:
    """A class whose public methods are ``named``."""
    for name, value in list(vars(cls).items()):
        if inspect.isfunction(value) and not name.startswith("_"):
            setattr(cls, name, named(value))
    return cls


def unknown(function: str, name: str, known: Iterable[str]) -> BrimError:
    """The error for an argument that a function does not have.

    Examples
    --------
    >>> print(unknown("brm", "random_seed", ["data", "iter", "seed", "control"]))
    brm() has no argument 'random_seed'
    did you mean 'seed'?
    >>> print(unknown("brm", "adapt_delta", ["data", "iter", "seed", "control"]))
    brm() has no argument 'adapt_delta'
    write control={'adapt_delta': 0.95}
    """
    known = [n for n in known if n not in ("self", "args", "kwargs")]
    plain = name.lower().replace(".", "_")
    meant = _MEANT.get(plain, "")
    target, _, example = meant.partition("=")
    if name != plain and plain in known:  # R's na.action
        hint = f"did you mean '{plain}'?"
    elif plain in _INSTEAD and target not in known:
        hint = _INSTEAD[plain]
    elif target not in known:
        hint = suggest(name, known, "arguments") if near(name, known) else f"arguments: {', '.join(known)}"
    else:
        hint = f"write {meant}" if example else f"did you mean '{target}'?"
    return BrimError(f"{function}() has no argument {name!r}", hint=hint)
