"""``brim summary``, ``report``, ``predict``, ``loo`` and ``plot``: what is asked of a fit that was saved with ``--out``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import brim
from brim.cli.group import cli
from brim.cli.places import check_folder, check_pictures, check_table, write_table
from brim.cli.reading import Reading, data_options
from brim.disk import write_whole
from brim.errors import BrimError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["loo", "plot", "predict", "report", "summary"]

_FIT = click.Path(path_type=Path)
#: What ``brim predict`` computes -> method of Fit and its arguments.
_PREDICTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "predict": ("predict", {}),
    "fitted": ("fitted", {}),
    "linear": ("fitted", {"scale": "linear"}),
}


@cli.command()
@click.argument("path", metavar="FIT", type=_FIT)
def summary(path: Path) -> None:
    """Print the summary of a fit saved with --out."""
    click.echo(brim.load(path).summary())


@cli.command()
@click.argument("path", metavar="FIT", type=_FIT)
@click.option("--out", type=click.Path(path_type=Path), help="The page to write.  [default: FIT with .html]")
def report(path: Path, out: Path | None) -> None:
    """Write a page about a fit saved with --out: diagnostics, estimates, effects, checks, the model."""
    click.echo(f"wrote {brim.load(path).report(out or path.with_suffix('.html'))}", err=True)


# --------------------------------------------------------------------------- predictions


@cli.command()
@click.argument("path", metavar="FIT", type=_FIT)
@data_options(False, "The rows to predict, as for brim fit; the rows of the fit by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this csv or tsv file instead of printing it as csv.")
@click.option(
    "--kind", type=click.Choice(list(_PREDICTIONS)), default="predict", show_default=True,
    help="New responses, their expectation, or the linear predictor.",
)  # fmt: skip
@click.option("--resp", help="One response of a multivariate model.")
@click.option("--re-formula", help="The group effects to take: NA for none, or a formula.  [default: all]")
@click.option("--allow-new-levels", is_flag=True, help="Predict groups that the fit has not seen.")
@click.option("--probs", default="0.025,0.975", show_default=True, help="Probabilities of the quantiles.")
@click.option("--robust", is_flag=True, help="Median and MAD instead of mean and standard deviation.")
@click.option("--ndraws", type=int, help="Use so many random draws.  [default: all]")
@click.option("--seed", type=int, help="The same seed gives the same predictions.")
def predict(
    path: Path,
    source: str | None,
    sep: str | None,
    decimal: str | None,
    encoding: str | None,
    sheet: str | None,
    out: Path | None,
    kind: str,
    resp: str | None,
    re_formula: str | None,
    allow_new_levels: bool,
    probs: str,
    robust: bool,
    ndraws: int | None,
    seed: int | None,
) -> None:
    """Predict the response for rows of data, from a fit saved with --out: the data with Estimate, Est.Error and quantiles.

    For a response in categories, the probability of each.
    """
    if out is not None:
        check_table(out, source, path)
    reading = Reading(sep, decimal, encoding, sheet)
    fit = brim.load(path)
    table = _rows(fit, resp) if source is None else reading.table(source)
    method, more = _PREDICTIONS[kind]
    given = {
        "re_formula": None if re_formula in (None, "NULL") else False if re_formula == "NA" else re_formula,
        "allow_new_levels": allow_new_levels,
        "probs": _probabilities(probs),
        "robust": robust,
        "ndraws": ndraws,
        "seed": seed,
    }
    found = getattr(fit, method)(None if source is None else table, resp=resp, **given, **more)
    result = _beside(table, _flat(found))
    if out is None:
        click.echo(result.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    write_table(result, out)
    click.echo(f"wrote {out}", err=True)


def _rows(fit: Any, resp: str | None) -> pd.DataFrame:
    """The training rows that a response keeps; all of them for several responses."""
    from brim.post.inference.grids import to_pandas

    several = resp is None and len(fit.model.responses) > 1
    return to_pandas(fit.frame if several else fit.model.response(resp).response.kept(fit.frame))


def _probabilities(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(p) for p in text.split(",") if p.strip())
    except ValueError as error:
        raise BrimError(f"--probs {text!r}", hint="give numbers between 0 and 1, as 0.025,0.975") from error


def _flat(found: Any) -> pd.DataFrame:
    """Statistics as columns; with categories or responses ``Estimate[a]``, all statistics of one after the other."""
    import pandas as pd

    if isinstance(found, pd.DataFrame):
        return pd.DataFrame(found)
    last = found.dims[-1]
    labels = [str(v) for v in found.coords[last].values] if last in found.coords else [str(i + 1) for i in range(found.sizes[last])]
    statistics = [str(s) for s in found.coords["statistic"].values]
    values = found.transpose("obs", last, "statistic").values.reshape(found.sizes["obs"], -1)
    return pd.DataFrame(values, columns=[f"{s}[{label}]" for label in labels for s in statistics])


def _beside(table: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """The data with the predictions to the right."""
    import pandas as pd

    twice = [c for c in predicted.columns if c in table.columns]
    if twice:
        raise BrimError(f"the data have a column '{twice[0]}' as the predictions do", hint="rename it, or leave it out")
    if len(table) != len(predicted):  # rows that the model leaves out
        return predicted
    return pd.concat([table.reset_index(drop=True), predicted.reset_index(drop=True)], axis=1)


# --------------------------------------------------------------------------- comparison


@cli.command()
@click.argument("paths", nargs=-1, required=True, metavar="FIT...", type=_FIT)
@click.option("--criterion", type=click.Choice(["loo", "waic"]), default="loo", show_default=True, help="What is computed.")
@click.option("--moment-match", is_flag=True, help="Move draws to where observations with a bad Pareto k ask for.")
@click.option("--integrated", is_flag=True, help="Integrate each observation's group effects out.")
@click.option("--resp", help="One response of a multivariate model.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write the values of each observation, or the comparison, to this csv or tsv file."
)
def loo(paths: tuple[Path, ...], criterion: str, moment_match: bool, integrated: bool, resp: str | None, out: Path | None) -> None:
    """Leave-one-out cross-validation of a fit saved with --out, with the verdict on its Pareto k; of several: their comparison.

    Models are named after their files.
    """
    if out is not None:
        check_table(out, *paths)
    asked = {"moment_match": moment_match, "integrated": integrated}
    if criterion == "waic" and any(asked.values()):
        raise BrimError("--moment-match and --integrated are options of loo", hint="leave --criterion waic out")
    given = {k: v for k, v in asked.items() if v}
    found = {name: getattr(brim.load(path), criterion)(resp=resp, **given) for name, path in _names(paths).items()}
    if len(found) == 1:
        ((_, one),) = found.items()
        table, said = one.pointwise, str(one)
    else:
        compared = brim.loo_compare(*found.values(), names=list(found))
        table, outputs = compared.reset_index(), [f"Output of model '{name}':\n\n{one}\n" for name, one in found.items()]
        said = "\n".join([*outputs, "Model comparisons:", str(compared)])
    if out is not None:
        write_table(table, out)
        click.echo(f"wrote {out}", err=True)
    click.echo(said)


def _names(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Models by the names of their files, by their paths where these are alike."""
    if len({p.resolve() for p in paths}) < len(paths):
        raise BrimError("the same fit is given twice", hint="name each file once")
    short = {p.stem: p for p in paths}
    return short if len(short) == len(paths) else {str(p): p for p in paths}


