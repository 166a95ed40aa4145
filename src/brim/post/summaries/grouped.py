"""Tables by grouping factor (``ranef``, ``coef``, ``VarCorr``): mappings that print as tables and become one long data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ByGroup", "Variances"]


class ByGroup(dict[str, Any]):
    """Group -> ``DataArray(level, statistic, coef)``."""

    def tidy(self) -> pd.DataFrame:
        """One row a group, level and coefficient: ``group level term`` and the statistics."""
        import pandas as pd

        parts = [_long(array).assign(group=group) for group, array in self.items()]
        whole = pd.concat(parts, ignore_index=True)
        first = ["group", "level", "term"]
        return whole[[*first, *(c for c in whole.columns if c not in first)]]

    def __str__(self) -> str:
        lines = []
        for group, array in self.items():
            for coef in array.coords["coef"].values:
                lines += [f"{group}, {coef}:", array.sel(coef=coef).to_pandas().round(3).to_string(), ""]
        return "\n".join(lines).rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.tidy().round(3).to_html(index=False))


def _long(array: Any) -> pd.DataFrame:
    """``(level, statistic, coef)`` as rows of levels and coefficients; draws keep their number."""
    if "statistic" not in array.dims:
        return array.to_dataframe("value").reset_index().rename(columns={"coef": "term"})
    stacked = array.transpose("coef", "level", "statistic")
    frame = stacked.stack(row=("coef", "level")).transpose("row", "statistic").to_pandas()
    return frame.reset_index().rename(columns={"coef": "term"}).rename_axis(columns=None)


class Variances(dict[str, dict[str, Any]]):
    """Group -> ``{"sd": data frame, "cor": DataArray, "cov": DataArray}``."""

    def tidy(self) -> pd.DataFrame:
        """One row a standard deviation or correlation: ``group term1 term2`` (empty for a standard deviation) and the statistics."""
        import pandas as pd

        parts = []
        for group, tables in self.items():
            sd = tables["sd"].rename_axis("term1").reset_index().assign(group=group, term2="", type="sd")
            parts.append(sd)
            if "cor" in tables:
                names = [str(c) for c in tables["cor"].coords["coef"].values]
                pairs = [(a, b) for j, b in enumerate(names) for a in names[:j]]
                rows = [tables["cor"].sel(coef=a, coef2=b).to_pandas() for a, b in pairs]
                cor = pd.DataFrame(rows).reset_index(drop=True)
                parts.append(cor.assign(group=group, type="cor", term1=[a for a, _ in pairs], term2=[b for _, b in pairs]))
        whole = pd.concat(parts, ignore_index=True)
        first = ["group", "type", "term1", "term2"]
        return whole[[*first, *(c for c in whole.columns if c not in first)]]

    def __str__(self) -> str:
        return str(self.tidy().round(3).to_string(index=False))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.tidy().round(3).to_html(index=False))
