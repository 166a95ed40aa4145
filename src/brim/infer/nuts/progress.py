"""Progress on stderr: a bar in a terminal, a few lines in a file, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, cast

__all__ = ["Progress", "Report"]


@dataclass
class Report:
    """Where a chain is; written by its thread, read by the one that shows it.

    Attributes
    ----------
    chain
        Its number, from 1.
    warmup, draws
        Iterations planned in each phase.
    done
        Iterations made, warm-up included.
    leapfrogs
        Gradients used.
    divergences
        Divergent transitions after warm-up.
    """

    chain: int
    warmup: int
    draws: int
    done: int = 0
    leapfrogs: int = 0
    divergences: int = 0


class Forgiving:
    """A stream that never raises: one that is closed, full, missing (``None``) or half a stream only shows less."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(Exception):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is known to be a terminal."""
        try:
            return bool(self._stream.isatty())
        except Exception:  # whatever a logging wrapper raises
            return False

    def fileno(self) -> int:
        """The stream's own; what asks for it is prepared for an error."""
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:
        """The stream's own, if it has one."""
        return str(getattr(self._stream, "encoding", None) or "utf-8")


class Progress:
    """Shows reports. rich is imported only when there is a terminal to draw on."""

    def __init__(
        self,
        chains: int,
        warmup: int,
        draws: int,
        *,
        shown: bool,
        callback: Callable[[tuple[Report, ...]], None] | None = None,
    ) -> None:
        self._total = chains * (warmup + draws)
        self._chains = chains
        self._callback = callback
        self._clock = time.perf_counter()
        self._bar: Any = None
        self._out = Forgiving(sys.stderr)
        self._lines = shown and not self._out.isatty()
        self._shown_tenths = 0
        self._rich = shown and not self._lines

    def __enter__(self) -> Progress:
        if self._rich:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
            self._bar = Bar(*columns, TimeRemainingColumn(), console=Console(file=cast("IO[str]", self._out)), transient=True)
            self._task = self._bar.add_task("compiling", total=self._total)
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, reports: Sequence[Report]) -> None:
        """Show the chains' state."""
        done = sum(r.done for r in reports)
        if self._callback is not None:
            self._callback(tuple(reports))
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=self._text(reports))
        elif self._lines:
            tenths = 10 * done // max(self._total, 1)
            if tenths > self._shown_tenths:
                self._shown_tenths = tenths
                elapsed = time.perf_counter() - self._clock
                print(f"{10 * tenths:3d}% {self._text(reports)}, {elapsed:.1f} s", file=self._out, flush=True)

    def _text(self, reports: Sequence[Report]) -> str:
        warming = sum(r.done < r.warmup for r in reports)
        phase = "sampling" if warming == 0 else "warm-up" if warming == self._chains else f"warm-up ({warming} of {self._chains} chains)"
        divergences = sum(r.divergences for r in reports)
        text = f"{self._chains} chain{'s' if self._chains > 1 else ''}: {phase}"
        return text + (f", {divergences} divergent" if divergences else "")
