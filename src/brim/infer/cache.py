"""Compiled programs on disk, apart from JAX's own compilation cache, whose settings stay the user's.

JAX's persistent cache is one per process and is switched by global configuration. brim instead keeps executables in its own folder,
named by the program's text and everything that decides the machine code, so that nothing of the user's is touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import tempfile
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import platformdirs
from jax.experimental import serialize_executable

__all__ = ["cache_dir", "compile_cached"]

_LIMIT = 512 * 2**20  # bytes kept on disk; the least recently used go first
_OFF = {"", "0", "off", "false", "no"}


def cache_dir() -> Path | None:
    """The folder of compiled programs: ``BRIM_CACHE_DIR``, else the user's cache folder; ``None`` if ``BRIM_CACHE_DIR`` is off."""
    named = os.environ.get("BRIM_CACHE_DIR")
    if named is not None:
        return None if named.strip().lower() in _OFF else Path(named).expanduser()
    return platformdirs.user_cache_path("brim", appauthor=False) / "compiled"


def compile_cached(lowered: Any) -> tuple[Any, bool]:
    """Compile ``jax.jit(f).lower(...)``, or load it from disk when the same program was compiled before.

    Returns
    -------
    The compiled function, and whether it came from disk. Trouble with the disk is never an error: the program is compiled.
    """
    folder = cache_dir()
    if folder is None:
        return lowered.compile(), False
    path = folder / f"{_key(lowered)}.xla"
    loaded = _load(path)
    if loaded is not None:
        return loaded, True
    compiled = lowered.compile()
    _save(path, compiled)
    return compiled, False


def _key(lowered: Any) -> str:
    text = lowered.as_text()
    # arguments that the program does not read are checked against their shapes, too
    shapes = str([(x.shape, x.dtype) for x in jax.tree.leaves(lowered.args_info)])
    parts = (text, shapes, str(lowered.in_tree), str(lowered.out_tree), *_machine())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


@lru_cache(maxsize=1)
def _machine() -> tuple[str, ...]:
    """What decides the machine code besides the program."""
    backend = jax.devices()[0].client
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
        platform.machine(),
        platform.processor(),
        cpu,
        flags,
    )


def _load(path: Path) -> Any | None:
    try:
        blob = path.read_bytes()
        payload, in_tree, out_tree = pickle.loads(blob)
        compiled = serialize_executable.deserialize_and_load(payload, in_tree, out_tree, execution_devices=jax.devices()[:1])
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception:  # a half-written, foreign or outdated file: compile again and overwrite it
        return None
    return compiled


def _save(path: Path, compiled: Any) -> None:
    """Write beside and rename, so that processes sharing the folder never read half a file."""
    name = None
    try:
        blob = pickle.dumps(serialize_executable.serialize(compiled))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_room(path.parent, len(blob))
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            name = file.name
            file.write(blob)
        os.replace(name, path)
    except Exception:  # read-only home, full disk, a backend without serialisation
        if name is not None:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _make_room(folder: Path, needed: int) -> None:
    files = []
    for path in folder.glob("*.xla"):
        with contextlib.suppress(OSError):
            stat = path.stat()
            files.append((stat.st_mtime, stat.st_size, path))
    total = needed + sum(size for _, size, _ in files)
    for _, size, path in sorted(files, key=lambda f: f[0]):
        if total <= _LIMIT:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
