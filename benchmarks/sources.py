"""Rows for the models, written to files that Python and R both read without help: csv, or one npy file a column.

Every peer reads the same file. Factors come with their levels, in R's order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GROUPS", "simulate", "write"]

GROUPS = 1000
_SEED = 20240117
_HERE = Path(__file__).parent / "data"
#: Files of this folder: which columns are factors.
_FILES: Mapping[str, tuple[str, ...]] = {"insteval": ("s", "d", "service", "dept"), "inhaler": ("subject", "level")}


def write(source: str, folder: Path, files: Mapping[str, str]) -> dict[str, Any]:
    """Write the rows of a source once, and say how to read them.

    Parameters
    ----------
    source
        ``bundled:NAME`` (a data set of brim), ``file:NAME`` (of this folder, or given by the user), ``simulated:ROWS``.
    folder
        Where to write.
    files
        Name -> csv file that takes the place of one of this folder.

    Returns
    -------
    dict
        ``format`` (``csv`` or ``npy``), ``path`` or ``columns`` (name -> file), ``factors`` (name -> levels), ``rows``.
    """
    kind, name = source.split(":")
    place = folder / source.replace(":", "_")
    told = place / "data.json"
    if not told.exists():
        place.mkdir(parents=True, exist_ok=True)
        description = _write_npy(int(name), place) if kind == "simulated" else _write_csv(_table(kind, name, files), place)
        told.write_text(json.dumps(description))
    found: dict[str, Any] = json.loads(told.read_text())
    return found


def simulate(rows: int, groups: int = GROUPS, seed: int = _SEED) -> dict[str, np.ndarray]:
    """``y = 1 + 0.5 x + u0_g + u1_g x + e``: sd 0.8 and 0.4 with correlation 0.3 of the effects, residual sd 1; ``g`` from 1.

    Examples
    --------
    >>> {name: column.dtype.str for name, column in simulate(10).items()}
    {'y': '<f8', 'x': '<f8', 'g': '<i8'}
    """
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(groups, 2)) @ np.linalg.cholesky([[0.64, 0.096], [0.096, 0.16]]).T
    g = rng.integers(0, groups, rows)
    x = rng.normal(size=rows)
    y = rng.normal(size=rows)
    y += 1.0 + effects[g, 0] + (0.5 + effects[g, 1]) * x
    return {"y": y, "x": x, "g": g + 1}


def _write_npy(rows: int, place: Path) -> dict[str, Any]:
    columns = {}
    for name, column in simulate(rows).items():
        columns[name] = str(place / f"{name}.npy")
        np.save(columns[name], column)
    return {"format": "npy", "columns": columns, "factors": {}, "rows": rows}


def _table(kind: str, name: str, files: Mapping[str, str]) -> pd.DataFrame:
    if kind == "bundled":
        from brim.data import load_data

        return _added(name, load_data(name))
    import pandas as pd

    data = _added(name, pd.read_csv(files.get(name, _HERE / f"{name}.csv.gz")))
    for column in _FILES[name]:
        levels = [str(level) for level in sorted(data[column].unique())]
        data[column] = pd.Categorical(data[column].astype(str), categories=levels)
    return data


def _added(name: str, data: pd.DataFrame) -> pd.DataFrame:
    """Columns for peers that read a response only in one form."""
    if name == "verbagg":
        return data.assign(yes=(data["r2"] == "Y").astype(int))
    if name == "kidney":
        return data.assign(status=data["censored"].map({0: "none", 1: "right"}))
    if name == "inhaler":
        return data.assign(level=data["rating"])
    return data


def _write_csv(data: pd.DataFrame, place: Path) -> dict[str, Any]:
    path = place / "rows.csv"
    data.to_csv(path, index=False)
    factors = {str(c): [str(level) for level in data[c].cat.categories] for c in data if hasattr(data[c], "cat")}
    return {"format": "csv", "path": str(path), "factors": factors, "rows": len(data)}
