"""What a child process is asked to do, and what it tells: one line of JSON, the last that it prints."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["Job", "Result"]

#: Population and hyper parameters are what is left: no group effects, no log densities, no copies of the intercept.
_LEFT_OUT = re.compile(r"^(r_|z_|s_|lp__$|lprior$|Intercept)")


@dataclass(frozen=True)
class Job:
    """A fit to make.

    Attributes
    ----------
    formula, family
        In the peer's notation.
    data
        What ``sources.write`` says of the rows.
    chains, draws, warmup, cores, seed
        As in ``brm``, but ``draws`` are those after warm-up.
    model
        Name of the model.
    folder
        Where draws are exported to.
    """

    model: str
    formula: str
    family: str
    data: dict[str, Any]
    chains: int
    draws: int
    warmup: int
    cores: int
    seed: int
    folder: str

    @staticmethod
    def read() -> Job:
        """From the file named on the command line."""
        return Job(**json.loads(Path(sys.argv[1]).read_text()))

    def rows(self) -> pd.DataFrame:
        """The data as a data frame; columns of npy files are not copied."""
        import numpy as np
        import pandas as pd

        if self.data["format"] == "npy":
            return pd.DataFrame({name: np.load(path) for name, path in self.data["columns"].items()}, copy=False)
        factors = self.data["factors"]
        data = pd.read_csv(self.data["path"], dtype=dict.fromkeys(factors, "str"), keep_default_na=False, na_values=["NA"])
        return data.assign(**{name: pd.Categorical(data[name], categories=levels) for name, levels in factors.items()})


@dataclass
class Result:
    """What is measured in the child.

    ``told`` is printed as JSON: seconds by stage (``import_seconds``, ``data_seconds``, ``compile_seconds``, ``sampling_seconds``,
    ``fit_seconds``), ``summary_at`` (clock when the summary was printed), ``cpu_seconds`` (of all threads up to then), ``steps`` and
    ``warmup_steps`` (leapfrog steps of all chains), ``divergences``, ``peak_bytes``, ``before_bytes`` (memory before the fit),
    ``data_bytes``, ``versions``, ``note``, ``draws``.
    """

    job: Job
    told: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds spent inside to ``STAGE_seconds``."""
        start = time.perf_counter()
        yield
        key = f"{stage}_seconds"
        self.told[key] = self.told.get(key, 0.0) + time.perf_counter() - start

    def loaded(self, data: pd.DataFrame) -> None:
        """Memory before the fit, and how much of it the data take."""
        self.told["data_bytes"] = int(data.memory_usage(index=False, deep=True).sum())
        self.told["before_bytes"] = peak_bytes()

    def summarised(self, summary: object) -> None:
        """Print the summary; the clock for the fresh process stops here."""
        print(summary, flush=True)
        self.told["summary_at"] = time.time()
        self.told["cpu_seconds"] = time.process_time()
        self.told["peak_bytes"] = peak_bytes()

    def export(self, names: Sequence[str], draws: np.ndarray) -> None:
        """Keep the draws ``(chains, draws, variables)`` of population and hyper parameters."""
        import numpy as np

        kept = [i for i, name in enumerate(names) if not _LEFT_OUT.match(name)]
        path = Path(self.job.folder) / "draws.f64"
        np.ascontiguousarray(np.moveaxis(draws[:, :, kept], 2, 0), "<f8").tofile(path)
        self.told["draws"] = {"file": str(path), "variables": [names[i] for i in kept], "shape": [*draws.shape[:2], len(kept)]}

    def finish(self, packages: Sequence[str]) -> None:
        """Print the line."""
        self.told["versions"] = {"python": sys.version.split()[0], **{name: metadata.version(name) for name in packages}}
        print(json.dumps(self.told), flush=True)


def peak_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux from ``VmHWM``: ``ru_maxrss`` of a child starts at what its parent had.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage if sys.platform == "darwin" else usage * 1024
