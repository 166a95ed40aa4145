"""``check(fit)``: each diagnostic in a sentence, with what to try."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from brim.arguments import named
from brim.errors import BrimError, printable
from brim.fit.checks import parameters_checked
from brim.fit.record import FitRecord
from brim.infer.approximate.psis import USABLE
from brim.infer.diagnostics import ebfmi, ess_bulk, ess_tail, rhat
from brim.infer.engines import EXACT
from brim.infer.nuts.control import Control

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Check", "Finding", "check", "powerscale_sensitivity"]

_LOW_ENERGY = 0.2
_SENSITIVE = 0.05  # of the distance between posteriors, above which a prior or likelihood matters (Kallioinen et al. 2024)


@final
@dataclass(frozen=True)
class Finding:
    """One diagnostic.

    Attributes
    ----------
    name
        ``"R-hat"``, ``"ESS"``, ``"draws"``, ``"divergences"``, ``"tree depth"``, ``"E-BFMI"``, ``"Pareto k"``, ``"prior sensitivity"``,
        ``"approximation"``.
    ok
        Whether all is well.
    value
        The worst value.
    text
        What it says, in a sentence.
    advice
        What to try; empty where all is well.
    """

    name: str
    ok: bool
    value: float
    text: str
    advice: str = ""

    def __str__(self) -> str:
        mark = "ok " if self.ok else "!! "
        return printable(f"{mark} {self.name}: {self.text}" + (f" {self.advice}" if self.advice else ""))


@final
@dataclass(frozen=True)
class Check:
    """What ``check`` found, one ``Finding`` a diagnostic."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(f.ok for f in self.findings)

    @property
    def verdict(self) -> str:
        """All in one sentence."""
        bad = [f.name for f in self.findings if not f.ok]
        return "The draws can be relied on." if not bad else f"Look at {', '.join(bad)} before you rely on the draws."

    @property
    def table(self) -> pd.DataFrame:
        """``ok value text advice`` by diagnostic."""
        import pandas as pd

        rows = [{"ok": f.ok, "value": f.value, "text": f.text, "advice": f.advice} for f in self.findings]
        return pd.DataFrame(rows, index=[f.name for f in self.findings])

    def __str__(self) -> str:
        return "\n".join([*(str(f) for f in self.findings), self.verdict])

    __repr__ = __str__


@named
def check(fit: FitRecord, *, loo: bool = True, sensitivity: bool = True) -> Check:
    """Say of each diagnostic whether it is well, in a sentence, and what to try where it is not.

    R-hat and effective sample sizes of the parameters that the summary shows, divergent transitions, tree depth, E-BFMI, the Pareto k of
    leave-one-out cross-validation, and how sensitive the population-level effects are to the prior (by power scaling).

    Parameters
    ----------
    loo, sensitivity
        Whether the last two, which evaluate the likelihood, are looked at.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=4, iter=1000, seed=1, progress=False)
    >>> brim.check(fit).verdict
    'The draws can be relied on.'
    """
    findings = [*_convergence(fit), *_trajectories(fit), *_approximation(fit)]
    findings += [_pareto(fit)] if loo else []
    findings += [_sensitivity(fit)] if sensitivity else []
    return Check(tuple(findings))


def _convergence(fit: FitRecord) -> Iterator[Finding]:
    usable = {name: x for name, x in parameters_checked(fit).items() if x.shape[1] >= 4}
    if fit.algorithm not in EXACT or not usable:
        return
    worst = {name: v for name, x in usable.items() if np.isfinite(v := float(rhat(x)))}
    if worst:
        name = max(worst, key=lambda n: worst[n])
        value, high = worst[name], sum(v > 1.01 for v in worst.values())
        said = f"{value:.3f} at most ({name}); the chains agree." if not high else f"{value:.3f} for {name}; {high} above 1.01."
        tip = "Run more iterations; if that does not help, use stronger priors or a simpler model." if high else ""
        yield Finding("R-hat", not high, value, said, tip)
    sizes = {name: v for name, x in usable.items() if np.isfinite(v := float(np.fmin(ess_bulk(x), ess_tail(x))))}
    if sizes:
        name = min(sizes, key=lambda n: sizes[n])
        needed = 100 * fit.draws.chains
        well = sizes[name] >= needed
        said = f"{sizes[name]:.0f} effective draws at least ({name})" + ("." if well else f", fewer than {needed}.")
        yield Finding("ESS", well, sizes[name], said, "" if well else "Run more iterations.")


def _trajectories(fit: FitRecord) -> Iterator[Finding]:
    control = Control.read(dict(fit.settings.control))
    if "diverging" in fit.stats:
        n = int(np.sum(fit.stats["diverging"]))
        tip = f"Raise adapt_delta above {control.adapt_delta:g}, use tighter priors, and look at pairs() of the parameters." if n else ""
        said = "none." if not n else f"{n} of {np.size(fit.stats['diverging'])} transitions: parts of the posterior may be missed."
        yield Finding("divergences", not n, float(n), said, tip)
    if "tree_depth" in fit.stats:
        n = int(np.sum(np.asarray(fit.stats["tree_depth"]) >= control.max_treedepth))
        said = f"below {control.max_treedepth} throughout." if not n else f"{n} transitions were cut at {control.max_treedepth}."
        tip = f"It is slow, not wrong: rescale the predictors, or set max_treedepth to {control.max_treedepth + 2}." if n else ""
        yield Finding("tree depth", not n, float(np.max(fit.stats["tree_depth"])), said, tip)
    if "energy" in fit.stats and np.shape(fit.stats["energy"])[1] >= 4:
        lowest = float(np.nanmin(ebfmi(fit.stats["energy"])))
        well = lowest >= _LOW_ENERGY
        said = f"{lowest:.2f} at least." if well else f"{lowest:.2f}: heavy tails are explored slowly."
        yield Finding("E-BFMI", well, lowest, said, "" if well else "Use tighter priors, or draw more iterations.")


