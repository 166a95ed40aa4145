"""Where results are written: found out before anything is computed, and nothing replaced that brim has not written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from brim.disk import check_place, write_whole
from brim.errors import BrimError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check_folder", "check_pictures", "check_places", "check_table", "write_table"]

_PNG = b"\x89PNG"
#: Suffix of tables -> separator.
_TABLES = {".csv": ",", ".tsv": "\t"}
#: How the last column of a table of brim's is named: statistics of predictions, criteria, comparisons.
_OURS = ("Estimate", "Est.Error", "Q", "P(Y = ", "pareto_k", "looic", "waic", "kfoldic", "se_looic", "se_waic", "se_kfoldic")


def check_places(out: Path | None, plots: Path | None) -> None:
    """Find out before sampling whether a fit and its plots can be written after it."""
    if plots is not None and plots.exists() and not plots.is_dir():
        raise BrimError(f"{str(plots)!r} is a file", hint="--plots names a folder")
    if None not in (out, plots) and os.path.realpath(str(out)) == os.path.realpath(str(plots)):
        raise BrimError(f"--out and --plots both name {str(out)!r}", hint="--out names a file, --plots a folder")
    if plots is not None:
        check_pictures([*plots.glob("conditional_effects_*.png"), *plots.glob("pp_check.png")], "--plots")
    for path in (p for p in (out, plots) if p is not None):
        _check_parent(path if path.is_dir() else path.parent, path.name)
    if out is not None:
        from brim.post.files.io import check_target

        check_target(out, "--out")


def check_folder(folder: Path, option: str) -> None:
    """Whether pictures can be written into a folder, which may be made."""
    if folder.exists() and not folder.is_dir():
        raise BrimError(f"{str(folder)!r} is a file", hint=f"{option} names a folder")
    _check_parent(folder if folder.is_dir() else folder.parent, folder.name)


def check_pictures(paths: Iterable[Path], option: str) -> None:
    """Refuse places where something is that is no picture."""
    for path in paths:
        if path.exists() and (not path.is_file() or not path.read_bytes()[:8].startswith((_PNG, b"")[path.stat().st_size == 0])):
            raise BrimError(f"{str(path)!r} is there and no picture: it is not replaced", hint=f"name another folder with {option}")


def check_table(out: Path, *read: str | Path | None) -> None:
    """Whether a table can be written to a place: none of the files that are read, and nothing there but an earlier table of brim's."""
    if out.suffix.lower() not in _TABLES:
        raise BrimError(f"--out {str(out)!r}: a table is written as {' or '.join(_TABLES)}", hint=f"--out {out.stem or 'table'}.csv")
    check_place(out)
    if any(p is not None and os.path.exists(p) and out.exists() and os.path.samefile(p, out) for p in read):
        raise BrimError(f"{str(out)!r} is read and cannot be written as well", hint="name another file with --out")
    if out.exists() and not (out.is_file() and (out.stat().st_size == 0 or _ours(out))):
        raise BrimError(f"{str(out)!r} is there and no table of brim's: it is not replaced", hint="name another file, or remove that one")


def write_table(table: pd.DataFrame, out: Path) -> None:
    """A data frame as csv or tsv, by way of a temporary file."""
    try:
        write_whole(out, table.to_csv(index=False, sep=_TABLES[out.suffix.lower()], lineterminator="\n").encode())
    except OSError as error:
        raise BrimError(f"cannot write '{out}': {error.strerror or error}", hint="name another place") from error


def _ours(path: Path) -> bool:
    """Whether the names in the first line end as those of a table of brim's do."""
    with open(path, "rb") as file:
        line = file.readline(1 << 20).decode("utf-8", errors="replace").rstrip("\r\n")
    names = [n.strip('"') for n in line.split(_TABLES[path.suffix.lower()])]
    return bool(names[0]) and len(names) > 1 and names[-1].startswith(_OURS)


def _check_parent(folder: Path, name: str) -> None:
    if not folder.is_dir():
        raise BrimError(f"there is no folder {str(folder)!r} to write {name!r} into", hint="make it first, or name another")
    if not os.access(folder, os.W_OK):
        raise BrimError(f"cannot write into the folder {str(folder)!r}", hint="name another")
