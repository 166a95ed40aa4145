"""Fits that are kept on disk while they run: a folder with what was asked for and the chains."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from brim.arguments import place, whole
from brim.disk import check_place, lock, write_whole
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.fit.run import coordinates, sample
from brim.fit.running import Running
from brim.infer.nuts.checkpoint import Checkpoint
from brim.infer.nuts.sampling import fresh_seed
from brim.post.files.io import differences, read, save

__all__ = ["kept", "sample_kept"]

_ASKED, _RUN = "request.nc", "run.json"


def kept(path: str | os.PathLike[str], iterations: int | None, family: Any) -> tuple[FitRecord, Path, Any]:
    """What was asked for in a folder (with more iterations), the folder, and where the chains began."""
    folder = place("path", path)
    if not (folder / _ASKED).is_file():
        raise BrimError(f"there is no checkpoint in '{folder}'", hint="brm(..., checkpoint=folder) makes one")
    record = read(folder / _ASKED, family)
    if iterations is not None:
        wanted = whole("iter", iterations, least=record.settings.iter)
        record = replace(record, request=replace(record.request, settings=replace(record.settings, iter=wanted)))
    return record, folder, _told(folder)["init"]


def sample_kept(record: FitRecord, folder: Path, how: Running) -> FitRecord:
    """Sample a built model, or go on sampling it, with its chains in a folder."""
    init = how.init
    if how.executor is not None:
        raise BrimError("executor and checkpoint: chains are kept where they run in this process", hint="leave one of them out")
    if init is not None and (isinstance(init, bool) or not isinstance(init, int | float)):
        raise BrimError(
            "checkpoint: chains that start from an approximation or a fit are not kept", hint="leave init out, or give a number"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrimError(f"cannot keep chains in '{folder}': {error.strerror or error}", hint="name another folder") from error
    check_place(folder / "lock")
    with lock(folder / "lock") as free:
        if not free:
            raise BrimError(f"another process is at work on the checkpoint in '{folder}'", hint="wait for it, or name another folder")
        if record.frame.whole is not None:
            coordinates(record)  # what is asked of all rows is saved with the request: these may be out of reach later
        record = _begun(record, folder, init)
        return sample(record, replace(how, checkpoint=Checkpoint(folder)))


def _begun(record: FitRecord, folder: Path, init: Any) -> FitRecord:
    """The record with the seed of what is in the folder, which must be the same model; else the folder begins with it."""
    asked = folder / _ASKED
    if asked.is_file():
        custom = next((r.family for r in record.model.responses), None)
        there = read(asked, custom)
        free = {"iter"} | ({"seed"} if record.settings.seed is None else set())
        other = [part for part in differences(there, record) if part not in free]
        if other or _told(folder)["init"] != init:
            raise BrimError(
                f"the folder '{folder}' holds the chains of another fit (other: {', '.join(other or ['init'])})",
                hint="name another folder, or remove that one",
            )
        seed, iterations = there.settings.seed, max(there.settings.iter, record.settings.iter)
    else:
        seed, iterations = record.settings.seed, record.settings.iter
        seed = fresh_seed() if seed is None else seed
    settings = replace(record.settings, seed=seed, iter=iterations)
    record = replace(record, request=replace(record.request, settings=settings))
    try:
        write_whole(folder / _RUN, json.dumps({"init": init}).encode())
    except OSError as error:
        raise BrimError(f"cannot keep chains in '{folder}': {error.strerror or error}", hint="name another folder") from error
    save(record, asked)
    return record


def _told(folder: Path) -> dict[str, Any]:
    """What the request does not hold."""
    try:
        found: dict[str, Any] = json.loads((folder / _RUN).read_bytes())
        return {"init": found["init"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrimError(f"the checkpoint in '{folder}' is damaged: {error}", hint="begin anew in another folder") from error
