"""One row a parameter, one row a fit: ``tidy`` and ``glance``, with broom's names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import named, number, one_of
from brim.fit.record import FitRecord
from brim.infer.diagnostics import ess_bulk, rhat
from brim.parameters.reported import FIXED, ReportKind, population_name
from brim.post.summaries.tables import statistics
from brim.terms.groups.group import SD, R

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["glance", "tidy"]

EFFECTS = ("fixed", "ran_pars", "ran_vals", "pars")
_COLUMNS = ("effect", "component", "group", "level", "term", "estimate", "std_error", "conf_low", "conf_high")


@named
def tidy(
    fit: FitRecord,
    effects: str | Sequence[str] = ("fixed", "ran_pars", "pars"),
    *,
    conf_level: float = 0.95,
    robust: bool = False,
    diagnostics: bool = False,
) -> pd.DataFrame:
    """One row a parameter.

    Parameters
    ----------
    effects
        ``"fixed"``: population-level effects; ``"ran_pars"``: standard deviations and correlations of groups; ``"pars"``: all other
        parameters (``sigma``, ``sds``, ...); ``"ran_vals"``: effects of the single levels.
    conf_level, robust
        Probability of the intervals; median and MAD instead of mean and standard deviation.
    diagnostics
        Whether to add ``rhat`` and ``ess``.

    Returns
    -------
    pandas.DataFrame
        ``effect component group level term estimate std_error conf_low conf_high``; ``component`` is the distributional parameter that is
        predicted (``cond`` for the mean).

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.tidy()["term"].tolist()
    ['Intercept', 'Days', 'sigma']
    """
    import pandas as pd

    asked = (effects,) if isinstance(effects, str) else tuple(effects)
    for e in asked:
        one_of("effects", e, EFFECTS, "effects")
    number("conf_level", conf_level, above=0, below=1)
    low = (1 - conf_level) / 2
    rows: list[dict[str, Any]] = []
    for effect, component, group, level, term, draws in _parameters(fit, asked):
        estimate, error, lower, upper = statistics(draws.ravel(), robust, (low, 1 - low))
        row = dict(zip(_COLUMNS, (effect, component, group, level, term, estimate, error, lower, upper), strict=True))
        rows.append({**row, "rhat": float(rhat(draws)), "ess": float(ess_bulk(draws))} if diagnostics else row)
    return pd.DataFrame(rows, columns=[*_COLUMNS, *(("rhat", "ess") if diagnostics else ())])


def _parameters(fit: FitRecord, effects: Sequence[str]) -> Iterator[tuple[str, str, str, str, str, np.ndarray]]:
    """``(effect, component, group, level, term, draws (chains, draws))`` in the order of the draws."""
    dpars = {p.name for r in fit.model.responses for p in r.predictors}
    groups = sorted(fit.ngrps(), key=len, reverse=True)
    for q in fit.draws.reported:
        effect = _effect(q.kind)
        if effect not in effects:
            continue
        values = fit.draws.array(q)
        flat = values.reshape(*values.shape[:2], -1)
        for i, name in enumerate(str(n) for n in np.ravel(q.names)):
            group, level, term = _split(effect, name, groups)
            component, term = _component(term, dpars)
            yield effect, component, group, level, term, flat[:, :, i]


def _effect(kind: ReportKind) -> str:
    """broom.mixed's word for a kind of variable, empty for latent values."""
    if kind.section == SD.section:
        return "ran_pars"
    return "fixed" if kind.section == FIXED else "ran_vals" if kind == R else "" if kind.inner else "pars"


def _split(effect: str, name: str, groups: Sequence[str]) -> tuple[str, str, str]:
    """Grouping factor, level and term of a variable."""
    if effect == "fixed":
        return "", "", population_name(name)
    if effect == "ran_pars":
        kind, _, rest = name.partition("_")
        group = next((g for g in groups if rest.startswith(f"{g}__") or rest == g), rest)
        return group, "", f"{kind}__{rest.removeprefix(group).removeprefix('__')}"
    if effect == "ran_vals":
        found = re.fullmatch(r"r_(.*)\[(.*),([^,]*)\]", name)
        if found:
            return found[1], found[2], found[3]
    return "", "", name


def _component(term: str, dpars: set[str]) -> tuple[str, str]:
    """``sigma_x`` is ``x`` of the component ``sigma``."""
    first, _, rest = term.partition("_")
    return (first, rest) if rest and first in dpars and first != "mu" else ("cond", term)


@named
def glance(fit: FitRecord, *, looic: bool = False) -> pd.DataFrame:
    """One row about a fit: how it was sampled, its size, how far the chains agree, and ``elpd_loo looic`` where known.

    Parameters
    ----------
    looic
        Whether to compute ``loo`` if ``add_criterion`` has not.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.glance()[["algorithm", "nobs", "draws"]].to_numpy().tolist()
    [['sampling', 180, 400]]
    """
    import pandas as pd

    from brim.fit.checks import parameters_checked

    usable = [x for x in parameters_checked(fit).values() if x.size and x.shape[1] >= 4]
    rhats = np.concatenate([np.zeros(0), *(np.ravel(rhat(x)) for x in usable)])
    sizes = np.concatenate([np.zeros(0), *(np.ravel(ess_bulk(x)) for x in usable)])
    row: dict[str, Any] = {
        "algorithm": fit.algorithm,
        "family": "+".join(r.family.name for r in fit.model.responses),
        "nobs": fit.nobs(),
        "chains": fit.draws.chains,
        "draws": fit.draws.chains * fit.draws.draws,
        "divergences": int(np.sum(fit.stats["diverging"])) if "diverging" in fit.stats else None,
        "rhat_max": float(np.nanmax(rhats)) if np.isfinite(rhats).any() else np.nan,
        "ess_min": float(np.nanmin(sizes)) if np.isfinite(sizes).any() else np.nan,
    }
    if looic or "loo" in fit.criteria:
        from brim.post.comparison.loo import loo

        found = fit.criteria["loo"] if "loo" in fit.criteria else loo(fit)
        row |= {"elpd_loo": found.elpd, "se_elpd_loo": found.se, "p_loo": found.p, "looic": -2 * found.elpd}
    return pd.DataFrame([row])
