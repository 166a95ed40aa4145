"""Hypotheses about parameters: ``Fit.hypothesis``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import named, number, one_of
from brim.errors import BrimError, printable, suggest
from brim.parameters.draws import prior_name
from brim.post.inference.arithmetic import evaluate
from brim.post.inference.tested import Tested
from brim.post.plots.density import bandwidth
from brim.post.summaries.tables import statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from brim.fit.record import FitRecord

__all__ = ["Hypotheses", "hypothesis"]

_SCOPES = ("standard", "ranef", "coef")
_COMPARISON = re.compile(r"[<>=]")


@final
@dataclass(frozen=True)
class Hypotheses:
    """What ``Fit.hypothesis`` gives.

    Attributes
    ----------
    tested
        The hypotheses with their draws.
    alpha
        Level of the intervals and stars.
    robust
        Whether estimates are medians.
    what
        What the names stand for (``class b``), for the heading.
    """

    tested: tuple[Tested, ...]
    alpha: float
    robust: bool
    what: str

    @property
    def table(self) -> pd.DataFrame:
        """``[Group] Hypothesis Estimate Est.Error CI.Lower CI.Upper Evid.Ratio Post.Prob Star``, a row a hypothesis (and level)."""
        import pandas as pd

        rows = [_row(t, self.alpha, self.robust) for t in self.tested]
        table = pd.DataFrame(rows)
        return table if any(t.group for t in self.tested) else table.drop(columns="Group")

    @property
    def draws(self) -> pd.DataFrame:
        """Draws of what is tested, one column a hypothesis: ``H1``, ``H2``, ..."""
        import pandas as pd

        return pd.DataFrame({f"H{i + 1}": t.values for i, t in enumerate(self.tested)})

    @property
    def prior_draws(self) -> pd.DataFrame:
        """The same from the prior; ``NaN`` where the fit has no draws from it."""
        import pandas as pd

        n = len(self.tested[0].values)
        return pd.DataFrame({f"H{i + 1}": np.full(n, np.nan) if t.prior is None else t.prior for i, t in enumerate(self.tested)})

    def plot(self, *, ax: Any = None, figsize: Any = None) -> Figure:
        """Densities of what is tested, posterior and prior, with the value tested against.

        ``ax``: axes of yours to draw in, one a hypothesis; ``figsize``: width and height of a new figure in inches.
        """
        from brim.post.plots.hypotheses import plot_hypotheses

        return plot_hypotheses(self.tested, ax, figsize)

    def __str__(self) -> str:
        shown = self.table
        numeric = shown.select_dtypes("number").columns
        shown = shown.assign(**{c: [f"{v:.2f}" if np.isfinite(v) else ("Inf" if v > 0 else "NA") for v in shown[c]] for c in numeric})
        one, two = 100 * (1 - 2 * self.alpha), 100 * (1 - self.alpha)
        notes = (
            f"CI: {one:g}% for directed hypotheses, {two:g}% for point hypotheses.",
            f"Star: a directed hypothesis has a posterior probability above {two:g}%; the interval of a point hypothesis excludes it.",
            "Posterior probabilities of point hypotheses take both as equally probable beforehand.",
        )
        return printable("\n".join([f"Hypotheses for {self.what}:", shown.to_string(), "---", *notes]))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return str(self.table.to_html())


@named
def hypothesis(
    fit: FitRecord,
    hypothesis: str | Sequence[str] | Mapping[str, str],
    *,
    class_: str | None = "b",
    group: str = "",
    scope: str = "standard",
    alpha: float = 0.05,
    robust: bool = False,
    seed: int | None = 1,
) -> Hypotheses:
    """Test hypotheses about parameters, as ``"x > 0"``, ``"2 * x = z"``, ``"plogis(Intercept) < 0.5"``.

    A directed hypothesis has the evidence ratio ``P(H) / P(not H)`` in the posterior. A point hypothesis has the ratio of the posterior
    to the prior density at the value (Savage & Dickey), which needs draws from the prior (``sample_prior="yes"``) and proper priors.

    Parameters
    ----------
    hypothesis
        One or several; a mapping names them.
    class_, group
        What stands before the names: ``class_="b"`` reads ``x`` as ``b_x``; ``class_="sd"``, ``group="g"`` reads ``Intercept`` as
        ``sd_g__Intercept``; ``None`` takes full names (``"sigma > 1"``).
    scope
        ``"standard"``; ``"ranef"``, ``"coef"``: of the group effects or coefficients of every level of ``group``.
    alpha
        Level: intervals of point hypotheses have probability ``1 - alpha``, of directed ones ``1 - 2 alpha``.
    robust
        Median and MAD instead of mean and standard deviation.
    seed
        For the order in which draws of a common prior stand for several coefficients.

    Returns
    -------
    Hypotheses
        With ``.table``, ``.draws``, ``.plot()``.

    Raises
    ------
    BrimError
        There is no such variable, or not exactly one of ``< > =``.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=2, iter=400, seed=1, progress=False)
    >>> fit.hypothesis("Days > 5").table[["Hypothesis", "Star"]].to_numpy().tolist()
    [['(Days)-(5) > 0', '*']]
    """
    number("alpha", alpha, above=0, below=1)
    one_of("scope", scope, _SCOPES, "scopes")
    texts = {"": hypothesis} if isinstance(hypothesis, str) else hypothesis
    named = dict(texts) if isinstance(texts, Mapping) else {f"#{i}": t for i, t in enumerate(texts)}
    read = {name: _read(text) for name, text in named.items()}
    tested = _standard(fit, read, class_, group, seed) if scope == "standard" else _by_level(fit, read, scope, group)
    what = f"class {class_}" if scope == "standard" and class_ else "parameters" if scope == "standard" else f"{scope} of {group}"
    return Hypotheses(tuple(tested), alpha, robust, what)


def _read(text: str) -> tuple[str, str, str]:
    """``(difference, sign, label)`` of ``left sign right``."""
    signs = _COMPARISON.findall(text)
    if len(signs) != 1:
        at = [m.start() for m in _COMPARISON.finditer(text)]
        span = (at[1], at[1] + 1) if len(at) > 1 else (0, len(text))
        raise BrimError("a hypothesis has exactly one of <, > and =", source=text, span=span, hint="for example 'x > 0'")
    left, right = (re.sub(r"\s+", "", part) for part in text.split(signs[0]))
    if not left or not right:
        raise BrimError("one side of the hypothesis is empty", source=text, span=(0, len(text)))
    label = f"({left})" if right == "0" else f"({left})-({right})"
    return label, signs[0], f"{label} {signs[0]} 0"


def _label(name: str, label: str) -> str:
    return label if not name or name.startswith("#") else name


def _standard(fit: FitRecord, read: Mapping[str, tuple[str, str, str]], class_: str | None, group: str, seed: int | None) -> list[Tested]:
    prefix = _prefix(class_, group)
    names = {v.removeprefix(prefix): v for v in fit.draws.variables if v.startswith(prefix)}
    if not names:
        raise BrimError(f"the fit has no variables '{prefix}...'", hint=suggest(prefix, fit.draws.variables, "variables"))
    from_prior = _prior(fit, np.random.default_rng(seed))
    out = []
    for name, (text, sign, label) in read.items():
        values = evaluate(text, names, lambda v: fit.draws[v].ravel())
        try:
            prior = evaluate(text, names, from_prior)
        except KeyError:
            prior = None
        out.append(Tested(_label(name, label), sign, _every(values, fit), None if prior is None else _every(prior, fit)))
    return out


def _prefix(class_: str | None, group: str) -> str:
    if not class_:
        return ""
    return f"{class_}_{group}__" if group and class_ in ("sd", "cor") else f"{class_}_{group}" if group else f"{class_}_"


def _every(values: np.ndarray, fit: FitRecord) -> np.ndarray:
    """A value in every draw, of a constant too."""
    return np.broadcast_to(values, (fit.draws.chains * fit.draws.draws,))


def _prior(fit: FitRecord, rng: np.random.Generator) -> Callable[[str], np.ndarray]:
    """Draws from the prior of a variable; those of a prior that coefficients share come in a new order for each of them.

    ``KeyError`` where there are none.
    """
    extra = fit.draws.extra
    found: dict[str, np.ndarray] = {}

    def draws(variable: str) -> np.ndarray:
        if variable not in found:
            name = prior_name(variable, fit.model.params, extra)
            values = extra[name].ravel()
            found[variable] = values if name == f"prior_{variable}" else rng.permutation(values)
        return found[variable]

    return draws


def _by_level(fit: FitRecord, read: Mapping[str, tuple[str, str, str]], scope: str, group: str) -> list[Tested]:
    """Each hypothesis in each level of a grouping factor."""
    from brim.post.summaries import tables

    arrays = (tables.ranef if scope == "ranef" else tables.coef)(fit, False, False, ())
    if group not in arrays:
        raise BrimError(f"group = {group!r}", hint=suggest(group, arrays, "grouping factors"))
    array = arrays[group]
    names = {str(c): str(c) for c in array.coords["coef"].values}
    out = []
    for name, (text, sign, label) in read.items():
        values = evaluate(text, names, lambda c: array.sel(coef=c).to_numpy())
        levels = [str(level) for level in array.coords["level"].values]
        out += [Tested(_label(name, label), sign, values[:, i], None, level) for i, level in enumerate(levels)]
    return out


# --------------------------------------------------------------------------- numbers


def _row(tested: Tested, alpha: float, robust: bool) -> dict[str, Any]:
    """One row of the table."""
    two = tested.sign == "="
    probs = (alpha / 2, 1 - alpha / 2) if two else (alpha, 1 - alpha)
    estimate, error, lower, upper = statistics(tested.values, robust, probs)
    ratio = _density_ratio(tested) if two else _odds(tested)
    chance = 1.0 if np.isinf(ratio) else ratio / (1.0 + ratio)
    star = not lower <= 0.0 <= upper if two else chance > 1 - alpha
    return {
        "Group": tested.group,
        "Hypothesis": tested.name,
        "Estimate": estimate,
        "Est.Error": error,
        "CI.Lower": lower,
        "CI.Upper": upper,
        "Evid.Ratio": ratio,
        "Post.Prob": chance,
        "Star": "*" if star else "",
    }


def _odds(tested: Tested) -> float:
    share = float(np.mean(tested.values > 0 if tested.sign == ">" else tested.values < 0))
    return np.inf if share == 1.0 else share / (1.0 - share)


def _density_ratio(tested: Tested) -> float:
    """Posterior over prior density at 0; ``NaN`` without prior draws."""
    if tested.prior is None:
        return float("nan")
    return density_at_zero(tested.values) / density_at_zero(tested.prior)


def density_at_zero(values: np.ndarray) -> float:
    """Gaussian kernel density at 0, of R's default bandwidth."""
    width = bandwidth(values)
    return float(np.exp(-0.5 * (values / width) ** 2).mean() / (width * np.sqrt(2 * np.pi)))
