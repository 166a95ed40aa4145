"""Fits in fresh processes, in turn: brim, peer, brim, peer, ... so that each peer is compared with the brim fit just before it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import sources
from benchmarks.models import Model
from benchmarks.peers import PEERS, ROOT, Peer, Tools, environment
from benchmarks.peers.job import Job

__all__ = ["Options", "Plan", "Run", "Step", "fit", "rounds", "run", "skipped"]

Run = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How fits are made.

    ``chains``, ``draws``, ``warmup``, ``cores`` are those of every sampler; ``repeat`` rounds are made of each model, the first with
    ``seed``; a fit is given up after ``timeout`` seconds; ``slow`` takes in pairs that need very long; ``files`` replace data files.
    """

    chains: int = 4
    draws: int = 1000
    warmup: int = 1000
    cores: int = 1
    seed: int = 1
    repeat: int = 3
    timeout: float = 7200.0
    slow: bool = False
    files: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Step:
    """One fit of a round: ``cache`` is ``cold``, ``warm``, or ``none`` for peers that keep no compiled programs."""

    peer: Peer
    cache: str


def skipped(model: Model, peer: Peer, slow: bool) -> str | None:
    """Why a peer is not run on a model; ``None`` when it is."""
    if peer.notation(model) is None:
        return "has no such model" if peer.name != "numpyro" else "not written by hand"
    if peer.name in model.slow and not slow:
        return "takes very long: --slow runs it"
    return None


def rounds(peers: Iterable[Peer], first: bool) -> Iterator[Step]:
    """The fits of a round: brim with an empty cache, then brim and a peer in turn.

    Peers that keep compiled programs run with an empty cache in the ``first`` round.
    """
    brim = PEERS["brim"]
    yield Step(brim, "cold")
    others = [peer for peer in peers if peer is not brim]
    for peer in others:
        if first and peer.caches:
            yield Step(peer, "cold")
        yield Step(brim, "warm")
        yield Step(peer, "warm" if peer.caches else "none")
    if not others:
        yield Step(brim, "warm")


@dataclass(frozen=True)
class Plan:
    """What ``run`` needs besides models and peers.

    ``work`` is a folder for data, caches and draws; ``made`` has the number of rounds of a model that exist already and are not made
    again; ``keep`` is called with each fit as soon as it is measured.
    """

    options: Options
    tools: Tools
    work: Path
    made: Mapping[str, int]
    keep: Callable[[Run], None]


def run(models: Iterable[Model], peers: Iterable[Peer], plan: Plan) -> None:
    """Make all rounds of the models with the peers, which must be present."""
    chosen, options = list(peers), plan.options
    for model in models:
        data = sources.write(model.source, plan.work / "data", options.files or {})
        taking_part = [peer for peer in chosen if skipped(model, peer, options.slow) is None]
        made = plan.made.get(model.name, 0)
        for number in range(made, options.repeat):
            _round(model, data, list(rounds(taking_part, number == made)), plan, number)


def _round(model: Model, data: dict[str, Any], steps: list[Step], plan: Plan, number: int) -> None:
    options = replace(plan.options, seed=plan.options.seed + number)
    for order, step in enumerate(steps):
        caches = plan.work / "caches" / f"{model.name}_{step.peer.name}"
        if step.cache == "cold":
            shutil.rmtree(caches, ignore_errors=True)
        caches.mkdir(parents=True, exist_ok=True)
        told = fit(model, step.peer, data, options, plan.tools, plan.work / "fit", caches)
        last = order == len(steps) - 1
        where = {"model": model.name, "peer": step.peer.name, "cache": step.cache, "round": number, "order": order, "last": last}
        plan.keep({**where, "seed": options.seed, **told})


def fit(model: Model, peer: Peer, data: dict[str, Any], options: Options, tools: Tools, folder: Path, caches: Path) -> Run:
    """One fit in a fresh process: what it tells, with ``seconds`` from its start to the printed summary, and what its draws are worth."""
    notation = peer.notation(model)
    assert notation is not None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    formula, family = notation
    numbers = {name: getattr(options, name) for name in ("chains", "draws", "warmup", "cores", "seed")}
    job = Job(model=model.name, formula=formula, family=family, data=data, folder=str(folder), **numbers)
    path = folder / "job.json"
    path.write_text(json.dumps(asdict(job)))
    started = time.time()
    error = _child(peer.command(tools, path), environment(peer.caches, caches), folder, options.timeout)
    wall = time.time() - started
    if error is not None:
        return {"ok": False, "error": error, "wall_seconds": wall}
    told = json.loads((folder / "stdout").read_text().rstrip().splitlines()[-1])
    told |= {"ok": True, "seconds": told.pop("summary_at") - started, "wall_seconds": wall}
    return told | _worth(told.pop("draws", None), told)


def _worth(draws: dict[str, Any] | None, told: Run) -> Run:
    """Effective sample sizes of exported draws; imported here, since it needs NumPy and SciPy."""
    if draws is None:
        return {}
    from benchmarks.measures import measure, read_draws

    worth = measure(read_draws(Path(draws["file"]), draws["shape"]), draws["variables"])
    Path(draws["file"]).unlink()
    if "min_ess" in worth and told.get("sampling_seconds"):
        worth["ess_per_second"] = worth["min_ess"] / told["sampling_seconds"]
    return worth


def _child(command: list[str], env: dict[str, str], folder: Path, timeout: float) -> str | None:
    """Run to the end; what went wrong, or ``None``. The child leads a process group, so that its workers end with it."""
    with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=env, cwd=ROOT, start_new_session=True)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return f"given up after {timeout:.0f} s"
        except BaseException:
            _end(process)
            raise
    if code == 0:
        return None
    lines = [line for line in (folder / "stderr").read_text(errors="replace").splitlines() if line.strip()]
    return f"exit {code}: {' | '.join(lines[-3:])[-500:]}"


def _end(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
