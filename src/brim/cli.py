"""The command line: ``brim fit``, ``brim summary``, ``brim demo``, ``brim data``.

Whatever is slow to import (JAX, pandas, matplotlib) is imported inside the command that needs it.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

import brim
from brim.errors import BrimError, BrimWarning, printable, suggest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cli", "main"]

_PNG = b"\x89PNG"
_PRIOR_KEYS = ("class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub")


class _Refused(click.ClickException):
    """What is wrong with the input, told without a traceback."""

    exit_code = 2


class _Brim(click.Group):
    """Shows brim's own errors and warnings as messages; any other exception is a defect and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except BrimError as error:
            raise _Refused(str(error)) from error


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: str | None = None
) -> None:
    """The text of brim's own warnings; for others also where they come from."""
    text = (
        f"Warning: {message}\n" if issubclass(category, BrimWarning) else warnings.formatwarning(message, category, filename, lineno, line)
    )
    click.echo(text, err=True, nl=False)


@click.group(cls=_Brim, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(brim.__version__, package_name="brim", message="brim %(version)s")
def cli() -> None:
    """Bayesian multilevel regression models from brms and lme4 formulas."""


@cli.command()
@click.argument("formulas", nargs=-1, required=True, metavar="FORMULA...")
@click.option(
    "--data",
    "source",
    required=True,
    metavar="FILE|NAME",
    help="A csv, tsv, json, parquet or feather file, a bundled data set, or - for csv from standard input.",
)
@click.option("--family", default="gaussian", show_default=True, help='The response\'s family: student, "bernoulli(probit)", ...')
@click.option("--prior", "priors", multiple=True, metavar="PRIOR", help='"normal(0, 1), class=b, coef=x"; may be repeated.')
@click.option("--chains", default=4, show_default=True, type=click.IntRange(min=1), help="Number of chains.")
@click.option(
    "--iter", "iterations", default=2000, show_default=True, type=click.IntRange(min=1), help="Iterations a chain, warm-up included."
)
@click.option("--warmup", type=click.IntRange(min=0), help="Warm-up iterations.  [default: half of them]")
@click.option("--cores", type=click.IntRange(min=1), help="Chains that run at a time.  [default: all]")
@click.option("--seed", type=int, help="The same seed gives the same draws.")
@click.option("--adapt-delta", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Target acceptance rate.")
@click.option("--max-treedepth", type=click.IntRange(min=1), help="Longest trajectory, as a power of two.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the fit to this netCDF file.")
@click.option("--plots", type=click.Path(path_type=Path), help="Write conditional effects and pp_check into this folder as PNG.")
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Keep the chains in this folder while they run; see brim resume.")
@click.option("--stop-ess", type=float, help="Stop when every parameter has this effective sample size.")
@click.option("--stop-rhat", type=float, help="Stop when no parameter has a larger R-hat.")
@click.option("--stop-seconds", type=float, help="Stop after so many seconds.")
@click.option("--quiet", is_flag=True, help="No progress, no prior table; the summary alone.")
def fit(
    formulas: tuple[str, ...],
    source: str,
    family: str,
    priors: tuple[str, ...],
    chains: int,
    iterations: int,
    warmup: int | None,
    cores: int | None,
    seed: int | None,
    adapt_delta: float | None,
    max_treedepth: int | None,
    out: Path | None,
    plots: Path | None,
    checkpoint: Path | None,
    stop_ess: float | None,
    stop_rhat: float | None,
    stop_seconds: float | None,
    quiet: bool,
) -> None:
    """Fit a model and print its summary.

    FORMULA is the model of the response, then one for each further parameter it predicts:

        brim fit "gpa ~ occasion + (1 + occasion | student)" "sigma ~ occasion" --data gpa
    """
    _check_places(out, plots)
    table = _read(source)
    given = {"adapt_delta": adapt_delta, "max_treedepth": max_treedepth}
    result = brim.brm(
        brim.bf(*formulas),
        data=table,
        family=_family(family),
        prior=[_prior(text) for text in priors] or None,
        chains=chains,
        iter=iterations,
        warmup=warmup,
        cores=cores,
        seed=seed,
        control={name: value for name, value in given.items() if value is not None},
        progress=not quiet,
        **_ending(checkpoint, stop_ess, stop_rhat, stop_seconds),
        data_name="stdin" if source == "-" else Path(source).name,
    )
    _report(result, out, plots, quiet)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--iter", "iterations", type=click.IntRange(min=1), help="More iterations than were asked for, warm-up included.")
@click.option("--cores", type=click.IntRange(min=1), help="Chains that run at a time.  [default: all]")
@click.option("--out", type=click.Path(path_type=Path), help="Write the fit to this netCDF file.")
@click.option("--quiet", is_flag=True, help="No progress, no prior table; the summary alone.")
def resume(folder: Path, iterations: int | None, cores: int | None, out: Path | None, quiet: bool) -> None:
    """Continue a fit that was begun with --checkpoint, to the draws that it would have given uninterrupted."""
    _check_places(out, None)
    _report(brim.resume(folder, iter=iterations, cores=cores, progress=not quiet), out, None, quiet)


@cli.command()
@click.argument("path", metavar="FIT", type=click.Path(path_type=Path))
def summary(path: Path) -> None:
    """Print the summary of a fit saved with --out."""
    click.echo(brim.load(path).summary())


@cli.command()
@click.argument("path", metavar="FIT", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page to write.  [default: FIT with .html]")
def report(path: Path, out: Path | None) -> None:
    """Write a page about a fit saved with --out: diagnostics, estimates, effects, checks, the model."""
    click.echo(f"wrote {brim.load(path).report(out or path.with_suffix('.html'))}", err=True)


@cli.command()
@click.option("--out", "folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="The folder to write to.")
def demo(folder: Path) -> None:
    """Fit students' grades over six semesters; print priors and summary, write plots and the fit."""
    out = folder / "fit.nc"
    _check_places(None, folder)
    result = brim.brm(
        "gpa ~ occasion + (1 + occasion | student)",
        data=brim.load_data("gpa"),
        prior=brim.prior("normal(0, 1)", class_="b"),
        seed=1,
        data_name="gpa",
    )
    folder.mkdir(exist_ok=True)
    _report(result, out, folder, quiet=False)


@cli.command()
def data() -> None:
    """List the bundled data sets."""
    click.echo(brim.data.table())


def main() -> NoReturn:
    """Run the command line."""
    cli()
    raise AssertionError("click leaves by itself")


def _report(result: Any, out: Path | None, plots: Path | None, quiet: bool) -> None:
    """Write the files, then print what was fitted: whoever reads the output may stop reading, and what cannot be written is still shown."""
    failed, written = None, []
    try:
        if out is not None:
            result.save(out)
            written.append(out)
        if plots is not None:
            written += _draw(result, plots)
    except BrimError as error:
        failed = error
    for path in written:
        click.echo(f"wrote {path}", err=True)
    if not quiet:
        click.echo(printable(str(result.prior_summary())))
        click.echo()
    click.echo(result.summary())
    if failed is not None:
        raise failed


def _ending(checkpoint: Path | None, ess: float | None, rhat: float | None, seconds: float | None) -> dict[str, Any]:
    """What of this is given, as arguments of ``brm``."""
    asked = {} if checkpoint is None else {"checkpoint": checkpoint}
    if (ess, rhat, seconds) == (None, None, None):
        return asked
    return {**asked, "stop_when": brim.stop_when(ess=ess, rhat=rhat, seconds=seconds)}


def _draw(result: Any, folder: Path) -> list[Path]:
    """The conditional effect of every predictor and the posterior predictive check, as PNG."""
    check = folder / "pp_check.png"
    try:
        effects = result.conditional_effects().save(folder)
        result.pp_check().savefig(check)
    except OSError as error:
        raise BrimError(f"cannot write the plots into '{folder}': {error.strerror or error}", hint="name another folder") from error
    return [*effects, check]


def _check_places(out: Path | None, plots: Path | None) -> None:
    """Find out before sampling whether the results can be written after it."""
    if plots is not None and plots.exists() and not plots.is_dir():
        raise BrimError(f"{str(plots)!r} is a file", hint="--plots names a folder")
    if None not in (out, plots) and os.path.realpath(str(out)) == os.path.realpath(str(plots)):
        raise BrimError(f"--out and --plots both name {str(out)!r}", hint="--out names a file, --plots a folder")
    for path in _pictures(plots) if plots is not None else ():
        if not path.is_file() or not path.read_bytes()[:8].startswith((_PNG, b"")[path.stat().st_size == 0]):
            raise BrimError(f"{str(path)!r} is there and no picture: it is not replaced", hint="name another folder with --plots")
    for path in (p for p in (out, plots) if p is not None):
        folder = path if path.is_dir() else path.parent
        if not folder.is_dir():
            raise BrimError(f"there is no folder {str(folder)!r} to write {path.name!r} into", hint="make it first, or name another")
        if not os.access(folder, os.W_OK):
            raise BrimError(f"cannot write into the folder {str(folder)!r}", hint="name another")
    if out is not None:
        from brim.post.files.io import check_target

        check_target(out, "--out")


def _pictures(folder: Path) -> list[Path]:
    """What stands in a folder under the names that plots will have."""
    return [*folder.glob("conditional_effects_*.png"), *folder.glob("pp_check.png")]


def _read(source: str) -> pd.DataFrame:
    """A data file, or else a bundled data set."""
    path = Path(source)
    if source == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        return _read_pipe(source)
    if not path.exists() and source in brim.data.names():
        return brim.load_data(source)
    import pandas as pd

    # with missing values, whole numbers would be floats else, which round ids of 17 digits
    readers: dict[str, Callable[..., Any]] = {
        ".csv": lambda file: pd.read_csv(file, dtype_backend="numpy_nullable"),
        ".tsv": lambda file: pd.read_csv(file, sep="\t", dtype_backend="numpy_nullable"),
        ".json": pd.read_json,
        ".parquet": pd.read_parquet,
        ".feather": pd.read_feather,
    }
    kinds = [suffix for suffix in path.suffixes if suffix.lower() in readers]
    if not path.is_file():
        files = [str(p) for p in path.parent.glob("*") if p.suffix in {*readers, ".gz"}]
        raise BrimError(f"there is no file and no data set {source!r}", hint=suggest(source, [*files, *brim.data.names()], "data sets"))
    if not kinds:
        raise BrimError(f"cannot tell what kind of file {source!r} is", hint="its name should end in " + ", ".join(readers))
    try:
        return readers[kinds[-1].lower()](path)
    except ImportError as error:
        raise BrimError(f"reading {source!r} needs pyarrow", hint="pip install pyarrow") from error
    except (ValueError, OSError) as error:
        raise BrimError(f"cannot read {source!r}: {error}", hint=f"is it a whole {kinds[-1]} file?") from error


def _read_pipe(source: str) -> pd.DataFrame:
    """A csv (or tab separated) table from standard input (``-``), a pipe or a device."""
    import pandas as pd

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        first = text.partition("\n")[0]
        between = "\t" if "\t" in first and "," not in first else ","
        return pd.read_csv(StringIO(text), sep=between, dtype_backend="numpy_nullable")
    except (ValueError, OSError) as error:
        raise BrimError(f"cannot read {source!r}: {error}", hint="it must give csv, names of columns first") from error


def _family(text: str) -> Any:
    """``student``, ``bernoulli(probit)``, ``negbinomial(link=log, link_shape=identity)``."""
    match = re.fullmatch(r"\s*([\w.]+)\s*\((.*)\)\s*", text)
    name, inner = match.groups() if match else (text.strip(), "")
    positional, links = _arguments(inner)
    return brim.families.family(name, **dict(zip(["link"], positional, strict=False)), **links)


def _prior(text: str) -> Any:
    """``normal(0, 1), class=b, coef=x`` as ``prior("normal(0, 1)", class_="b", coef="x")``."""
    positional, named = _arguments(text)
    if not positional:
        raise BrimError(f"there is no distribution in the prior '{text}'", hint='write "normal(0, 1), class=b"')
    for part in positional[1:]:
        raise _marked(text, part, f"'{part}' is not NAME=VALUE", f"write class={part}")
    for key in named:
        if key not in _PRIOR_KEYS:
            raise _marked(text, key, f"unknown '{key}'", suggest(key, _PRIOR_KEYS, "settings"))
    places: dict[str, Any] = {"class_" if key == "class" else key: value for key, value in named.items()}
    for bound in places.keys() & {"lb", "ub"}:
        try:
            places[bound] = float(places[bound])
        except ValueError as error:
            raise _marked(text, places[bound], f"{bound}={places[bound]} is not a number", f"write {bound}=0") from error
    return brim.prior(positional[0], **places)


def _marked(text: str, token: str, what: str, hint: str) -> BrimError:
    start = text.rindex(token)
    return BrimError(what, source=text, span=(start, start + len(token)), hint=hint)


def _arguments(text: str) -> tuple[list[str], dict[str, str]]:
    """Split at the commas outside parentheses: what has no name, and what stands as NAME=VALUE."""
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    named = [match for part in parts if (match := re.fullmatch(r"(\w+)\s*=\s*(.*)", part))]
    positional = [_unquoted(part) for part in parts if not re.match(r"\w+\s*=", part)]
    return positional, {match[1]: _unquoted(match[2]) for match in named}


def _unquoted(text: str) -> str:
    return text.strip("'\"")
