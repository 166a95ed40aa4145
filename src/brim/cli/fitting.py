"""``brim fit``, ``resume``, ``demo`` and ``data``: models from formulas in the shell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

import brim
from brim.cli.group import cli
from brim.cli.places import check_places
from brim.cli.reading import Reading, data_name, data_options
from brim.cli.settings import brm_options, given
from brim.errors import BrimError, printable, suggest

__all__ = ["data", "demo", "fit", "resume"]

_PRIOR_KEYS = ("class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub")


@cli.command()
@click.argument("formulas", nargs=-1, required=True, metavar="FORMULA...")
@data_options(True, "A csv, tsv, Excel, json, parquet or feather file, a bundled data set, or - for a table of text from standard input.")
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
@brm_options
@click.option("--stop-ess", type=float, help="Stop when every parameter has this effective sample size.")
@click.option("--stop-rhat", type=float, help="Stop when no parameter has a larger R-hat.")
@click.option("--stop-seconds", type=float, help="Stop after so many seconds.")
@click.option("--quiet", is_flag=True, help="No progress, no prior table; the summary alone.")
def fit(
    formulas: tuple[str, ...],
    source: str,
    sep: str | None,
    decimal: str | None,
    encoding: str | None,
    sheet: str | None,
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
    **settings: Any,
) -> None:
    """Fit a model and print its summary.

    FORMULA is the model of the response, then one for each further parameter it predicts:

        brim fit "gpa ~ occasion + (1 + occasion | student)" "sigma ~ occasion" --data gpa
    """
    check_places(out, plots)
    table = Reading(sep, decimal, encoding, sheet).table(source)
    more = given(settings)
    sampler = {"adapt_delta": adapt_delta, "max_treedepth": max_treedepth}
    more["control"] = {name: value for name, value in sampler.items() if value is not None} | more.get("control", {})
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
        progress=not quiet,
        **more,
        **_ending(checkpoint, stop_ess, stop_rhat, stop_seconds),
        data_name=data_name(source),
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
    check_places(out, None)
    _report(brim.resume(folder, iter=iterations, cores=cores, progress=not quiet), out, None, quiet)


@cli.command()
@click.option("--out", "folder", default="demo", show_default=True, type=click.Path(path_type=Path), help="The folder to write to.")
def demo(folder: Path) -> None:
    """Fit students' grades over six semesters; print priors and summary, write plots and the fit."""
    out = folder / "fit.nc"
    check_places(None, folder)
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
