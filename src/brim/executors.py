"""Calls that run elsewhere, in threads, processes or a cluster: one protocol, results in order."""

from __future__ import annotations

import os
import pickle
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, final

from brim.errors import BrimError, BrimWarning, warn

__all__ = ["Executor", "WorkerError", "check_executor", "ordered", "shares"]

_HERE = uuid.uuid4().hex  # this process, but for its forks


class Executor(Protocol):
    """What ``executor=`` takes: ``concurrent.futures`` executors and Dask's ``Client`` are such; Ray is given as the module ``ray``."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        """Begin ``function(*args)`` somewhere: an object whose ``result()`` waits for what comes back, or raises."""


@final
class WorkerError(BrimError):
    """Some of the calls that an executor ran did not come back with a result; the error of the first is the cause.

    Attributes
    ----------
    finished
        What the others gave: number of the call (from 0) -> its result. For the chains of ``brm``, the fit of those that ended.
    """

    def __init__(self, what: str, *, hint: str | None = None, finished: Any = None) -> None:
        super().__init__(what, hint=hint)
        self.finished: Any = finished


def check_executor(executor: Any) -> None:
    """Raise an error for what is no executor."""
    if executor is not None:
        _submitter(executor)


def ordered(executor: Any, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], what: str) -> list[Any]:
    """``[function(*call) for call in calls]``, by an executor unless it is ``None``.

    Warnings that brim raises there are raised here.

    Parameters
    ----------
    executor
        See ``Executor``.
    function
        What each worker runs: the same code as without an executor, so that results do not depend on it.
    calls
        Its arguments, call by call.
    what
        What a call is in a message: ``"fold"``.

    Raises
    ------
    WorkerError
        When calls failed or their workers died: after all others have come back.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     ordered(pool, pow, [(2, 3), (3, 2)], "power")
    [8, 9]
    """
    if executor is None:
        return [function(*call) for call in calls]
    submit, run = _submitter(executor), uuid.uuid4().hex
    finished: dict[int, Any] = {}
    failed: dict[int, BaseException] = {}
    pending: list[Any] = []
    try:
        for number, call in enumerate(calls):
            # the key keeps an executor from taking two calls with equal arguments for one
            pending.append(_begun(submit, (run, number), _HERE, os.getpid(), *_packed(function, call)))
        for number, future in enumerate(pending):
            _collect(number, future, finished, failed)
    except BaseException:
        for future in pending:
            getattr(future, "cancel", lambda: None)()
        raise
    if failed:
        raise _failure(what, failed, finished, len(pending)) from next(iter(failed.values()))
    return [finished[number] for number in range(len(pending))]


def shares(n: int, executor: Any) -> list[range]:
    """``n`` short pieces of work as calls: one call a piece without an executor, else few enough that sending them costs little."""
    size = 1 if executor is None else max(1, n // 32)
    return [range(at, min(at + size, n)) for at in range(0, n, size)]


# --------------------------------------------------------------------------- here


def _submitter(executor: Any) -> Callable[..., Any]:
    """How an executor is asked for a call."""
    if callable(getattr(executor, "submit", None)) and not isinstance(executor, type):
        return executor.submit
    if callable(getattr(executor, "remote", None)) and callable(getattr(executor, "get", None)):
        return _Remote(executor).submit
    raise BrimError(
        f"executor = {type(executor).__name__}: it has no submit()",
        hint="give an executor of concurrent.futures, Dask's Client, or the module ray; None runs everything here",
    )


@final
@dataclass(frozen=True)
class _Remote:
    """Ray's ``remote`` and ``get`` as ``submit`` and ``result``."""

    ray: Any

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Any:
        return _RemoteFuture(self.ray, self.ray.remote(function).remote(*args))


@final
@dataclass(frozen=True)
class _RemoteFuture:
    ray: Any
    reference: Any

    def result(self) -> Any:
        return self.ray.get(self.reference)

    def cancel(self) -> None:
        self.ray.cancel(self.reference)


@final
@dataclass(frozen=True)
class _Refused:
    """A call that an executor did not take."""

    error: Exception

    def result(self) -> Any:
        raise self.error


def _begun(submit: Callable[..., Any], *args: Any) -> Any:
    try:
        return submit(_work, *args)
    except Exception as error:  # a pool that is shut down or broken
        return _Refused(error)


def _packed(function: Callable[..., Any], call: tuple[Any, ...]) -> tuple[bytes | None, Any]:
    """The call as bytes; what ``pickle`` cannot write is left to the executor, whose own way may write more (functions without a name)."""
    try:
        return pickle.dumps((function, call)), None
    except Exception:
        return None, (function, call)


def _collect(number: int, future: Any, finished: dict[int, Any], failed: dict[int, BaseException]) -> None:
    try:
        answer: Answer = future.result()
    except Exception as error:  # the worker died, or nothing could be sent to it or back
        failed[number] = error
        return
    for text in answer.warnings:
        warn(text)
    if answer.error is None:
        finished[number] = answer.value
    else:
        failed[number] = answer.error


def _failure(what: str, failed: dict[int, BaseException], finished: dict[int, Any], n: int) -> WorkerError:
    number, error = next(iter(failed.items()))
    others = f"; the other {len(finished)} are in the error's .finished" if finished else ""
    which = f"{what} {number + 1} of {n}" if n > 1 else what
    if isinstance(error, BrimError):
        return WorkerError(f"{which}: {error.what}{others}", hint=error.hint, finished=finished)
    said = str(error).strip().split("\n")[0]
    if hasattr(error, "__notes__"):  # it was raised there
        how, hint = "failed in a worker", "that error is the cause of this one, with the worker's traceback as a note"
    else:
        how, hint = "did not come back", "its worker died, or it could not be sent: functions must be those of a module that is there too"
    return WorkerError(f"{which} {how}: {type(error).__name__}: {said}{others}", hint=hint, finished=finished)


# --------------------------------------------------------------------------- there


@final
@dataclass(frozen=True)
class Answer:
    """What comes back from a worker."""

    value: Any = None
    error: Exception | None = None
    warnings: tuple[str, ...] = ()


def _work(key: tuple[str, int], home: str, process: int, packed: bytes | None, call: Any) -> Answer:
    """A call in a worker. Warnings travel with the answer, unless the worker is a thread of the process that asked."""
    if (home, process) == (_HERE, os.getpid()):
        return _answer(packed, call)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BrimWarning)
        answer = _answer(packed, call)
    texts = tuple(str(w.message) for w in caught if issubclass(w.category, BrimWarning))
    return Answer(answer.value, answer.error, texts)


def _answer(packed: bytes | None, call: Any) -> Answer:
    try:
        function, args = call if packed is None else pickle.loads(packed)
        return Answer(function(*args))
    except Exception as error:
        return Answer(error=_portable(error))


def _portable(error: Exception) -> Exception:
    """An error that can be sent, with its traceback as a note."""
    note = "In the worker:\n" + "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(note)
    return error