# --------------------------------------------------------------------------- figures

_KINDS = ("conditional_effects", "conditional_smooths", "pp_check", "plot", "mcmc_plot", "pairs", "caterpillar")
#: Option -> the kinds of plot that take it.
_TAKEN_BY = {
    "type": ("pp_check", "mcmc_plot"),
    "variable": ("plot", "mcmc_plot", "pairs"),
    "effects": ("conditional_effects",),
    "points": ("conditional_effects",),
    "group": ("pp_check", "caterpillar"),
    "resp": ("conditional_effects", "conditional_smooths", "pp_check"),
    "ndraws": ("conditional_effects", "conditional_smooths", "pp_check"),
    "seed": ("conditional_effects", "conditional_smooths", "pp_check"),
}


@cli.command()
@click.argument("path", metavar="FIT", type=_FIT)
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(_KINDS), default=("conditional_effects", "pp_check"), show_default=True,
    help="What to draw; may be repeated.",
)  # fmt: skip
@click.option(
    "--out", "folder", required=True, type=click.Path(path_type=Path), help="The folder for the pictures, made if it is not there."
)
@click.option("--type", "type", help="The type of pp_check (bars, ecdf_overlay, ...) or mcmc_plot (trace, areas, ...).")
@click.option("--variable", multiple=True, help="Parameters to show, b_* for all that start so; may be repeated.")
@click.option("--effects", multiple=True, help="Conditional effects to show, x or x:z; may be repeated.  [default: all]")
@click.option("--points", is_flag=True, help="Draw the observations with conditional effects.")
@click.option("--group", help="A column whose levels have a panel each in pp_check; the grouping factor of a caterpillar.")
@click.option("--resp", help="One response of a multivariate model.")
@click.option("--ndraws", type=int, help="Use so many random draws.")
@click.option("--seed", type=int, help="The same seed gives the same picture.")
@click.option("--width", type=click.FloatRange(min=0, min_open=True), help="Width in inches, with --height.")
@click.option("--height", type=click.FloatRange(min=0, min_open=True), help="Height in inches, with --width.")
def plot(path: Path, kinds: tuple[str, ...], folder: Path, width: float | None, height: float | None, **options: Any) -> None:
    """Draw a fit saved with --out, as PNG: conditional effects and pp_check by default."""
    given = {name: value for name, value in options.items() if value not in (None, False, ())}
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    for name in asked:
        if not set(kinds) & set(_TAKEN_BY[name]):
            raise BrimError(f"--{name} says nothing about {' and '.join(kinds)}", hint=f"it is for --kind {' or '.join(_TAKEN_BY[name])}")
    if (width is None) != (height is None):
        raise BrimError("--width and --height go together", hint="give both, or neither")
    check_folder(folder, "--out")
    size = None if width is None or height is None else (width, height)
    fit = brim.load(path)
    from brim.post.plots.figures import unseen

    with unseen():
        pictures = {name: image for kind in dict.fromkeys(kinds) for name, image in _pictures(fit, kind, asked, size).items()}
    files = {folder / f"{name}.png": image for name, image in pictures.items()}
    check_pictures(files, "--out")
    folder.mkdir(exist_ok=True)
    for file, image in files.items():
        write_whole(file, image)
        click.echo(f"wrote {file}", err=True)


def _pictures(fit: Any, kind: str, asked: dict[str, Any], size: tuple[float, float] | None) -> dict[str, bytes]:
    """The pictures of one kind, by the names of their files."""
    from brim.post.plots.figures import picture, slug

    mine = {name: value for name, value in asked.items() if kind in _TAKEN_BY[name]}
    if kind in ("conditional_effects", "conditional_smooths"):
        points = {"points": True} if mine.pop("points", False) else {}
        figures = getattr(fit, kind)(**mine).plot(figsize=size, **points)
        return {f"{kind}_{slug(name)}": picture(figure) for name, figure in figures.items()}
    name = "_".join(slug(str(v)) for v in (kind, mine.get("type"), mine.get("group")) if v)
    return {name: picture(getattr(fit, kind)(figsize=size, **mine))}
