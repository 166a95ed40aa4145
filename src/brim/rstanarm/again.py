"""The call that made a fit, so that it can be made again: on other data, with other arguments, after ``pickle``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar, final

from brim.arguments import named
from brim.errors import BrimError
from brim.fit.draws import Posterior
from brim.fit.record import FitRecord
from brim.frames.frame import Frame
from brim.language.brms import as_formula
from brim.language.update import updated
from brim.rstanarm.selection import ARGUMENTS, VECTORS, selected

__all__ = ["Again", "changed", "rebuilt", "remembered"]

P = ParamSpec("P")
F = TypeVar("F", bound=FitRecord)  # a StanFit, which knows its call


@final
@dataclass(frozen=True)
class Again:
    """A function of this room and the arguments that it was called with."""

    function: str
    arguments: Mapping[str, Any]

    def call(self, changes: Mapping[str, Any]) -> Any:
        """The call with changed arguments."""
        return getattr(import_module("brim.rstanarm"), self.function)(**{**self.arguments, **changes})


def remembered(function: Callable[P, F]) -> Callable[P, F]:
    """The function whose fits know the call, and whose arguments are checked by name."""
    checked = named(function)
    signature = inspect.signature(function)
    rest = next((n for n, p in signature.parameters.items() if p.kind is p.VAR_KEYWORD), "")

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> F:
        beside = {name: kwargs.pop(name) for name in ARGUMENTS if name in kwargs}
        if not beside:
            fit = checked(*args, **kwargs)
        try:
            given = dict(signature.bind(*args, **kwargs).arguments)
        except TypeError:
            return checked(*args, **kwargs)  # which says what is wrong with them
        given.update(given.pop(rest, {}))
        given.update(beside)
        if beside:
            fit = selected(checked, given)  # type: ignore[assignment, arg-type]
        return replace(fit, again=Again(function.__name__, given))  # type: ignore[call-arg]

    return called


def changed(again: Again, formula: str | None, newdata: Any, changes: Mapping[str, Any]) -> Any:
    """``StanFit.update``: the call with another formula, other data, other arguments."""
    own = dict(changes)
    if "sample_prior" in own:
        own["prior_PD"] = own.pop("sample_prior") == "only"
    if formula is not None:
        own["formula"] = _filled(again.arguments.get("formula"), formula)
    if newdata is not None:
        own["data"] = newdata
        chosen = again.arguments.get("subset")
        if isinstance(newdata, Frame) or chosen is None:
            own.setdefault("subset", None)  # rows of this fit, chosen before
        elif not isinstance(chosen, str) and "subset" not in own:
            raise BrimError("the new data need a subset of their own", hint="give subset= too; None for all rows")
        names = Frame.read(newdata).names
        for name in VECTORS:
            given = again.arguments.get(name)
            if given is not None and not isinstance(given, str) and name not in own:
                if f".{name}" not in names:
                    raise BrimError(f"the new data need {name} of their own", hint=f"give {name}= too, or have it in a column")
                own[name] = f".{name}"
    for name in ("formula", "data"):
        if name in own and name not in again.arguments:
            raise BrimError(f"a fit of {again.function}() has no argument '{name}'", hint=f"it takes {', '.join(again.arguments)}")
    return again.call({"empty": False, **own})


def _filled(old: Any, new: Any) -> Any:
    """The new formula, ``.`` in it standing for what was there."""
    if not (isinstance(old, str) and isinstance(new, str)) or old.count("~") > 1:
        return new
    return str(updated(as_formula(old), new))


def rebuilt(cls: type[F], again: Again, kept: dict[str, Any], prior_only: bool, drawn: tuple[dict[str, Any], dict[str, Any]] | None) -> F:
    """A fit from what ``pickle`` keeps of it."""
    fit = again.call({"empty": True})
    posterior = None if drawn is None else Posterior(fit.model.reported(), *drawn)
    return replace(fit, posterior=posterior, model=replace(fit.model, prior_only=prior_only), **kept)
