"""Every variable of a model has a name of its own; what would be called alike is refused when the model is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from brim.errors import BrimError
from brim.model.model import Model
from brim.parameters.reported import Reported
from brim.terms.base import AbstractTerm

__all__ = ["check_names"]

#: Variables that every fit has.
RESERVED = {"lprior": "the log prior", "lp__": "the log posterior"}


def check_names(model: Model) -> None:
    """Raise an error that names both of two variables, parameters or terms that a fit could not tell apart.

    brms joins the names of columns and levels to those of variables, and leaves out characters: a column ``sigma_x`` beside
    ``sigma ~ x``, a column ``Intercept``, columns ``x a`` and ``xa`` come to one name.
    """
    reported = model.reported()
    names = [str(n) for q in reported for n in np.ravel(q.names)]
    if len({*names, *RESERVED}) < len(names) + len(RESERVED):
        by_term = [pair for t in model.terms() for q in t.reported() for pair in _described(q, _written(t))]
        others = [(p.name, f"'{p.name}' of the family") for r in model.responses for p in r.params]
        _check([*by_term, *others, *RESERVED.items()], "two variables would be called")
    _check([(q.label, f"'{q.label}'") for q in reported], "two arrays of draws would be called")
    _check([(p.name, f"'{p.name}'") for p in model.params], "two parameters would be one:")
    _check([(t.key, f"'{_written(t)}'") for t in model.terms()], "two terms would be one:")


def _written(term: AbstractTerm) -> str:
    """The term as a reader knows it."""
    part = term.latent
    return term.key if part is None or part.vector.curve is None else part.vector.label


def _check(said: list[tuple[str, str]], what: str) -> None:
    count = Counter(name for name, _ in said)
    if len(count) == len(said):
        return
    name = next(n for n, many in count.items() if many > 1)
    both = " and ".join([who for n, who in said if n == name][:2])
    raise BrimError(f"{what} '{name}': {both}", hint="rename a column of the data or a level, or leave one of the terms out")


def _described(q: Reported, term: str) -> Iterator[tuple[str, str]]:
    """Each variable with what it is: its labels along the axes, the array it belongs to, and the term."""
    labels = [q.coords.get(dim, ()) for dim in q.dims]
    whose = f"'{q.label}'" if term in q.label or q.label in term else f"'{q.label}' ({term})"
    for at in np.ndindex(q.names.shape):
        own = [f"'{axis[i]}'" for axis, i in zip(labels, at, strict=False) if i < len(axis)]
        yield str(q.names[at]), f"{', '.join(own)} of {whose}" if own else whose