def _approximation(fit: FitRecord) -> Iterator[Finding]:
    n = fit.draws.chains * fit.draws.draws
    if n < 2:
        yield Finding("draws", False, float(n), "one, the mode: it knows no uncertainty.", "Use algorithm='sampling', or 'laplace'.")
    k = fit.info.get("khat")
    if k is not None:
        well = float(k) <= USABLE
        tip = "" if well else "Use algorithm='sampling'; init=fit starts it from here."
        yield Finding("approximation", well, float(k), f"Pareto k-hat {float(k):.2f} ({fit.info.get('verdict', '')}).", tip)


def _pareto(fit: FitRecord) -> Finding:
    from brim.post.comparison.importance import importance_loo
    from brim.post.comparison.pointwise import Pointwise

    try:
        result = fit.criteria["loo"] if "loo" in fit.criteria else importance_loo(Pointwise(fit))
    except BrimError as error:
        return Finding("Pareto k", True, float("nan"), f"not available: {error.what}.")
    bad, highest = result.bad, float(np.max(np.asarray(result.pareto_k)))
    if not bad.size:
        return Finding("Pareto k", True, highest, f"{highest:.2f} at most: no observation is too influential for loo().")
    shown = ", ".join(map(str, bad[:5])) + (", ..." if bad.size > 5 else "")
    said = f"{bad.size} of {result.n_data_points} above {result.good_k:.2g} (rows {shown}, counted from 0): the posterior hangs on these."
    tip = "Look at these rows, or use a family with heavier tails; for loo() try integrated=True, moment_match=True or reloo=True."
    return Finding("Pareto k", False, highest, said, tip)


def _sensitivity(fit: FitRecord) -> Finding:
    name = "prior sensitivity"
    try:
        table = powerscale_sensitivity(fit)
    except BrimError as error:
        return Finding(name, True, float("nan"), f"not available: {error.what}.")
    high = table[table["prior"] > _SENSITIVE]
    if high.empty:
        return Finding(name, True, float(table["prior"].max()), "the priors hardly matter for the population-level effects.")
    conflict = high[high["likelihood"] > _SENSITIVE]
    said = f"{', '.join(map(str, high.index[:4]))} " + ("follow" if len(high) > 1 else "follows") + " the prior."
    what = "prior and data disagree" if len(conflict) else "the data say little"
    return Finding(name, False, float(high["prior"].max()), said, f"See whether {what}, and whether the prior says what you mean.")


@named
def powerscale_sensitivity(fit: FitRecord, variable: str | list[str] | None = None, *, tag: str = "") -> pd.DataFrame:
    """How much the posterior moves when the prior, or the likelihood, is raised to powers near 1 (Kallioinen et al. 2024).

    Parameters
    ----------
    variable
        Names as of ``as_draws_df``; the population-level effects by default.
    tag
        Only the priors given with this ``tag=`` are raised to powers; all of them by default.

    Returns
    -------
    pandas.DataFrame
        By variable ``prior`` and ``likelihood``, the change of the distribution for a doubling of the power, and ``diagnosis``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=4, iter=1000, seed=1, progress=False)
    >>> bool((fit.powerscale_sensitivity()["prior"] < 0.05).all())
    True
    """
    import pandas as pd
    import xarray as xr
    from arviz_stats import psense

    from brim.post.arviz.tree import fit_tree
    from brim.post.diagnose.tagged import tagged_log_prior

    if fit.draws.draws < 5:
        raise BrimError("the fit has too few draws")
    fit.frame.every("the sensitivity to the likelihood")
    tree = fit_tree(fit)
    names = list(fit.draws.expand(variable)) if variable is not None else _population(fit)
    labels = [n for n in names if np.ptp(fit.draws[n]) > 0]
    if not labels:
        raise BrimError("there are no parameters to look at")
    draws = xr.Dataset({f"v{i}": (("chain", "draw"), fit.draws[n]) for i, n in enumerate(labels)})
    prior = tree["log_prior"].to_dataset()
    if tag:
        shape = (fit.draws.chains, fit.draws.draws)
        prior = xr.Dataset({"lprior": (("chain", "draw"), tagged_log_prior(fit, tag).reshape(shape))})
    data = xr.DataTree.from_dict({"posterior": draws, "log_prior": prior, "log_likelihood": tree["log_likelihood"].to_dataset()})
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group in ("prior", "likelihood"):
            constant = group == "prior" and np.ptp(np.asarray(prior["lprior"])) < 1e-12
            values = np.zeros(len(labels)) if constant else [float(v) for v in psense(data, group=group).data_vars.values()]
            found[group] = values
    table = pd.DataFrame(found, index=labels)
    prior, likelihood = table["prior"] > _SENSITIVE, table["likelihood"] > _SENSITIVE
    table["diagnosis"] = np.where(prior & likelihood, "prior-data conflict", np.where(prior, "strong prior or weak likelihood", ""))
    return table


def _population(fit: FitRecord) -> list[str]:
    from brim.parameters.reported import FIXED

    return [str(n) for q in fit.draws.reported if q.kind.section == FIXED for n in np.ravel(q.names)]
