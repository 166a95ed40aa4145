"""A fit as a folder in Zarr's third format: the same groups as in a netCDF file, each array in one piece and as it is in memory.

xarray, ArviZ and zarr read it. brim maps its arrays into memory, so that draws larger than memory are read where they are asked for, and
needs no package for it: the format is JSON beside raw numbers. Nothing in it is executed when it is read.

The attributes of the folder hold the SHA-256 of each file in it: what was damaged is found when the fit is loaded.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from brim.disk import check_place
from brim.errors import BrimError

__all__ = ["check_folder", "is_store", "opened", "write_store"]

_META = "zarr.json"
_DIGESTS = "brim_digests"
_TEXT = "string"
_TYPES = ("float64", "float32", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_BLOCK = 2**22
_AGAIN = "fit again and save, or take another copy of the folder"


# --------------------------------------------------------------------------- writing


class _Array:
    """An array as ``post.files.io`` writes it; text comes after its creation."""

    def __init__(self, folder: Path, dims: tuple[str, ...]) -> None:
        self.folder, self.dims, self.attrs = folder, dims, dict[str, Any]()
        self._shape: tuple[int, ...] = ()
        self._kind = _TEXT

    def __setitem__(self, key: Any, values: Any) -> None:
        texts = [str(v) for v in np.ravel(np.asarray(values, object))]
        self._shape = np.shape(values) if self.dims else ()
        coded = [text.encode() for text in texts]
        self._chunk(lambda file: file.write(struct.pack("<I", len(coded)) + b"".join(struct.pack("<I", len(c)) + c for c in coded)))

    def put(self, values: np.ndarray) -> Self:
        """Numbers, a part at a time."""
        self._shape, self._kind = values.shape, values.dtype.newbyteorder("=").name
        flat = np.ascontiguousarray(values).reshape(-1)
        step = max(1, _BLOCK // values.dtype.itemsize)
        little = values.dtype.newbyteorder("<")
        self._chunk(lambda file: [file.write(flat[i : i + step].astype(little).tobytes()) for i in range(0, len(flat), step)])
        return self

    def _chunk(self, write: Callable[[Any], Any]) -> None:
        place = _chunk_of(self.folder, len(self._shape))
        place.parent.mkdir(parents=True)
        with open(place, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())

    def close(self) -> None:
        """Write what it is."""
        text = self._kind == _TEXT
        told = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self._shape),
            "data_type": self._kind,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(n, 1) for n in self._shape]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": "" if text else 0,
            "codecs": [{"name": "vlen-utf8"} if text else {"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": self.attrs,
            "dimension_names": list(self.dims),
        }
        (self.folder / _META).write_text(json.dumps(told))


class _Group:
    """A group as ``post.files.io`` writes it: of h5netcdf's groups what it uses."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.attrs, self.dimensions = folder, dict[str, Any](), dict[str, int]()
        self._inside: list[_Group | _Array] = []

    def create_group(self, name: str) -> _Group:
        """A group in it."""
        group = _Group(self.folder / name)
        self._inside.append(group)
        return group

    def create_variable(self, name: str, dims: tuple[str, ...], data: np.ndarray | None = None, dtype: Any = None) -> _Array:
        """An array in it: numbers, or text to come."""
        array = _Array(self.folder / name, dims)
        self._inside.append(array)
        return array if data is None else array.put(data)

    def close(self) -> None:
        """Write what it and all in it are."""
        for one in self._inside:
            one.close()
        (self.folder / _META).write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": self.attrs}))


def write_store(path: Path, write: Callable[[Any], None]) -> None:
    """Write a folder with ``write(group)`` beside its place, and move it there when it is whole.

    Raises
    ------
    OSError
        The disk is full, the place cannot be written to; what was at ``path`` is still there.
    """
    place = Path(os.path.realpath(path))
    beside = place.with_name(f".brim-{secrets.token_hex(6)}.part")
    try:
        root = _Group(beside)
        write(root)
        root.close()
        files = (p for p in sorted(beside.rglob("*")) if p.is_file() and p.parent != beside)
        root.attrs[_DIGESTS] = {str(p.relative_to(beside)): _digest(p) for p in files}
        (beside / _META).write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": root.attrs}))
        with _aside(place):
            os.rename(beside, place)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


