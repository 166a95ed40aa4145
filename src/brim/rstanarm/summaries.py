"""``summary()``: a data frame that prints rstanarm's layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.infer.diagnostics import ess_bulk, rhat
from brim.post.summaries.tables import statistics
from brim.rstanarm.text import cells, header, table

if TYPE_CHECKING:
    import pandas as pd

    from brim.fit.record import FitRecord
    from brim.rstanarm.call import Call

__all__ = ["chosen", "summary"]

_MCMC = (
    "For each parameter, mcse is Monte Carlo standard error, n_eff is a crude measure of effective sample size, and Rhat is the "
    "potential scale reduction factor on split chains (at convergence Rhat=1)."
)


def chosen(names: Sequence[str], pars: Iterable[str] | None, regex_pars: str | Iterable[str] | None) -> list[str]:
    """The parameters named or matched; all where neither is given. ``"alpha"``, ``"beta"`` are the intercept and the coefficients."""
    if pars is None and regex_pars is None:
        return list(names)
    wanted = [pars] if isinstance(pars, str) else list(pars or ())
    missing = next((p for p in wanted if p not in names), None)
    if missing is not None:
        raise BrimError(f"there is no parameter '{missing}'", hint=suggest(missing, names, "parameters"))
    patterns = [regex_pars] if isinstance(regex_pars, str) else list(regex_pars or ())
    found = [n for n in names if n in wanted or any(re.search(p, n) for p in patterns)]
    if not found:
        raise BrimError(f"no parameter matches {', '.join(map(repr, patterns))}", hint="variables() lists them")
    return found


def summary(
    fit: FitRecord,
    call: Call,
    draws: Mapping[str, np.ndarray],
    averages: Mapping[str, np.ndarray],
    digits: int,
    probs: Sequence[float],
) -> Any:
    """``mean mcse sd quantiles n_eff Rhat`` of parameters, and of the means of new responses."""
    whole = {**draws, **averages}
    stats = np.stack([statistics(np.ravel(v), probs=probs) for v in whole.values()])
    ess = np.array([float(ess_bulk(v)) for v in whole.values()])
    columns = {"mean": stats[:, 0], "mcse": stats[:, 1] / np.sqrt(ess), "sd": stats[:, 1]}
    columns |= {f"{100 * p:g}%": stats[:, 2 + i] for i, p in enumerate(probs)}
    columns |= {"n_eff": np.round(ess), "Rhat": np.array([float(rhat(v)) for v in whole.values()])}
    return _frame()(columns, index=list(whole)).printed(fit, call, digits, list(averages))


@cache
def _frame() -> type[pd.DataFrame]:
    """The class of the table; pandas is imported when the first one is made."""
    import pandas as pd

    class StanSummary(pd.DataFrame):
        """A summary: a data frame whose text is rstanarm's."""

        _metadata = ["text"]  # noqa: RUF012 - pandas' protocol
        text = ""

        @property
        def _constructor(self) -> Any:
            return pd.DataFrame

        def __reduce__(self) -> tuple[Any, ...]:
            """For ``pickle``: a plain data frame."""
            return pd.DataFrame, ({name: self[name].to_numpy() for name in self.columns}, self.index)

        def printed(self, fit: FitRecord, call: Call, digits: int, averages: Sequence[str]) -> StanSummary:
            self.text = _text(fit, call, self, digits, averages)
            return self

        def __str__(self) -> str:
            return self.text

        __repr__ = __str__

    return StanSummary


def _text(fit: FitRecord, call: Call, frame: pd.DataFrame, digits: int, averages: Sequence[str]) -> str:
    draws = fit.draws
    function, *info = header(call, fit.nobs())
    more = [
        f" algorithm:    {fit.settings.algorithm}",
        f" sample:       {draws.chains * draws.draws} (posterior sample size)",
        " priors:       see prior_summary()",
    ]
    at = next(i for i, line in enumerate(info) if line.startswith(" observations"))
    info = [*info[:at], *more, *info[at:]]
    groups = {g.group: len(g.levels) for g in call.names.groups}
    if groups:
        info.append(" groups:       " + ", ".join(f"{name} ({n})" for name, n in groups.items()))
    own = [n for n in frame.index if n not in averages]
    shown = [c for c in frame.columns if c not in ("mcse", "n_eff", "Rhat")]
    out = ["", "Model Info:", f" function:     {function}", *info, "", "Estimates:"]
    out += _centred(shown, own, cells(frame.loc[own, shown].to_numpy(), digits))
    if averages:
        out += ["", "Fit Diagnostics:", *_centred(shown, averages, cells(frame.loc[averages, shown].to_numpy(), digits)), ""]
        out += ["The mean_ppd is the sample average posterior predictive distribution of the outcome variable."]
    columns = [cells(frame[[c]].to_numpy(), digits) for c in ("mcse", "Rhat")]
    counts = [str(int(v)) if np.isfinite(v) else "NA" for v in frame["n_eff"]]
    width = max(len(c) for c in counts)
    rows = [[a[0], b[0], c.rjust(width)] for a, b, c in zip(*columns, counts, strict=True)]
    out += ["", "MCMC diagnostics", *table(("mcse", "Rhat", "n_eff"), list(frame.index), rows), "", _MCMC]
    return "\n".join(out)


def _centred(heads: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table with headings in the middle of their columns."""
    width = max(len(c) for row in rows for c in row)
    return table([h.center(width) if len(h) < width else h for h in heads], names, rows)
