"""Files that are whole or not there: written beside their place, checked, and moved into it."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from brim.errors import BrimError

fcntl: Any
try:
    fcntl = import_module("fcntl")
except ImportError:  # Windows
    fcntl = None

__all__ = ["check_place", "lock", "replacing", "write_whole"]

_SUFFIX = ".part"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new content for a file: an open file beside it, which takes its place when the block ends well.

    A failure, a full disk or a kill leaves what was there. A link stays a link, and the mode stays as it was. What killed processes left
    behind for this place is removed.
    """
    place = Path(os.path.realpath(path))
    _sweep(place)
    beside, descriptor = _beside(place)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):
            os.chmod(beside, os.stat(place).st_mode & 0o7777)
        os.replace(beside, place)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(place.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file's content."""
    with replacing(path) as file:
        file.write(content)


def check_place(path: Path) -> None:
    """Find out whether a file can be written at a place, without touching what is there.

    Raises
    ------
    BrimError
        It is a folder, there is no folder to hold it, or that folder takes no new file.
    """
    try:
        if path.is_dir():
            raise BrimError(f"'{path}' is a folder", hint="name the file to write, fit.nc for instance")
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            raise BrimError(f"there is no folder '{path.parent}' to write '{path.name}' into", hint="make it first")
        with suppress(FileNotFoundError):
            os.lstat(place)  # a name that is too long
        beside, descriptor = _beside(place)
        os.close(descriptor)
        beside.unlink()
    except OSError as error:
        raise BrimError(f"cannot write '{path}': {error.strerror or error}", hint="name another place") from error


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Hold a lock file; false where another process has it. It is free again when its process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def _beside(place: Path) -> tuple[Path, int]:
    """A new hidden file in the folder of a place, locked by this process."""
    while True:
        path = place.with_name(f"{_stem(place)}{secrets.token_hex(4)}{_SUFFIX}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        _take(descriptor)
        if path.exists():  # not swept away before it was locked
            return path, descriptor
        os.close(descriptor)


def _stem(place: Path) -> str:
    """How the hidden names of a place begin; short, whatever the name."""
    return f".brim-{hashlib.sha256(os.fsencode(place.name)).hexdigest()[:8]}-"


def _sweep(place: Path) -> None:
    """Remove what processes that are no more left beside a place: their files are not locked."""
    if fcntl is None:
        return
    for path in place.parent.glob(f"{_stem(place)}*{_SUFFIX}"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                if _take(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Lock an open file if it is free; true where files cannot be locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
