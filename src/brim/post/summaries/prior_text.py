"""The prior table in text, as brms prints it: flat and inherited priors spelled out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from brim.post.summaries.text import format_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "print_priors", "prior_cells", "prior_lines"]

#: brms' columns.
COLUMNS = ("prior", "class", "coef", "group", "resp", "dpar", "nlpar", "lb", "ub", "source")


def _resolved(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Rows as they hold: an empty prior is that of the group or class (source ``(vectorized)``), bounds are the class'."""
    records: list[dict[str, str]] = table.to_dict("records")
    places = ("class", "coef", "group", "resp", "dpar", "nlpar")
    by_key = {tuple(r[p] for p in places): r for r in records}
    for r in records:
        above = [by_key.get((r["class"], "", group, r["resp"], r["dpar"], r["nlpar"])) for group in (r["group"], "")]
        bases = [b for b in above if b is not None and b is not r]
        out = dict(r)
        for bound in ("lb", "ub"):
            out[bound] = next((b[bound] for b in (r, *bases) if b[bound]), "")
        if not r["prior"] and r["source"] == "default" and bases:
            out["prior"] = next((b["prior"] for b in bases if b["prior"]), "")
            out["source"] = "(vectorized)"
        out["prior"] = out["prior"] or "(flat)"
        yield out


def print_priors(table: pd.DataFrame) -> str:
    """The prior table as brms prints it: inherited priors spelled out with source ``(vectorized)``, flat ones as ``(flat)``.

    Parameters
    ----------
    table
        What ``Fit.prior_summary()`` or ``default_prior()`` gives.

    Examples
    --------
    >>> import brim
    >>> print(print_priors(brim.default_prior("Reaction ~ Days", brim.load_data("sleepstudy"))))
                       prior     class coef group resp dpar nlpar lb ub       source
                      (flat)         b                                       default
                      (flat)         b Days                             (vectorized)
    student_t(3, 288.7, 59.3) Intercept                                       default
       student_t(3, 0, 59.3)     sigma                             0         default
    """
    return "\n".join(format_table(list(COLUMNS), prior_cells(table)))


def prior_cells(table: pd.DataFrame) -> list[list[str]]:
    """The cells of the prior table as brms prints them."""
    return [[r[c] for c in COLUMNS] for r in _resolved(table)]


def prior_lines(table: pd.DataFrame) -> list[str]:
    """One line a prior that was given or is a default of its own: ``<lower=0> sd_g__x ~ exponential(1)``."""
    lines = []
    for r, own in zip(_resolved(table), table["prior"], strict=True):
        if not own:
            continue
        bounds = [f"{word}={r[b]}" for word, b in (("lower", "lb"), ("upper", "ub")) if r[b]]
        name = "_".join(r[p] for p in ("class", "resp", "dpar", "nlpar", "group") if r[p])
        name += ("__" if r["group"] else "_") + r["coef"] if r["coef"] else ""
        lines.append(f"<{','.join(bounds)}> {name} ~ {own}" if bounds else f"{name} ~ {own}")
    return lines
