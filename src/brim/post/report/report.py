"""``report``: one self-contained page about a fit."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from brim.arguments import whole
from brim.errors import BrimError
from brim.fit.record import FitRecord
from brim.fit.version import __version__
from brim.model.model import ResponseModel
from brim.post.censoring import Censoring
from brim.post.comparison.loo import loo as leave_one_out
from brim.post.diagnose.check import Check, check
from brim.post.effects.effects import conditional_effects
from brim.post.plots.checks import pp_check
from brim.post.plots.figures import unseen
from brim.post.plots.levels import caterpillar
from brim.post.plots.pairs import pairs
from brim.post.plots.posterior import mcmc_plot
from brim.post.plots.traces import main_variables
from brim.post.report.html import page, picture, table, text
from brim.post.summaries.prior_table import prior_table
from brim.post.summaries.summary import Summary, summarise

__all__ = ["report"]

#: Draws a chain that the page holds of each parameter, parameters that it holds, effects that it shows.
_DRAWS, _PARAMETERS, _EFFECTS = 250, 40, 6

#: Whether observations are uniform in their predictive distributions when each has been left out.
_CALIBRATION = "loo_pit_ecdf"

Part = Callable[[], str]


def report(fit: FitRecord, path: str | os.PathLike[str], *, title: str | None = None, ndraws: int = 100) -> Path:
    """Write a page about the fit: diagnostics, estimates, effects, checks, the model, a paragraph on methods.

    The page is one file, at most 2 MB, and opens without a network.

    Parameters
    ----------
    fit
        A fit with draws.
    path
        The ``.html`` file; one that exists is replaced if it is a page of this kind.
    title
        Its heading; the formula by default.
    ndraws
        Draws that predictive checks show at most.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    BrimError
        The file cannot be written, or is there and no report.

    Examples
    --------
    >>> import brim, tempfile
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.report(f"{folder}/fit.html").name
    'fit.html'
    """
    target = _target(path)
    ndraws = whole("ndraws", ndraws, least=1)
    summary, found = summarise(fit), check(fit)
    heading = title or "; ".join(summary.formula)
    head = (
        f"<h1>{text(heading)}</h1><p>{text(summary.family)} model of {text(summary.data_name)}, {summary.nobs} observations"
        + "".join(f", {n} levels of {text(g)}" for g, n in summary.ngrps.items())
        + f"</p><p>{text(summary.engine)}</p>"
    )
    with unseen():
        sections = [
            ("diagnose", "Diagnose", _diagnose(fit, found)),
            ("estimate", "Estimate", _estimate(fit, summary)),
            ("explore", "Explore", _explore(fit)),
            ("check", "Check", _check(fit, ndraws)),
            ("model", "Model", _model(fit, summary)),
        ]
    content = page(heading, head, sections, _draws(fit))
    try:
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BrimError(f"cannot write '{target}': {error.strerror or error}") from error
    return target


def _target(path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise BrimError(f"a report is a web page, and '{target.name}' does not end in .html", hint=f"write to '{target.name}.html'")
    if not target.parent.is_dir():
        raise BrimError(f"there is no folder '{target.parent}' to write '{target.name}' into", hint="make it first")
    if target.exists() and b'id="draws"' not in target.read_bytes():
        raise BrimError(f"'{target}' is there and no report of brim's", hint="name another file, or remove that one")
    return target


def _try(part: Part) -> str:
    """A part of the page, or why there is none: a page with a gap tells more than no page."""
    try:
        return part()
    except BrimError as error:
        return f'<p class="note">{text(error.what)}</p>'


# --------------------------------------------------------------------------- sections


def _diagnose(fit: FitRecord, found: Check) -> str:
    items = "".join(
        f"<li{'' if f.ok else ' class=bad'}><strong>{text(f.name)}</strong>: {text(f.text)} {text(f.advice)}</li>" for f in found.findings
    )
    verdict = f'<p class="verdict{"" if found.ok else " bad"}">{text(found.verdict)}</p><ul class="findings">{items}</ul>'
    names = main_variables(fit)[:12]
    parts: list[Part] = [
        lambda: picture(mcmc_plot(fit, "rank_overlay", variable=names[:6]), "Ranks of draws by chain: level where the chains agree"),
        lambda: picture(mcmc_plot(fit, "rhat", variable=names), "R-hat: at most 1.01 where chains have mixed"),
        lambda: picture(mcmc_plot(fit, "neff", variable=names), "Effective sample size, as a share of the draws"),
    ]
    if np.any(fit.stats.get("diverging", np.zeros(1))) and len(names) > 1:
        parts.append(lambda: picture(pairs(fit, variable=names[:5]), "Pairs of parameters; transitions that diverged in orange"))
    return verdict + "".join(_try(p) for p in parts)


def _estimate(fit: FitRecord, summary: Summary) -> str:
    tables = "".join(f"<h3>{text(title)}</h3>{table(frame)}" for title, frame in summary.frames())
    forest = _try(lambda: picture(mcmc_plot(fit, variable=main_variables(fit)[:25], prob_outer=0.95), "Medians, 50 and 95 % intervals"))
    levels = "".join(
        _try(lambda g=g: picture(caterpillar(fit, g), f"Effects of {g}, in order"))  # type: ignore[misc]
        for g, n in summary.ngrps.items()
        if n <= 80
    )
    return tables + forest + levels


def _explore(fit: FitRecord) -> str:
    options = "".join(f'<option value="{text(n)}">{text(n)}</option>' for n in main_variables(fit)[:_PARAMETERS])
    menu = (
        f'<label>Parameter <select id="parameter">{options}</select></label>'
        '<div class="pair"><div id="density"></div><div id="trace"></div></div><p class="note" id="numbers"></p>'
    )

    def effects() -> str:
        found = conditional_effects(fit)
        figures, held = found.plot(list(found)[:_EFFECTS]), found.captions
        shown = [picture(f, f"Conditional effect of {name}" + f". {held[name]}" * bool(held[name])) for name, f in figures.items()]
        return "<h3>Effects</h3>" + "".join(shown) if shown else ""

    return menu + _try(effects)


def _check(fit: FitRecord, ndraws: int) -> str:
    out = []
    several = len(fit.model.responses) > 1
    ndraws = min(ndraws, fit.draws.chains * fit.draws.draws)
    for response in fit.model.responses:
        resp = response.name
        kinds = _checks(fit, response)
        if several:
            out.append(f"<h3>{text(resp)}</h3>")
        for kind, caption in kinds.items():
            out.append(_try(lambda k=kind, c=caption, r=resp: _checked(fit, k, c, r, ndraws)))  # type: ignore[misc]
        out.append(_try(lambda r=resp: _influence(fit, r)))  # type: ignore[misc]
    return "".join(out)


def _checked(fit: FitRecord, kind: str, caption: str, resp: str, ndraws: int) -> str:
    """One check; left-out calibration takes all draws, and gives way to the plain one where there are too few to weigh."""
    if kind == _CALIBRATION:
        try:
            return picture(pp_check(fit, kind, resp=resp, seed=1), caption)
        except BrimError:
            kind, caption = "pit_ecdf", "Calibration; the observations themselves are in the fit, which draws the curve to an S"
    some = min(ndraws, 30) if kind in ("dens_overlay", "km_overlay") else ndraws
    return picture(pp_check(fit, kind, resp=resp, ndraws=some, seed=1), caption)


def _checks(fit: FitRecord, response: ResponseModel) -> dict[str, str]:
    """Types of check and their captions: of censored responses those that do not take their limits for their values."""
    censored = Censoring.of(response.response.design(response.response.kept(fit.frame), response.family))
    if censored is not None:
        right = bool(np.isin(censored.codes, (0, 1)).all())
        return {"km_overlay": "Kaplan-Meier curves"} if right else {"intervals": "Observed and replicated responses"}
    discrete = response.family.kind.whole
    first = "bars" if discrete else "dens_overlay"
    return {first: "Observed and replicated responses", "stat": "The mean", _CALIBRATION: "Calibration of leave-one-out predictions"}


def _influence(fit: FitRecord, resp: str) -> str:
    """The rows that matter most for leave-one-out cross-validation."""
    import pandas as pd

    result = leave_one_out(fit, resp=resp)
    k = np.ravel(result.pareto_k)
    order = np.argsort(-k)[:8]
    rows = pd.DataFrame({"Pareto k": k[order], "elpd": np.ravel(result.elpd_i)[order]}, index=[f"row {i}" for i in order])
    line = (
        f"elpd_loo {float(result.elpd):.1f} (standard error {float(result.se):.1f}); "
        f"Pareto k above {result.good_k:.2g} in {result.bad.size} of {len(k)} rows."
    )
    return f"<h3>Leave-one-out cross-validation</h3><p>{text(line)}</p>{table(rows)}<p class='note'>Rows counted from 0.</p>"


def _model(fit: FitRecord, summary: Summary) -> str:
    priors = prior_table(fit.model.rows, all=False)
    lines = [f"Formula: {f}" for f in summary.formula] + [f"Family: {summary.family}", *(f"Link: {link}" for link in summary.links)]
    versions = {"brim": __version__, **{name: metadata.version(name) for name in ("jax", "numpy")}}
    software = ", ".join(f"{n} {v}" for n, v in versions.items()) + f", Python {sys.version.split()[0]}, {platform.system()}"
    return (
        f"<pre>{text(chr(10).join(lines))}</pre><h3>Priors</h3>{table(priors.set_index('prior'))}<h3>Methods, to paste</h3>"
        f"<p>{text(_methods(fit, summary, __version__))}</p><h3>Software</h3><p>{text(software)}</p>"
    )


def _methods(fit: FitRecord, summary: Summary, version: str) -> str:
    """A paragraph for a paper."""
    chains, settings = fit.draws.chains, fit.settings
    sampled = fit.algorithm == "sampling"
    how = (
        f"with the no-U-turn sampler (Hoffman and Gelman 2014), {chains} chains of {settings.iter} iterations of which {settings.warmup} "
        "were warm-up"
        if sampled
        else f"by {fit.algorithm}"
    )
    groups = "".join(f", {n} levels of {g}" for g, n in summary.ngrps.items())
    formula = "; ".join(f.strip() for f in summary.formula)
    return (
        f"We fitted a Bayesian {summary.family} regression model, {formula}, to {summary.nobs} observations{groups} "
        f"with brim {version}, which follows the formulas and default priors of brms (Bürkner 2017), {how}. Convergence was judged "
        "by R-hat and effective sample sizes (Vehtari et al. 2021), fit by posterior predictive checks (Gabry et al. 2019) and Pareto "
        "smoothed importance sampling leave-one-out cross-validation (Vehtari, Gelman and Gabry 2017). Estimates are posterior means with "
        "95 % credible intervals."
    )


def _draws(fit: FitRecord) -> str:
    """Some draws of the main parameters and of their priors, as the page's script reads them."""
    out: dict[str, Any] = {}
    for name in main_variables(fit)[:_PARAMETERS]:
        values = fit.draws[name]
        every = max(1, -(-values.shape[1] // _DRAWS))
        one: dict[str, Any] = {"chains": _rounded(values[:, ::every]), "every": every}
        places = (name, name.partition("__")[0], name.partition("_")[0])  # its own prior, its group's, its class'
        prior = next((fit.draws.extra[f"prior_{p}"] for p in places if f"prior_{p}" in fit.draws.extra), None)
        if prior is not None:
            one["prior"] = _rounded(np.ravel(prior)[:400])
        out[name] = one
    return json.dumps(out, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _rounded(values: np.ndarray) -> Any:
    """Numbers of five digits, nested as the array is; what is not finite becomes 0."""
    flat = [float(f"{v:.5g}") if np.isfinite(v) else 0.0 for v in np.ravel(values)]
    return np.array(flat).reshape(values.shape).tolist()
