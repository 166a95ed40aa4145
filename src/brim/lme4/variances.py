"""Covariances of group effects as values: by term, as a table, in print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.errors import BrimError, printable, suggest
from brim.post.summaries.rformat import format_numbers, left_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TermCovariance", "VarCorr", "varcorr_lines"]

Array = np.ndarray


@final
@dataclass(frozen=True, eq=False)
class TermCovariance:
    """The effects of one term: lme4's name of it (``g``, ``g.1``), coefficients, standard deviations (k,), correlations (k, k).

    ``tied`` is the structure whose correlations one number gives.
    """

    name: str
    group: str
    coefs: tuple[str, ...]
    sd: Array
    cor: Array
    correlated: bool = True
    tied: str = ""

    @property
    def parameters(self) -> list[tuple[str, int, int]]:
        """What is estimated, down the columns of the triangle: ``sd`` with its effect, ``cor`` with a pair; of tied ones the first."""
        k = len(self.coefs)
        if self.tied:
            return [*(("sd", i, i) for i in range(1 if self.tied == "ar1" else k)), ("cor", 1, 0)]
        below = range(k) if self.correlated else ()
        return [entry for j in range(k) for entry in (("sd", j, j), *(("cor", i, j) for i in below if i > j))]

    @property
    def cov(self) -> Array:
        return self.cor * np.multiply.outer(self.sd, self.sd)


@final
class VarCorr(Mapping[str, Any]):
    """Standard deviations and correlations of the group effects.

    A mapping from each term (``g``, ``g.1`` for a second one of the same factor, ``residual__``) to ``{"sd", "cor", "cov"}`` as data
    frames; the columns of ``frame`` (``grp var1 var2 vcov sdcor``, as R's ``as.data.frame(VarCorr(fit))``) can be asked for by name as
    well. Prints lme4's table.
    """

    def __init__(self, terms: list[TermCovariance], sigma: float | None) -> None:
        self.terms, self.sigma = terms, sigma

    def __iter__(self) -> Iterator[str]:
        yield from (t.name for t in self.terms)
        if self.sigma is not None:
            yield "residual__"

    def __len__(self) -> int:
        return len(self.terms) + (self.sigma is not None)

    def __getitem__(self, key: str) -> Any:
        import pandas as pd

        for t in self.terms:
            if t.name == key:
                names = list(t.coefs)
                square = {"cor": t.cor, "cov": t.cov}
                frames = {k: pd.DataFrame(v, index=names, columns=names) for k, v in square.items()}
                return {"sd": pd.DataFrame({"Estimate": t.sd}, index=names), **frames}
        if key == "residual__" and self.sigma is not None:
            return {"sd": pd.DataFrame({"Estimate": [self.sigma]}, index=["sigma"])}
        frame = self.frame
        if key in frame:
            return frame[key]
        raise BrimError(f"VarCorr has no '{key}'", hint=suggest(key, [*self, *frame.columns]))

    @property
    def frame(self) -> pd.DataFrame:
        """Variances, then covariances of each term: ``grp var1 var2 vcov sdcor``."""
        import pandas as pd

        rows: list[tuple[Any, ...]] = []
        for t in self.terms:
            rows += [(t.name, c, None, s * s, s) for c, s in zip(t.coefs, t.sd, strict=True)]
            if t.correlated:
                pairs = [(i, j) for i in range(len(t.coefs)) for j in range(i + 1, len(t.coefs))]
                rows += [(t.name, t.coefs[i], t.coefs[j], t.cov[i, j], t.cor[i, j]) for i, j in pairs]
        if self.sigma is not None:
            rows.append(("Residual", None, None, self.sigma**2, self.sigma))
        return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])

    def __str__(self) -> str:
        return printable("\n".join(varcorr_lines(self, ("Variance", "Std.Dev."), 5)))

    __repr__ = __str__


def varcorr_lines(vc: VarCorr, comp: Sequence[str], digits: int) -> list[str]:
    """lme4's table of variances and correlations; ``comp`` says which of ``Variance`` and ``Std.Dev.``."""
    sds = np.concatenate([*(t.sd for t in vc.terms), [vc.sigma] if vc.sigma is not None else []])
    columns = {"Variance": format_numbers(sds**2, digits), "Std.Dev.": format_numbers(sds, digits)}
    places = max(2, digits - 2)
    most = max((len(t.coefs) for t in vc.terms if t.correlated), default=1) - 1
    rows, at = [], iter(range(len(sds)))
    for t in vc.terms:
        low = [(i, j) for i in range(len(t.coefs)) for j in range(i)] if t.correlated else []
        shown = dict(zip(low, format_numbers([round(float(t.cor[p]), places) for p in low], 7, nsmall=places), strict=True))
        for i, name in enumerate(t.coefs):
            k = next(at)
            cors = [shown.get((i, j), "") for j in range(most)]
            rows.append([t.name if i == 0 else "", name, *(columns[c][k] for c in comp), *cors])
    if vc.sigma is not None:
        k = next(at)
        rows.append(["Residual", "", *(columns[c][k] for c in comp), *[""] * most])
    header = ["Groups", "Name", *comp, *(["Corr"] if most else []), *[""] * max(most - 1, 0)]
    return left_table(header, rows)
