"""Tables of data: files of several kinds, bundled data sets, standard input."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final
from zipfile import BadZipFile

import click

import brim
from brim.errors import BrimError, suggest, warn

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Reading", "data_name", "data_options"]

F = TypeVar("F", bound=Callable[..., Any])

#: Suffix of text files -> what separates their columns; where nothing is said, the first line tells.
_TEXT = {".csv": None, ".tsv": "\t", ".txt": None}
_EXCEL = (".xlsx", ".xlsm", ".xls")
_BINARY = (".json", ".parquet", ".feather")
_KINDS = (*_TEXT, *_EXCEL, *_BINARY)
_PACKED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
#: Words for separators that a shell makes hard to write.
_WORDS = {"tab": "\t", "\\t": "\t", "space": r"\s+", "comma": ",", "semicolon": ";"}
#: A number with a decimal comma, and one without.
_COMMA, _WHOLE = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?"), re.compile(r"[+-]?\d+")


def data_options(required: bool, help: str) -> Callable[[F], F]:
    """``--data`` and the options that say how a file is to be read."""
    options = [
        click.option("--data", "source", required=required, metavar="FILE|NAME", help=help),
        click.option(
            "--sep", metavar="CHAR", help="What separates columns of text: ',', ';', tab, space.  [default: as the first line has it]"
        ),
        click.option("--decimal", metavar="CHAR", help="The decimal point: '.' or ','.  [default: as the numbers have it]"),
        click.option("--encoding", metavar="NAME", help="The encoding of text: latin-1, cp1252, utf-16, ...  [default: utf-8]"),
        click.option("--sheet", metavar="NAME", help="The sheet of an Excel file.  [default: the first]"),
    ]

    def add(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return add


def data_name(source: str) -> str:
    """What a table is called in a summary."""
    return "stdin" if source == "-" else Path(source).name


@final
@dataclass(frozen=True)
class Reading:
    """How a table is read; ``None``: as the file itself shows.

    Attributes
    ----------
    sep, decimal, encoding
        Separator of columns, decimal point, encoding: of text only.
    sheet
        Name of the sheet, or its number from 1: of Excel files only.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    sheet: str | None = None

    def table(self, source: str) -> pd.DataFrame:
        """A data file, or else a bundled data set; ``-`` is standard input."""
        path = Path(source)
        if source == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
            content = sys.stdin.buffer.read() if source == "-" else path.read_bytes()
            return self._from_text(source, lambda: BytesIO(content), None)
        if not path.exists() and source in brim.data.names():
            self._nothing_but((), source)
            return brim.load_data(source)
        if not path.is_file():
            files = [str(p) for p in path.parent.glob("*") if p.suffix in {*_KINDS, ".gz"}]
            raise BrimError(f"there is no file and no data set {source!r}", hint=suggest(source, [*files, *brim.data.names()], "data sets"))
        kind = next((s.lower() for s in reversed(path.suffixes) if s.lower() in _KINDS), None)
        if kind is None:
            raise BrimError(f"cannot tell what kind of file {source!r} is", hint="its name should end in " + ", ".join(_KINDS))
        if kind in _TEXT:
            opened = _PACKED.get(path.suffix.lower(), open)
            return self._from_text(source, lambda: opened(path, "rb"), _TEXT[kind], path)
        return self._from_excel(path, kind) if kind in _EXCEL else self._from_binary(path, kind)

    # ------------------------------------------------------------------ text

    def _from_text(self, source: str, opened: Callable[[], Any], usual: str | None, path: Path | None = None) -> pd.DataFrame:
        """A table of text: from memory, or from a file that pandas opens itself."""
        import pandas as pd

        self._nothing_but(("sep", "decimal", "encoding"), source)
        encoding = self.encoding or "utf-8"
        given: dict[str, Any] = {"encoding": encoding, "dtype_backend": "numpy_nullable"}  # floats would round ids of 17 digits
        try:
            with opened() as file:
                head = file.read(1 << 16)
            given["sep"] = _separator(self.sep) or usual or _guessed(head.decode(encoding, errors="ignore"))
            decimal = self._decimal()
            table = pd.read_csv(path or opened(), decimal=decimal or ".", **given)
            commas = _with_commas(table) if decimal is None and given["sep"] != "," else []
            if commas:
                warn(f"{', '.join(commas)}: read with decimal commas; --decimal . keeps them as text")
                table = pd.read_csv(path or opened(), decimal=",", **given)
            if not isinstance(table.index, pd.RangeIndex):
                warn(f"{source}: rows have one value more than there are names of columns; the first is taken for the name of the row")
            return table
        except LookupError as error:
            raise BrimError(f"there is no encoding {encoding!r}", hint="for example utf-8, latin-1, cp1252, utf-16") from error
        except UnicodeError as error:
            hint = "say --encoding latin-1, cp1252 or utf-16" if self.encoding is None else "name another encoding"
            byte = f" (byte 0x{error.object[error.start]:02x})" if isinstance(error, UnicodeDecodeError) else ""
            raise BrimError(f"{source!r} is not {encoding} text{byte}", hint=hint) from error
        except (ValueError, OSError, EOFError) as error:
            hint = f"is it a whole table, names of columns first, separated by {given.get('sep', self.sep)!r}? Else say --sep"
            raise BrimError(f"cannot read {source!r}: {error}", hint=hint) from error

    def _decimal(self) -> str | None:
        if self.decimal is None:
            return None
        if self.decimal not in (".", ","):
            raise BrimError(f"--decimal {self.decimal!r}", hint="it is '.' or ','")
        if self.decimal == _separator(self.sep):
            raise BrimError(f"columns and decimals cannot both be set apart by {self.decimal!r}", hint="say --sep ';'")
        return self.decimal

    # ------------------------------------------------------------------ other kinds

    def _from_excel(self, path: Path, kind: str) -> pd.DataFrame:
        import pandas as pd

        self._nothing_but(("sheet",), str(path))
        try:
            with pd.ExcelFile(path) as book:
                return pd.read_excel(book, sheet_name=self._sheet(book.sheet_names), dtype_backend="numpy_nullable")
        except ImportError as error:
            hint = 'pip install "brim[excel]"' if kind != ".xls" else "save it as .xlsx, or pip install xlrd"
            raise BrimError(f"reading {str(path)!r} needs {'xlrd' if kind == '.xls' else 'openpyxl'}", hint=hint) from error
        except BrimError:
            raise
        except (ValueError, OSError, BadZipFile, KeyError) as error:
            raise BrimError(f"cannot read {str(path)!r}: {error}", hint=f"is it a whole {kind} file?") from error

    def _sheet(self, names: list[Any]) -> Any:
        """The name of the sheet: the first, by name, or by number."""
        sheets = [str(n) for n in names]
        if self.sheet is None:
            return sheets[0]
        if self.sheet not in sheets and self.sheet.isdigit() and 1 <= int(self.sheet) <= len(sheets):
            return sheets[int(self.sheet) - 1]
        if self.sheet not in sheets:
            raise BrimError(f"there is no sheet {self.sheet!r}", hint=suggest(self.sheet, sheets, "sheets"))
        return self.sheet

    def _from_binary(self, path: Path, kind: str) -> pd.DataFrame:
        import pandas as pd

        self._nothing_but((), str(path))
        readers: dict[str, Callable[..., Any]] = {".json": pd.read_json, ".parquet": pd.read_parquet, ".feather": pd.read_feather}
        try:
            table: pd.DataFrame = readers[kind](path)
        except ImportError as error:
            raise BrimError(f"reading {str(path)!r} needs pyarrow", hint="pip install pyarrow") from error
        except (ValueError, OSError) as error:
            raise BrimError(f"cannot read {str(path)!r}: {error}", hint=f"is it a whole {kind} file?") from error
        return table

    def _nothing_but(self, fit: tuple[str, ...], source: str) -> None:
        """Refuse options that say nothing about a file of this kind."""
        for name in ("sep", "decimal", "encoding", "sheet"):
            if name not in fit and getattr(self, name) is not None:
                of = "Excel files" if name == "sheet" else "text"
                raise BrimError(f"--{name} is an option of {of}, and {source!r} is none", hint=f"leave --{name} out")


