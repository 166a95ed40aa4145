"""HDF5 files that are sealed by a digest when written, and whose structure is looked at before anything in them is read.

The seal is the SHA-256 of all that stands before it, at the end of the file, where HDF5, netCDF and ArviZ do not look: a flipped bit is
found before HDF5 takes the file apart. It proves that a file is whole, not who wrote it; what a stranger's file may make HDF5 do (read
other files, take all memory) is refused by ``check_structure``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from brim.disk import replacing
from brim.errors import BrimError

__all__ = ["check_seal", "check_structure", "is_fit", "write_sealed"]

_MARK = b"\nbrim-sha256\n"
_SIZE = len(_MARK) + hashlib.sha256().digest_size
_BLOCK = 2**22
_POINTER = 16  # bytes of a text of any length where data are kept; the text itself is in a heap


# --------------------------------------------------------------------------- writing


class _Sink:
    """An open file for HDF5, which must not meet an error of the disk (it ends the process): the first is kept, and no more written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def _try(self, action: Callable[[], Any], otherwise: Any) -> Any:
        if self.error is None:
            try:
                return action()
            except OSError as error:
                self.error = error
        return otherwise

    def write(self, data: Any) -> int:
        """As of a file; once the disk has failed, nothing is written."""
        return int(self._try(lambda: self._file.write(data), len(data)))

    def read(self, size: int = -1) -> bytes:
        """As of a file."""
        return bytes(self._try(lambda: self._file.read(size), b""))

    def readinto(self, buffer: Any) -> int:
        """As of a file."""
        return int(self._try(lambda: self._file.readinto(buffer), 0))  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of a file."""
        return int(self._try(lambda: self._file.seek(offset, whence), offset))

    def tell(self) -> int:
        """As of a file."""
        return int(self._try(self._file.tell, 0))

    def truncate(self, size: int | None = None) -> int:
        """As of a file."""
        return int(self._try(lambda: self._file.truncate(size), size or 0))

    def flush(self) -> None:
        """As of a file."""
        self._try(self._file.flush, None)


def write_sealed(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file with ``write(h5netcdf file)``, check it, seal it and put it in place.

    Raises
    ------
    OSError
        The disk is full, the folder cannot be written to; what was at ``path`` is still there.
    """
    import h5netcdf
    import h5py

    with replacing(path) as file:
        sink = _Sink(file)
        try:
            with h5py.File(sink, "w", track_order=True) as hdf, h5netcdf.File(hdf, "w") as netcdf:
                write(netcdf)
        except Exception as error:
            raise sink.error or error from error
        if sink.error is not None:
            raise sink.error
        file.flush()
        with h5py.File(file, "r") as written:
            check_structure(written, path, os.fstat(file.fileno()).st_size)
        digest = _digest(file, file.seek(0, os.SEEK_END))
        file.seek(0, os.SEEK_END)
        file.write(_MARK + digest)


def _digest(file: BinaryIO, size: int) -> bytes:
    """The SHA-256 of the first ``size`` bytes."""
    found = hashlib.sha256()
    file.seek(0)
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        found.update(block)
        size -= len(block)
    return found.digest()


# --------------------------------------------------------------------------- reading


def check_seal(path: Path) -> bool:
    """Whether a file has a seal; false for files of versions that wrote none, and files that were changed by other programs.

    Raises
    ------
    BrimError
        The seal does not belong to the content.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - _SIZE
        if size < 0:
            return False
        file.seek(size)
        end = file.read(_SIZE)
        if not end.startswith(_MARK):
            return False
        if _digest(file, size) != end[len(_MARK) :]:
            raise BrimError(f"'{path}' cannot be read: it is damaged (its content has not the digest that it was saved with)", hint=_AGAIN)
    return True


_AGAIN = "fit again and save, or take another copy of the file"


def check_structure(file: Any, path: Path, size: int) -> None:
    """Refuse whatever brim does not write and that could read other files or take more memory than the file is large.

    ``file`` is an open ``h5py.File`` of ``size`` bytes.

    Raises
    ------
    BrimError
        It has links other than plain ones, data kept outside the file or assembled from others, filters, or data larger than itself.
    """
    import h5py

    seen, groups, total = set(), [file["/"]], 0
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(path, f"{name!r} is a link to somewhere else")
            item = group[name]
            mark = h5py.h5o.get_info(item.id).addr
            if mark in seen:
                raise _refused(path, f"{name!r} is in it twice")
            seen.add(mark)
            if isinstance(item, h5py.Group):
                groups.append(item)
            else:
                total += _bytes(item, name, path)
                if total > size:
                    raise _refused(path, f"its data would be larger than the file ({size} bytes)")


def _bytes(item: Any, name: str, path: Path) -> int:
    """The size of a data set, whose values must all be in the file."""
    import h5py

    if not isinstance(item, h5py.Dataset):
        raise _refused(path, f"{name!r} is no data")
    how = item.id.get_create_plist()
    if how.get_external_count() or item.is_virtual or how.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
        raise _refused(path, f"the data of {name!r} are kept elsewhere or in pieces")
    if how.get_nfilters():
        raise _refused(path, f"the data of {name!r} are packed")
    text = h5py.check_string_dtype(item.dtype) is not None
    if item.dtype.kind not in "iufb" and not text:
        raise _refused(path, f"{name!r} holds neither numbers nor text")
    width = _POINTER if text and item.id.get_type().is_variable_str() else item.id.get_type().get_size()
    claimed, kept = int(item.id.get_space().get_simple_extent_npoints()) * width, item.id.get_storage_size()
    if kept != claimed and not (kept == 0 and _is_dim(item)):
        raise _refused(path, f"{name!r} claims {claimed} bytes and has {kept}")
    return int(kept)


def _is_dim(item: Any) -> bool:
    """Whether it is a dim of netCDF without values, which nothing reads."""
    name = item.attrs.get("NAME", b"")
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return text.startswith("This is a netCDF dimension but not a netCDF variable")


def _refused(path: Path, why: str) -> BrimError:
    return BrimError(f"'{path}' cannot be read: brim did not write it like this ({why})", hint=_AGAIN)


def is_fit(path: Path) -> bool:
    """Whether a file is a fit of brim's, as far as its structure tells."""
    import h5py

    with suppress(OSError, KeyError, ValueError, RuntimeError, TypeError), h5py.File(path, "r") as file:
        return isinstance(file.get("brim/content"), h5py.Dataset)
    return False
