"""What simulation-based calibration found: ranks, their tests, and figures of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import number, one_of
from brim.errors import BrimError, suggest
from brim.post.calibration.uniform import chi_square, ecdf_p, scaled_moments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SBC"]


@final
@dataclass(frozen=True, repr=False)
class SBC:
    """Ranks of true values among the draws of fits to data simulated with them, from ``brim.sbc``.

    Attributes
    ----------
    ranks
        A data frame, one row a simulation, one column a variable: how many draws are below the true value.
    truth
        The true values, in the same form.
    draws
        Draws of each fit: ranks are 0, ..., ``draws``.
    fits
        One row a simulation: ``seed``, ``divergent`` transitions, ``ess`` (the smallest bulk effective sample size of any variable).
    info
        ``kind`` (``"prior"`` or ``"posterior"``), ``formula``, ``engine``, ``prior_draws`` (how the truth was drawn), ``failed``.
    """

    ranks: pd.DataFrame
    truth: pd.DataFrame
    draws: int
    fits: pd.DataFrame
    info: Mapping[str, Any] = field(default_factory=dict)

    def summary(self, prob: float = 0.99) -> pd.DataFrame:
        """One row a variable: are its ranks uniform?

        Columns: ``mean`` (of ranks as fractions; 0.5), ``chi2_p`` and ``ecdf_p`` (p values of Pearson's test, and of the test of the
        whole distribution function), ``z_mean`` and ``z_var`` (z scores of the mean and the variance of ranks) and ``verdict``:
        ``"ok"``, or what is wrong where a p value is below ``(1 - prob) / (2 variables)``, Bonferroni's correction for all tests.
        """
        import pandas as pd

        level = (1.0 - number("prob", prob, above=0, below=1)) / (2 * self.ranks.shape[1])
        rows = {name: _row(self.ranks[name].to_numpy(), self.draws, level) for name in self.ranks}
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def ok(self) -> bool:
        """Whether no variable's ranks are far from uniform (``summary`` with ``prob = 0.99``)."""
        return bool((self.summary()["verdict"] == "ok").all())

    def plot(
        self, kind: str = "ecdf", variables: str | Iterable[str] | None = None, *, prob: float = 0.95, ax: Any = None, figsize: Any = None
    ) -> Any:
        """A figure with one panel a variable.

        Parameters
        ----------
        kind
            ``"ecdf"``: the distribution function of ranks minus the uniform one, with the band that it stays in everywhere with
            probability ``prob``; ``"hist"``: a histogram with the interval of each bar.
        variables
            Which; the first 12 by default.
        ax, figsize
            Axes of yours to draw in, as many as there are panels, or width and height of a new figure in inches.
        """
        from brim.post.calibration.plot import draw
        from brim.post.plots.figures import Canvas

        one_of("kind", kind, ("ecdf", "hist"))
        number("prob", prob, above=0, below=1)
        return draw(self.ranks[self._chosen(variables)], self.draws, kind, prob, Canvas.of(ax, figsize))

    def _chosen(self, variables: str | Iterable[str] | None) -> list[str]:
        known = [str(c) for c in self.ranks.columns]
        if variables is None:
            return known[:12]
        wanted = [variables] if isinstance(variables, str) else list(variables)
        for name in wanted:
            if name not in known:
                raise BrimError(f"there are no ranks of '{name}'", hint=suggest(str(name), known, "variables"))
        return wanted

    def __str__(self) -> str:
        kind, failed = self.info.get("kind", "prior"), self.info.get("failed", 0)
        lines = [f"{kind.capitalize()} SBC of {self.info.get('formula', '')}: {len(self.ranks)} simulations, {self.draws} draws each"]
        lines += [f"truth: {self.info['prior_draws']}; fits: {self.info['engine']}"] if "engine" in self.info else []
        lines += [f"{failed} simulations could not be fitted"] if failed else []
        worst = int((self.fits["divergent"] > 0).sum())
        lines += [f"divergent transitions in {worst} fits"] if worst else []
        low = float(self.fits["ess"].median())
        if low < 0.5 * self.draws:
            lines.append(f"smallest effective sample size {low:.0f} of {self.draws} draws (median): raise thin, or ranks are too extreme")
        return "\n".join([*lines, "", self.summary().to_string(float_format=lambda x: f"{x:.3g}")])

    def __repr__(self) -> str:
        return str(self)


def _row(ranks: np.ndarray, draws: int, level: float) -> dict[str, Any]:
    mean, spread = scaled_moments(ranks, draws)
    p = {"chi2_p": chi_square(ranks, draws), "ecdf_p": ecdf_p(ranks, draws)}
    verdict = "ok" if min(p.values()) >= level else _wrong(mean, spread)
    return {"mean": float(np.mean(ranks + 0.5) / (draws + 1)), **p, "z_mean": mean, "z_var": spread, "verdict": verdict}


def _wrong(mean: float, spread: float) -> str:
    if abs(mean) > abs(spread):
        return "estimates too low" if mean > 0 else "estimates too high"
    return "posterior too narrow" if spread > 0 else "posterior too wide"