@contextmanager
def _aside(place: Path) -> Iterator[None]:
    """What is at a place moved away, and back if what is to take its place does not."""
    if not place.exists():
        yield
        return
    old = place.with_name(f".brim-{secrets.token_hex(6)}.part")
    os.rename(place, old)
    try:
        yield
    except BaseException:
        os.rename(old, place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_folder(path: Path) -> None:
    """Find out whether a store can be written at a place.

    Raises
    ------
    BrimError
        Something else is there, or nothing can be written there.
    """
    if path.exists() and not is_store(path):
        raise BrimError(f"'{path}' is there and no fit of brim's: it is not replaced", hint="name another folder, or remove that one first")
    check_place(path.with_name(f".{secrets.token_hex(4)}"))


def is_store(path: Path) -> bool:
    """Whether a folder is a fit of brim's, as far as its structure tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return path.is_dir() and _DIGESTS in json.loads((path / _META).read_text())["attributes"]
    return False


# --------------------------------------------------------------------------- reading


class _Stored:
    """An array of a store: its type, attributes and values."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        self._folder, self._shape = folder, tuple(map(int, told["shape"]))
        self._kind, self.attrs = told["data_type"], told["attributes"]
        codec = {"name": "vlen-utf8"} if self._kind == _TEXT else {"name": "bytes", "configuration": {"endian": "little"}}
        chunks = told["chunk_grid"]["configuration"]["chunk_shape"]
        if self._kind not in (*_TYPES, _TEXT) or told["codecs"] != [codec] or list(chunks) != [max(n, 1) for n in self._shape]:
            raise _refused(folder, "its arrays are packed, in pieces, or neither numbers nor text")

    @property
    def dtype(self) -> Any:
        """``str`` of text, NumPy's type of numbers."""
        return str if self._kind == _TEXT else np.dtype(self._kind)

    def __getitem__(self, key: Any) -> Any:
        place = _chunk_of(self._folder, len(self._shape))
        if self._kind == _TEXT:
            return np.array(_texts(place.read_bytes()), dtype=object).reshape(self._shape)
        kind, size = np.dtype(self._kind).newbyteorder("<"), math.prod(self._shape)
        if place.stat().st_size != size * kind.itemsize:
            raise _refused(self._folder, f"it claims {size * kind.itemsize} bytes and has {place.stat().st_size}")
        if not self._shape or not size:
            return np.fromfile(place, kind).reshape(self._shape)
        return np.memmap(place, kind, "r", shape=self._shape)


class _Read:
    """A group of a store: of h5netcdf's groups what ``post.files.io`` reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def groups(self) -> dict[str, _Read]:
        """The groups in it."""
        return {p.name: _Read(p) for p in self._nodes() if _told(p)["node_type"] == "group"}

    @property
    def variables(self) -> dict[str, _Stored]:
        """The arrays in it."""
        return {p.name: _Stored(p, told) for p in self._nodes() if (told := _told(p))["node_type"] == "array"}

    def _nodes(self) -> list[Path]:
        return sorted(p for p in self.folder.iterdir() if (p / _META).is_file())

    def __getitem__(self, name: str) -> Any:
        place = self.folder / name
        told = _told(place)
        return _Read(place) if told["node_type"] == "group" else _Stored(place, told)


@contextmanager
def opened(path: Path) -> Iterator[_Read]:
    """The groups of a store, all of whose files are there as they were written.

    Raises
    ------
    BrimError
        It is no fit of brim's, was damaged or changed, or has links.
    """
    if not is_store(path):
        raise BrimError(f"'{path}' is a folder and no fit of brim's", hint="fit.save('fit.zarr') writes one")
    digests = _told(path)["attributes"][_DIGESTS]
    found = {str(p.relative_to(path)): p for p in path.rglob("*") if p.is_symlink() or not p.is_dir()}
    found.pop(_META)
    if any(p.is_symlink() for p in path.rglob("*")) or set(found) != set(digests):
        raise _refused(path, "it has other files than were saved")
    for name, place in found.items():
        if _digest(place) != digests[name]:
            raise BrimError(f"'{path}' cannot be read: '{name}' in it is damaged (its digest is another)", hint=_AGAIN)
    yield _Read(path)


def _told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / _META).read_text())
    return found


def _chunk_of(folder: Path, axes: int) -> Path:
    """The file of an array of one piece."""
    return folder.joinpath("c", *["0"] * axes)


def _texts(content: bytes) -> list[str]:
    """Texts, each behind its length."""
    (count,), at, out = struct.unpack_from("<I", content), 4, []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", content, at)
        out.append(content[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return out


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refused(path: Path, why: str) -> BrimError:
    return BrimError(f"'{path}' cannot be read: brim did not write it like this ({why})", hint=_AGAIN)
