"""The arguments of ``brm`` that a shell can give besides the common ones: one row each."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, final

import click

from brim.cli.reading import Reading
from brim.errors import BrimError

__all__ = ["ELSEWHERE", "SETTINGS", "brm_options", "given"]

F = TypeVar("F", bound=Callable[..., Any])

#: Arguments of ``brm`` that ``brim fit`` has options of its own for, and those that belong to a program: what it makes is a file.
ELSEWHERE = {
    **dict.fromkeys(("formula", "data", "data_name", "family", "prior", "chains", "iter", "warmup", "cores", "seed"), "brim fit"),
    **dict.fromkeys(("progress", "checkpoint", "stop_when"), "brim fit"),
    **dict.fromkeys(("file", "file_refit"), "--out"),
    **dict.fromkeys(("empty", "executor"), "objects of Python"),
}


def _constant(text: str) -> Any:
    """A number, ``true``, ``false``, or the text."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return found if isinstance(found, int | float) else text


def _pairs(option: str, texts: tuple[str, ...], example: str) -> dict[str, str]:
    """``NAME=VALUE`` of each."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise BrimError(f"{option} {text!r} is not NAME=VALUE", hint=f"write {option} {example}")
        found[name.strip()] = value.strip()
    return found


def _knots(texts: tuple[str, ...]) -> dict[str, Any]:
    read = _pairs("--knots", texts, "x=0,0.5,1")
    return {name: [_constant(part.strip()) for part in value.split(",")] for name, value in read.items()}


def _matrices(texts: tuple[str, ...]) -> dict[str, Any]:
    """Tables of numbers; a first column of text names the rows."""
    found: dict[str, Any] = {}
    for name, path in _pairs("--data2", texts, "A=relatives.csv").items():
        table = Reading(None, None, None, None).table(path)
        words = [c for c in table.columns if table[c].dtype.kind not in "biuf"]
        found[name] = table.set_index(words[0]) if words == list(table.columns[:1]) else table
    return found


def _control(texts: tuple[str, ...]) -> dict[str, Any]:
    return {name: _constant(value) for name, value in _pairs("--control", texts, "metric=dense").items()}


def _init(text: str) -> Any:
    """A number, a word, or values of parameters, ``b_x=0.5,sigma=1``."""
    if "=" not in text:
        return _constant(text)
    return {name: _constant(value) for name, value in _pairs("--init", tuple(text.split(",")), "b_x=0.5,sigma=1").items()}


def _kept(text: str) -> Any:
    words = [word for word in re.split(r"[,\s]+", text) if word]
    return words[0] if words in (["all"], ["parameters"]) else words


@final
@dataclass(frozen=True)
class Setting:
    """How an argument is given: what the help calls its value and says of it, and from text to a value of Python."""

    metavar: str
    help: str
    read: Callable[[Any], Any] = _constant
    multiple: bool = False
    flag: bool = False


SETTINGS: Mapping[str, Setting] = {
    "data2": Setting("NAME=FILE", "A matrix that the formula names: gr(g, cov = A). May be repeated.", _matrices, multiple=True),
    "knots": Setting("X=V,V,...", "Knots of smooths of a covariate. May be repeated.", _knots, multiple=True),
    "sample_prior": Setting("no|yes|only", "Draw from the priors as well, or from them alone.", str),
    "thin": Setting("N", "Keep every N-th draw."),
    "control": Setting("NAME=VALUE", "A setting of the sampler: metric=dense. May be repeated.", _control, multiple=True),
    "init": Setting("START", "Where chains start: random, a number, pathfinder, ..., or b_x=0.5,sigma=1.", _init),
    "algorithm": Setting("NAME", "sampling, map, laplace, nested_laplace, pathfinder, ...", str),
    "marginalize": Setting("auto|true|false", "Whether group effects and curves are integrated out."),
    "drop_unused_levels": Setting("", "Keep levels of factors that no row has.", lambda keep: not keep, flag=True),
    "keep": Setting("WHAT", "Of which long vectors draws are kept: all, parameters, or names (r_g,...).", _kept),
    "device": Setting("cpu|gpu", "Run all chains there as one program.", str),
    "devices": Setting("N|all", "Divide the rows among so many devices."),
}


def _flagged(name: str) -> str:
    return f"--{'keep-unused-levels' if name == 'drop_unused_levels' else name.replace('_', '-')}"


def brm_options(function: F) -> F:
    """Options of the table, as arguments of a command under their names in ``brm``."""
    for name, row in reversed(list(SETTINGS.items())):
        more: dict[str, Any] = {"is_flag": True} if row.flag else {"metavar": row.metavar, "multiple": row.multiple}
        function = click.option(_flagged(name), name, help=row.help, **more)(function)
    return function


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given of the table, as arguments of ``brm``."""
    return {name: row.read(options[name]) for name, row in SETTINGS.items() if options[name] not in (None, (), False)}
