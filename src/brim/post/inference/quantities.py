"""Draws of what ``predictions``, ``comparisons`` and ``slopes`` compute with, and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from brim.arguments import drawn_seed, number, one_of, unknown
from brim.errors import BrimError, suggest
from brim.fit.record import FitRecord
from brim.frames.frame import Frame
from brim.post.inference.grids import grid_frame, to_pandas, variables_of
from brim.post.inference.integrated import integrated_epred
from brim.post.predict import pick_draws, predict
from brim.post.summaries.tables import statistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RE", "Ask", "averaged", "rows_of", "table"]

#: What group effects do in a prediction.
RE = ("conditional", "population", "integrated")


@final
@dataclass(frozen=True)
class Ask:
    """What is predicted, and how it is summarised.

    Attributes
    ----------
    re
        ``"conditional"``: with the effects of the rows' groups; ``"population"``: without (groups at 0); ``"integrated"``: averaged over
        the law of new groups.
    resp, dpar
        The response, and a distributional parameter instead of the mean.
    conf_level, robust
        Probability of the intervals; median and MAD instead of mean and standard deviation.
    ndraws, draw_ids, seed
        As for ``posterior_epred``.
    """

    re: str = "conditional"
    resp: str | None = None
    dpar: str | None = None
    conf_level: float = 0.95
    robust: bool = False
    ndraws: int | None = None
    draw_ids: Any = None
    seed: int | None = None

    def __post_init__(self) -> None:
        one_of("re", self.re, RE, "ways")
        number("conf_level", self.conf_level, above=0, below=1)

    @classmethod
    def read(cls, function: str, re: str, given: Mapping[str, Any]) -> Self:
        """From the further arguments of a function; an error names one that there is not."""
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                raise unknown(function, name, known)
        return cls(re, **given)

    def draws(self, fit: FitRecord, frame: Frame) -> np.ndarray:
        """Draws ``(draws, rows[, categories])``."""
        seed = drawn_seed(1 if self.seed is None else self.seed)
        total = fit.draws.chains * fit.draws.draws
        ids = pick_draws(total, self.ndraws, self.draw_ids, seed)
        if self.re == "integrated":
            return integrated_epred(fit, frame, resp=self.resp, dpar=self.dpar, ids=ids, seed=seed)
        return predict(
            fit,
            "epred" if self.dpar is None else "dpar",
            frame,
            resp=self.resp,
            dpar=self.dpar,
            re_formula=None if self.re == "conditional" else False,
            allow_new_levels=True,
            draw_ids=ids,
            seed=seed,
        )


def rows_of(fit: FitRecord, newdata: Any, resp: str | None) -> Frame:
    """The rows asked about: the training rows, given ones, or ``"mean"``, ``"balanced"`` grids."""
    if newdata is None:
        return fit.model.response(resp).response.kept(fit.frame.every("what is asked of the rows of the fit"))
    if isinstance(newdata, str):
        types = {"mean": "mean_or_mode", "balanced": "balanced"}
        one_of("newdata", newdata, types, "grids")
        return grid_frame(fit, types[newdata], resp, {})
    given = Frame.read(newdata)
    known = variables_of(fit, resp)
    columns = {name: known.known[name].like(given[name]) if name in known.known else given[name] for name in given.names}
    return Frame.of(columns)


def averaged(draws: np.ndarray, frame: Frame, by: Any) -> tuple[np.ndarray, pd.DataFrame | None]:
    """Draws averaged over rows: all (``by=True``), or those alike in the columns ``by``, which label the result."""
    import pandas as pd

    if by is True:
        return draws.mean(axis=1, keepdims=True), pd.DataFrame(index=range(1))
    if by is None or by is False:
        return draws, None
    names = [by] if isinstance(by, str) else list(by)
    for name in names:
        if name not in frame:
            raise BrimError(f"by: there is no column '{name}'", hint=suggest(name, frame.names, "columns"))
    codes = np.stack([_codes(frame, name) for name in names], axis=1)
    distinct, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    group = np.ravel(group)
    means = np.stack([draws[:, group == i].mean(axis=1) for i in range(len(distinct))], axis=1)
    return means, to_pandas(frame.take(first), names).reset_index(drop=True)


def _codes(frame: Frame, name: str) -> np.ndarray:
    column = frame[name]
    factor = column.as_factor()
    return np.asarray(factor.codes)


def table(
    draws: np.ndarray, ask: Ask, labels: Mapping[str, Any], frame: pd.DataFrame | None, categories: Sequence[str] = ()
) -> pd.DataFrame:
    """``labels``, then ``estimate std_error conf_low conf_high``, then the rows' own columns; categories below each other as ``group``."""
    import pandas as pd

    if draws.ndim == 3:
        names = list(categories) if len(categories) == draws.shape[2] else [str(i + 1) for i in range(draws.shape[2])]
        parts = [table(draws[:, :, i], ask, {"group": name, **labels}, frame) for i, name in enumerate(names)]
        return pd.concat(parts, ignore_index=True)
    low = (1 - ask.conf_level) / 2
    columns = dict(zip(("estimate", "std_error", "conf_low", "conf_high"), statistics(draws, ask.robust, (low, 1 - low)), strict=True))
    out = pd.DataFrame({name: [v] * draws.shape[1] if isinstance(v, str) else v for name, v in labels.items()} | columns)
    if frame is None:
        return out
    own = frame[[c for c in frame.columns if c not in out.columns]].reset_index(drop=True)
    return pd.concat([out, own], axis=1)
