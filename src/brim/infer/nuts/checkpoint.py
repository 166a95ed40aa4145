"""Chains on disk while they run: from their last state they go on to the same draws, bit for bit.

Of each chain there is a file of draws, which only grows, and one with its state, which is replaced whole: how many rows of draws belong to
it, their digest, and position, step size, metric and moments. What a kill leaves behind the last row is written over.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from brim.disk import write_whole
from brim.errors import BrimError
from brim.infer.nuts.tree import State

__all__ = ["Checkpoint", "Saved"]

SECONDS = 3.0  # between two states of a chain on disk
_DIGEST = hashlib.sha256().digest_size


class Saved(NamedTuple):
    """A chain as it was left: its state, the rows ``(kept, dim + statistics)`` drawn so far, leapfrog steps of the warm-up."""

    state: State
    rows: np.ndarray
    warmup_steps: int


@dataclass
class Checkpoint:
    """A folder that chains are kept in.

    Attributes
    ----------
    folder
        Where.
    failure
        What the disk said when a chain could last not be kept; sampling goes on.
    """

    folder: Path
    failure: OSError | None = None
    _chains: dict[int, _Kept] = field(default_factory=dict)

    def begin(self, start: Any) -> None:
        """Note what the chains start from, or compare it with what was noted.

        Raises
        ------
        BrimError
            They would start elsewhere: another machine or version computes otherwise, and what is there cannot be continued.
        """
        digest = hashlib.sha256()
        for leaf in jax.tree.leaves(start):
            digest.update(np.ascontiguousarray(leaf).tobytes())
        path = self.folder / "start"
        try:
            if not path.exists():
                write_whole(path, digest.hexdigest().encode())
            elif path.read_bytes() != digest.hexdigest().encode():
                raise BrimError(
                    f"the chains in '{self.folder}' cannot be continued: here the same model has other coordinates",
                    hint="continue on the machine and with the version of brim that began, or begin anew in another folder",
                )
        except OSError as error:
            raise BrimError(f"cannot keep chains in '{self.folder}': {error.strerror or error}", hint="name another folder") from error

    def load(self, chain: int, like: State) -> Saved | None:
        """The chain as it was left; ``None`` where there is none. ``like`` is a state of the same structure."""
        state, draws = self._paths(chain)
        if not state.exists():
            return None
        try:
            blob = state.read_bytes()
            if hashlib.sha256(blob[_DIGEST:]).digest() != blob[:_DIGEST]:
                raise ValueError("its digest is another")
            with np.load(io.BytesIO(blob[_DIGEST:]), allow_pickle=False) as file:
                numbers = {name: file[name] for name in file.files}
            leaves, tree = jax.tree.flatten(like)
            found = jax.tree.unflatten(tree, [numbers[f"leaf_{i}"] for i in range(len(leaves))])
            n, width = (int(x) for x in numbers["shape"])
            content = draws.read_bytes()[: 8 * n * width]
            if hashlib.sha256(content).digest() != numbers["digest"].tobytes():
                raise ValueError("its draws have another digest")
        except (OSError, ValueError, KeyError) as error:
            raise BrimError(f"chain {chain + 1} in '{self.folder}' is damaged: {error}", hint="begin anew in another folder") from error
        rows = np.frombuffer(content).reshape(n, width)
        self._chains[chain] = _Kept(n, hashlib.sha256(content))
        return Saved(found, rows, int(numbers["warmup_steps"]))

    def keep(self, chain: int, state: State, rows: np.ndarray, warmup_steps: int, now: bool = False) -> None:
        """Write what is new of a chain, if it is time or ``now``; a failing disk is noted and tried again later."""
        kept = self._chains.setdefault(chain, _Kept())
        if not now and time.monotonic() - kept.when < SECONDS:
            return
        try:
            self._write(chain, kept, state, rows, warmup_steps)
            self.failure = None
        except OSError as error:
            self.failure = error
        kept.when = time.monotonic()

    def _write(self, chain: int, kept: _Kept, state: State, rows: np.ndarray, warmup_steps: int) -> None:
        path, draws = self._paths(chain)
        new = np.ascontiguousarray(rows[kept.rows :], dtype=np.float64).tobytes()
        digest = kept.digest.copy()
        digest.update(new)
        width = rows.shape[1]
        with open(draws, "r+b" if draws.exists() else "w+b") as file:
            file.truncate(8 * width * kept.rows)
            file.seek(8 * width * kept.rows)
            file.write(new)
            file.flush()
            os.fsync(file.fileno())
        numbers = {f"leaf_{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        numbers |= {
            "shape": np.array(rows.shape),
            "digest": np.frombuffer(digest.digest(), np.uint8),
            "warmup_steps": np.array(warmup_steps),
        }
        buffer = io.BytesIO()
        np.savez(buffer, **numbers)  # type: ignore[arg-type]
        content = buffer.getvalue()
        write_whole(path, hashlib.sha256(content).digest() + content)
        kept.rows, kept.digest = len(rows), digest

    def _paths(self, chain: int) -> tuple[Path, Path]:
        """The files of a chain: its state and its draws."""
        return self.folder / f"chain_{chain + 1}.state", self.folder / f"chain_{chain + 1}.draws"


@dataclass
class _Kept:
    """Of a chain on disk: rows of draws, their digest so far, when it was last written."""

    rows: int = 0
    digest: Any = field(default_factory=hashlib.sha256)
    when: float = -np.inf
