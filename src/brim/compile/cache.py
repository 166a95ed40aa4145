"""Compiled programs on disk, apart from JAX's own compilation cache, whose settings stay the user's.

JAX's persistent cache is one per process and is switched by global configuration. brim instead keeps executables in its own folder,
named by the program's text and everything that decides the machine code, so that nothing of the user's is touched. A program that is
known by what its function is made of is found without tracing it: a small file of that name tells which executable it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import platformdirs
from jax.experimental import serialize_executable

from brim.compile.fingerprint import Unnamed, fingerprint, source_digest
from brim.compile.xla import options, wanted
from brim.errors import warn

__all__ = ["cache_dir", "compile_cached"]

_LIMIT = 512 * 2**20  # bytes kept on disk; the least recently used go first
_NAMES = 2000  # names kept of programs that were not traced
_DIGEST = hashlib.sha256().digest_size
_LEFT = 3600  # seconds after which a part of a file is what a killed process left
_OFF = {"", "0", "off", "false", "no"}
_tracing = threading.Lock()  # tracing is Python: two at a time only delay each other, and the first to be asked for is the longest


def cache_dir() -> Path | None:
    """The folder of compiled programs: ``BRIM_CACHE_DIR``, else the user's cache folder; ``None`` if it is off or there is none."""
    named = os.environ.get("BRIM_CACHE_DIR")
    if named is not None and named.strip().lower() in _OFF:
        return None
    try:
        return _user_folder() if named is None else Path(named).expanduser()
    except (RuntimeError, KeyError, OSError, ValueError):  # no home, an unknown user
        return None


def _user_folder() -> Path:
    return platformdirs.user_cache_path("brim", appauthor=False) / "compiled"


def compile_cached(make: Callable[[], Callable[..., Any]], args: tuple[Any, ...], structure: Any, short: bool = False) -> tuple[Any, bool]:
    """Compile ``jax.jit(make())`` for arguments like ``args``, or load it from disk when the same program was compiled before.

    To be called with x64 on.

    Parameters
    ----------
    make
        Makes the function.
    args
        Arguments: of their arrays only shapes and types matter.
    structure
        What ``make`` makes the function from, see ``fingerprint``.
    short
        Whether the program runs for so short a time that its compilation counts more.

    Returns
    -------
    The compiled function, and whether it came from disk. Trouble with the disk is never an error: the program is compiled.
    """
    args = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.result_type(x)), args)
    folder = cache_dir()
    if folder is None or not _trusted(folder):
        return _compiled(_lowered(make, args), short), False
    name = _name((structure, short), args)
    loaded = None if name is None else _load(folder, _read_name(folder, name))
    if loaded is not None:
        return loaded, True
    lowered = _lowered(make, args)
    key = _key(lowered, short)
    compiled = loaded = _load(folder, key)
    if compiled is None:
        compiled = _compiled(lowered, short)
        _save(folder, key, compiled, "lapack_" in lowered.as_text())
    if name is not None:
        _write(folder / f"{name}.name", _sealed(name, key.encode()))
    return compiled, loaded is not None


def _lowered(make: Callable[[], Callable[..., Any]], args: tuple[Any, ...]) -> Any:
    with _tracing:
        return jax.jit(make()).lower(*args)


def _compiled(lowered: Any, short: bool) -> Any:
    return lowered.compile(options(short))


# --------------------------------------------------------------------------- names


def _key(lowered: Any, short: bool) -> str:
    """The name of an executable: of the program's text."""
    # arguments that the program does not read are checked against their shapes, too
    return _digest(str(wanted(short)), lowered.as_text(), _shapes(lowered.args_info), str(lowered.in_tree), str(lowered.out_tree))


def _name(structure: Any, args: tuple[Any, ...]) -> str | None:
    """The name of a program that is not traced; ``None`` where there is none."""
    try:
        what = fingerprint(structure), source_digest()
    except Unnamed:
        return None
    settings = str(sorted((name, str(value)) for name, value in jax.config.values.items()))
    return _digest(*what, _shapes(args), str(jax.tree.structure(args)), settings, metadata.version("numpyro"))


