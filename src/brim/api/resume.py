"""``resume``: go on with a fit whose chains are in a folder."""

from __future__ import annotations

import os
from typing import Any

from brim.api.checkpoints import kept, sample_kept
from brim.api.fit import Fit
from brim.arguments import flag, named, whole
from brim.fit.running import Running
from brim.infer.nuts.stopping import StopWhen

__all__ = ["resume"]


@named
def resume(
    path: str | os.PathLike[str],
    *,
    iter: int | None = None,
    cores: int | None = None,
    progress: bool = True,
    stop_when: StopWhen | None = None,
    family: Any = None,
) -> Fit:
    """Continue a fit that ``brm(checkpoint=path)`` began: to the draws, bit for bit, that it would have given uninterrupted.

    Parameters
    ----------
    path
        The folder.
    iter
        More iterations than were asked for, warm-up included; warm-up stays as it was.
    cores, progress, stop_when
        As in ``brm``.
    family
        The family, if it was made by ``custom_family()``.

    Raises
    ------
    BrimError
        There is no checkpoint, it is damaged, another process works on it, or this machine computes otherwise than the one that began.

    Examples
    --------
    >>> import brim, tempfile
    >>> data = brim.load_data("sleepstudy")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = brim.brm("Reaction ~ Days", data, chains=1, iter=200, seed=1, progress=False, checkpoint=folder)
    ...     brim.resume(folder, iter=300, progress=False).draws.draws
    200
    """
    cores, progress = None if cores is None else whole("cores", cores, least=1), flag("progress", progress)
    record, folder, init = kept(path, iter, family)
    return Fit.of(sample_kept(record, folder, Running(cores, init, progress, stop_when)))
