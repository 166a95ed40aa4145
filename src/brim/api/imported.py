"""Draws that R's brms made: ``from_brms``."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from brim.api.brm import brm
from brim.api.fit import Fit
from brim.arguments import named, place
from brim.errors import BrimError, warn
from brim.infer.info import Info
from brim.terms.curves.smooth import PENALISED

__all__ = ["from_brms"]


@named
def from_brms(draws: Any, formula: Any, data: Any, family: Any = "gaussian", prior: Any = None, **kwargs: Any) -> Fit:
    """A fit whose draws were made by brms in R; everything after the fit works on it.

    In R: ``write.csv(as_draws_df(fit), "draws.csv", row.names = FALSE)``, and ``write.csv(fit$data, "data.csv", row.names = FALSE)``.

    Parameters
    ----------
    draws
        The csv file, or a data frame of draws; chains are told by its column ``.chain``.
    formula, data, family, prior, kwargs
        As in the call of ``brm`` in R, in brim's words.

    Raises
    ------
    BrimError
        There is no such file, or a variable of the model has no column.

    Examples
    --------
    >>> import brim, tempfile, pathlib
    >>> data = brim.load_data("sleepstudy")
    >>> fit = brim.brm("Reaction ~ Days", data, chains=2, iter=300, seed=1, progress=False)
    >>> path = pathlib.Path(tempfile.mkdtemp(), "draws.csv")
    >>> fit.as_draws_df().to_csv(path, index=False)
    >>> again = brim.from_brms(path, "Reaction ~ Days", data)
    >>> again.draws.chains, bool(again.fixef().equals(fit.fixef()))
    (2, True)
    """
    import pandas as pd

    if isinstance(draws, str | os.PathLike):
        path = place("draws", draws)
        if not path.is_file():
            raise BrimError(f"there is no file '{path}'")
        if path.suffix.lower() in (".rds", ".rdata", ".rda"):
            raise BrimError(f"'{path.name}' is R's own format", hint='in R: write.csv(as_draws_df(fit), "draws.csv", row.names = FALSE)')
        draws = pd.read_csv(path)
    try:
        frame = pd.DataFrame(draws).rename(columns=str)
    except (TypeError, ValueError):
        hint = 'in R: write.csv(as_draws_df(fit), "draws.csv", row.names = FALSE), here from_brms("draws.csv", ...)'
        raise BrimError(f"draws of type {type(draws).__name__} are no table of draws", hint=hint) from None
    order = [c for c in (".chain", ".iteration") if c in frame]
    frame = frame.sort_values(order, kind="stable") if order else frame
    chains = frame[".chain"].nunique() if ".chain" in frame else 1
    fit = brm(formula, data, family, prior, empty=True, **kwargs).with_draws(frame, chains=chains)
    extra = {c: np.asarray(frame[c], float).reshape(chains, -1) for c in frame.columns if c.startswith("prior_")}
    if any(q.kind == PENALISED for q in fit.model.reported()):
        warn("the basis of a smooth is unique up to the sign of its functions: compare fitted() with R's before you rely on these draws")
    info: Info = {"engine": "draws by brms"}
    return replace(fit, posterior=replace(fit.draws, extra=extra), info=info)