def _separator(given: str | None) -> str | None:
    if given is None:
        return None
    sep = _WORDS.get(given.lower(), given)
    if len(sep) != 1 and sep != r"\s+":
        raise BrimError(f"--sep {given!r} is not one character", hint="say ',', ';', tab or space")
    return sep


def _guessed(head: str) -> str:
    """The separator that the line with the names has most of, outside quotes."""
    line = re.sub(r'"[^"]*"', "", next((one for one in head.splitlines() if one.strip("\ufeff \t")), ""))
    best = max((",", ";", "\t", "|"), key=line.count)
    return best if best in line else ","


def _with_commas(table: pd.DataFrame) -> list[str]:
    """Columns of numbers with decimal commas; none where other columns have decimal points, since then one of both is text."""
    import pandas as pd

    if any(pd.api.types.is_float_dtype(t) for t in table.dtypes):
        return []
    found = []
    for name in table.columns:
        if pd.api.types.is_numeric_dtype(table[name].dtype):
            continue
        texts = [str(v) for v in table[name].dropna().unique()]
        commas = [bool(_COMMA.fullmatch(t)) for t in texts]
        if any(commas) and all(c or _WHOLE.fullmatch(t) for c, t in zip(commas, texts, strict=True)):
            found.append(str(name))
    return found
