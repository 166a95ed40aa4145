"""How a fit, its priors and its summary print: rstanarm's layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.infer.diagnostics import ess_bulk, rhat
from brim.post.summaries.tables import statistics

if TYPE_CHECKING:
    import pandas as pd

    from brim.rstanarm.fit import StanFit
    from brim.rstanarm.names import GroupNames

__all__ = ["fit_text", "prior_text", "summary_table"]

_RULE = "------"


def _fixed(values: Sequence[float], digits: int) -> list[str]:
    return [f"{v:.{digits}f}" for v in values]


def _two_columns(draws: Mapping[str, np.ndarray], names: Sequence[str], digits: int) -> list[str]:
    """Medians and MAD_SD, as rstanarm prints them: numbers line up on the right, headings on the left."""
    numbers = [statistics(np.ravel(draws[n]), robust=True)[:2] for n in names]
    columns = []
    for i, head in enumerate(("Median", "MAD_SD")):
        cells = _fixed([row[i] for row in numbers], digits)
        inner = max(len(c) for c in cells)
        width = max(len(head), inner)
        columns.append([head.ljust(width), *(c.rjust(inner).ljust(width) for c in cells)])
    label = max(len(n) for n in names)
    return [" ".join([name.ljust(label), *cells]) for name, *cells in zip(["", *names], *columns, strict=True)]


def fit_text(fit: StanFit, digits: int = 1) -> str:
    """What ``print`` shows: medians and MAD_SD of coefficients, auxiliary parameters, thresholds and error terms."""
    call, draws = fit.stan, fit.stan_draws(effects=False)
    out = [call.function, f" family:       {call.family}", f" formula:      {call.formula}", f" observations: {fit.nobs()}"]
    if not call.names.groups and not call.cutpoints:
        out.append(f" predictors:   {len(call.coefs)}")
    out += [_RULE, *_two_columns(draws, call.coefs, digits), ""]
    for title, names in (("Auxiliary parameter(s):", call.aux), ("Cutpoints:", call.cutpoints)):
        if names:
            out += [title, *_two_columns(draws, names, digits), ""]
    if call.names.groups:
        out += ["Error terms:", *_error_terms(call.names.groups, draws), ""]
    return "\n".join([*out, _RULE])


def _error_terms(groups: Sequence[GroupNames], draws: Mapping[str, np.ndarray]) -> list[str]:
    """Posterior means of covariances as standard deviations and correlations, as ``VarCorr``."""
    rows: list[tuple[str, str, str, str]] = []
    for g in groups:
        names = g.sigma_names()
        cov = {at: float(np.mean(draws[name])) for at, name in names.items()}
        sd = [cov[i, i] ** 0.5 for i in range(len(g.coefs))]
        for i, coef in enumerate(g.coefs):
            cor = " ".join(f"{cov[i, j] / (sd[i] * sd[j]):.2f}" for j in range(i))
            rows.append((g.group if i == 0 else "", coef, f"{sd[i]:#.3g}".rstrip("."), cor))
    if "sigma" in draws:
        rows.append(("Residual", "", f"{float(np.mean(draws['sigma'] ** 2)) ** 0.5:#.3g}".rstrip("."), ""))
    head = ("Groups", "Name", "Std.Dev.", "Corr" if any(r[3] for r in rows) else "")
    widths = [max(len(r[i]) for r in (head, *rows)) for i in range(4)]
    lines = [" " + " ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in (head, *rows)]
    return [*lines, "Num. levels: " + ", ".join(f"{g.group} {len(g.levels)}" for g in groups)]


# --------------------------------------------------------------------------- priors


_TITLES = {
    "prior_intercept": "Intercept (after predictors centered)",
    "prior": "Coefficients",
    "prior_z": "Coefficients in z",
    "prior_intercept_z": "Intercept in z",
    "prior_covariance": "Covariance",
    "prior_counts": "Counts",
}


def prior_text(parts: Mapping[str, Any]) -> str:
    """Each prior as specified and, where it was, as adjusted."""
    order = ["prior_intercept", "prior", "prior_intercept_z", "prior_z", "prior_aux", "prior_covariance", "prior_counts"]
    out = ["Priors", _RULE]
    parts = dict(_parts(parts))
    for key in [k for k in order if parts.get(k)] + [k for k in parts if k not in order and parts[k]]:
        part = parts[key]
        title = f"Auxiliary ({part['aux_name']})" if key == "prior_aux" else _TITLES.get(key, key.replace("_", " "))
        own, used = _law(part, "scale"), _law(part, "adjusted_scale")
        lines = [f" ~ {own}"] if used is None else ["  Specified prior:", f"    ~ {own}", "  Adjusted prior:", f"    ~ {used}"]
        out += [title, *lines, ""]
    return "\n".join([*out[:-1], _RULE])


def _parts(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The parts, those of several markers one by one."""
    for key, part in parts.items():
        if part and "dist" not in part:
            yield from ((f"{label} {key}", own) for label, own in part.items())
        else:
            yield key, part


def _law(part: Mapping[str, Any], scale: str) -> str | None:
    """A prior in words with the scale of that name; ``None`` where there is none."""
    dist = part["dist"]
    if dist is None:
        return "flat" if scale == "scale" else None
    if scale == "adjusted_scale" and part.get("adjusted_scale") is None:
        return None
    if dist == "exponential":
        rate = part["rate"] if scale == "scale" else 1.0 / np.ravel(part["adjusted_scale"])[0]
        return f"exponential(rate = {rate:.5g})"
    given = {k: part[k] for k in part if k not in ("dist", "adjusted_scale", "scale", "aux_name", "rate") and part[k] is not None}
    if part.get(scale) is not None:
        given["scale"] = part[scale]
    return f"{dist}({', '.join(f'{k} = {_short(v)}' for k, v in given.items())})"


def _short(value: Any) -> str:
    """A number, or the first three of several."""
    if isinstance(value, str):
        return value
    numbers = [f"{v:.5g}" for v in np.ravel(np.asarray(value, float))]
    return numbers[0] if len(numbers) == 1 else f"[{','.join(numbers[:3])}{',...' if len(numbers) > 3 else ''}]"


# --------------------------------------------------------------------------- summary


def summary_table(draws: Mapping[str, np.ndarray], digits: int, probs: Sequence[float]) -> pd.DataFrame:
    """``mean sd quantiles mcse n_eff Rhat`` of every parameter."""
    import pandas as pd

    names = list(draws)
    stats = np.stack([statistics(np.ravel(draws[n]), probs=probs) for n in names])
    ess = np.array([float(ess_bulk(draws[n])) for n in names])
    table = pd.DataFrame(stats, index=names, columns=["mean", "sd", *(f"{100 * p:g}%" for p in probs)])
    return table.assign(mcse=table["sd"] / np.sqrt(ess), n_eff=ess, Rhat=[float(rhat(draws[n])) for n in names])
