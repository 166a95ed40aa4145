"""Who takes part: how each peer is found on this machine and started. A peer that is not there is reported, never an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.models import Model

__all__ = ["PEERS", "ROOT", "Found", "Peer", "Tools", "environment", "find"]

ROOT = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Tools:
    """Programs that start peers: brim's Python, the Python of Bambi, and Rscript (``None``: not there)."""

    python: str
    peer_python: str | None
    rscript: str | None

    @staticmethod
    def read(peer_python: str | None, rscript: str | None) -> Tools:
        """From the command line, else from ``BRIM_BENCH_PEER_PYTHON`` and ``BRIM_BENCH_RSCRIPT``, else brim's own Python and the PATH."""
        python = peer_python or os.environ.get("BRIM_BENCH_PEER_PYTHON") or sys.executable
        r = rscript or os.environ.get("BRIM_BENCH_RSCRIPT") or "Rscript"
        return Tools(sys.executable, shutil.which(python), shutil.which(r))


@dataclass(frozen=True)
class Peer:
    """One way to fit a model.

    Attributes
    ----------
    name, title
        What ``--peers`` calls it, and the table.
    script
        The file of this folder that fits.
    program
        Field of ``Tools`` that runs it.
    packages
        What must be installed there.
    notation
        Formula and family of a model, ``None`` where the peer cannot express it.
    caches
        Environment variables that name its folders of compiled programs, ``{}`` standing for the folder; fits are then timed with the
        folder empty (cold) and after that (warm).
    samples
        Whether it draws from the posterior; else only time is compared.
    unsupported
        Why it is always reported as absent.
    """

    name: str
    title: str
    script: str
    program: str
    packages: tuple[str, ...]
    notation: Callable[[Model], tuple[str, str] | None]
    caches: Mapping[str, str] = field(default_factory=dict)
    samples: bool = True
    unsupported: str | None = None

    def command(self, tools: Tools, job: Path) -> list[str]:
        """The command of the child process."""
        program = getattr(tools, self.program)
        if self.script.endswith(".R"):
            return [program, str(_HERE / self.script), str(job)]
        return [program, "-m", f"benchmarks.peers.{Path(self.script).stem}", str(job)]


def _brms(model: Model) -> tuple[str, str] | None:
    return model.formula, model.family


def _by_hand(model: Model) -> tuple[str, str] | None:
    return (model.formula, model.family) if model.by_hand else None


_ALL = (
    Peer("brim", "brim", "fit_brim.py", "python", ("brim",), _brms, {"BRIM_CACHE_DIR": "{}"}),
    Peer(
        "bambi",
        "Bambi + nutpie",
        "fit_bambi.py",
        "peer_python",
        ("bambi", "nutpie"),
        lambda model: model.bambi,
        {"PYTENSOR_FLAGS": "base_compiledir={}", "NUMBA_CACHE_DIR": "{}"},
    ),
    Peer("brms", "brms (rstan)", "fit_brms.R", "rscript", ("brms", "rstan", "jsonlite"), _brms),
    Peer("numpyro", "NumPyro by hand", "fit_numpyro.py", "python", ("numpyro",), _by_hand),
    Peer("blackjax", "BlackJAX on brim's density", "fit_blackjax.py", "python", ("blackjax", "brim"), _brms),
    Peer("lme4", "lme4", "fit_lme4.R", "rscript", ("lme4", "jsonlite"), lambda model: model.lme4, samples=False),
    Peer(
        "pyinla",
        "pyinla",
        "",
        "peer_python",
        ("pyinla",),
        lambda _: None,
        samples=False,
        unsupported="the package comes without its engine, a download under a licence of its own; nothing here runs it",
    ),
)

PEERS = {peer.name: peer for peer in _ALL}


@dataclass(frozen=True)
class Found:
    """Whether a peer is there (``absent`` says why not), its versions, and whether its Python packages are byte-compiled."""

    peer: Peer
    absent: str | None
    versions: Mapping[str, str]
    byte_compiled: bool = True


def find(peer: Peer, tools: Tools) -> Found:
    """Look for a peer's program and packages."""
    program = getattr(tools, peer.program)
    if peer.unsupported is not None:
        return Found(peer, peer.unsupported, {})
    if program is None:
        return Found(peer, f"no {'Rscript' if peer.program == 'rscript' else 'Python'} found", {})
    told = _ask_r(program, peer.packages) if peer.program == "rscript" else _ask_python(program, peer.packages)
    if told is None:
        return Found(peer, f"{Path(program).name} does not run", {})
    versions: dict[str, str | None] = told["versions"]
    missing = [name for name, version in versions.items() if version is None]
    there = {name: version for name, version in versions.items() if version is not None}
    absent = f"not installed: {', '.join(missing)}" if missing else None
    return Found(peer, absent, there, bool(told.get("byte_compiled", True)))


def environment(caches: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The child's environment: this one's with the caches in ``folder``, byte code written, and this package importable."""
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "JAX_COMPILATION_CACHE_DIR")}
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {**kept, "PYTHONPATH": path, **{name: value.format(folder) for name, value in caches.items()}}


def _ask_python(program: str, packages: tuple[str, ...]) -> dict | None:
    return _ask([program, "-m", "benchmarks.peers.probe", *packages])


def _ask_r(program: str, packages: tuple[str, ...]) -> dict | None:
    names = ", ".join(f'"{p}"' for p in packages)
    version = 'tryCatch(sprintf("\\"%s\\"", packageVersion(p)), error = function(e) "null")'
    lines = f'sapply(c({names}), function(p) sprintf("\\"%s\\": %s", p, {version}))'
    return _ask([program, "-e", f"cat(sprintf('{{\"versions\": {{%s}}}}', paste({lines}, collapse = ', ')), '\\n')"])


def _ask(command: list[str]) -> dict | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment({}, Path()), check=True)
        answer: dict = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return answer