def _shapes(args: Any) -> str:
    return str([(x.shape, str(x.dtype)) for x in jax.tree.leaves(args)])


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join((*parts, *_machine())).encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _machine() -> tuple[str, ...]:
    """What decides the machine code besides the program."""
    backend = jax.local_devices()[0].client
    cpu = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    flags = os.environ.get("XLA_FLAGS", "")
    return (
        jax.__version__,
        metadata.version("jaxlib"),
        backend.platform,
        backend.platform_version,
        platform.python_version(),
        platform.machine(),
        platform.processor(),
        cpu,
        flags,
    )


# --------------------------------------------------------------------------- files


def _read_name(folder: Path, name: str) -> str:
    """The key of the executable that a name stands for, empty if unknown."""
    with contextlib.suppress(OSError):
        path = folder / f"{name}.name"
        key = _content(path, name)
        os.utime(path)
        return key.decode()
    return ""


def _trusted(folder: Path) -> bool:
    """Whether only this user can write into the folder: what is in it runs as he does."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return True  # it will be made for this user alone
    except OSError:
        return False
    if not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022):
        return True
    _tell_untrusted(str(folder))
    return False


@lru_cache(maxsize=8)
def _tell_untrusted(folder: str) -> None:
    """Say it once."""
    warn(
        f"compiled programs are not kept in '{folder}': other users can write there, and what is there would run. "
        f"Make it yours alone (chmod 700), or name another folder in BRIM_CACHE_DIR"
    )


def _sealed(key: str, content: bytes) -> bytes:
    """Content with a digest of it and of what it is for before it: neither a flipped bit nor another program's entry passes."""
    return hashlib.sha256(key.encode() + b"\0" + content).digest() + content


def _content(path: Path, key: str) -> bytes:
    """What was sealed; a file that is another user's, damaged or another program's is removed and counts as missing."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as file:
        found, blob = os.fstat(file.fileno()), file.read()
    mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    if not mine or _sealed(key, blob[_DIGEST:]) != blob:
        path.unlink()
        raise FileNotFoundError(path)
    return blob[_DIGEST:]


def _load(folder: Path, key: str) -> Any | None:
    path = folder / f"{key}.xla"
    try:
        blob = _content(path, key)
        payload, in_tree, out_tree, lapack = pickle.loads(blob)
        if lapack:
            _find_lapack()
        compiled = serialize_executable.deserialize_and_load(payload, in_tree, out_tree, execution_devices=jax.local_devices()[:1])
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception:  # a half-written, foreign or outdated file: compile again and overwrite it
        return None
    return compiled


@lru_cache(maxsize=1)
def _find_lapack() -> None:
    """Let JAX look up LAPACK's functions, which it does when it lowers a program: a loaded one would call what was not found yet."""
    jax.jit(jax.numpy.linalg.cholesky).lower(jax.ShapeDtypeStruct((1, 1), np.float64))


def _save(folder: Path, key: str, compiled: Any, lapack: bool) -> None:
    with contextlib.suppress(Exception):  # a backend without serialisation, a read-only home
        blob = pickle.dumps((*serialize_executable.serialize(compiled), lapack))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_room(folder, len(blob))
        _write(folder / f"{key}.xla", _sealed(key, blob))


def _write(path: Path, content: bytes) -> None:
    """Write beside and rename, so that processes sharing the folder never read half a file."""
    name = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            name = file.name
            file.write(content)
        os.replace(name, path)
    except OSError:  # read-only home, full disk
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _make_room(folder: Path, needed: int) -> None:
    _sweep(folder)
    programs = _by_age(folder.glob("*.xla"))
    total = needed + sum(size for size, _ in programs)
    for size, path in programs:
        if total <= _LIMIT:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
    for _, path in _by_age(folder.glob("*.name"))[:-_NAMES]:
        with contextlib.suppress(OSError):
            path.unlink()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFT:
                path.unlink()


def _by_age(paths: Any) -> list[tuple[int, Path]]:
    """Size and path, the least recently used first."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append((stat.st_mtime, stat.st_size, path))
    return [(size, path) for _, size, path in sorted(found, key=lambda f: f[0])]
