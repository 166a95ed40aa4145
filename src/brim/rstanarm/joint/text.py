"""How fits of several markers and joint models print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from brim.language.expand import deparse
from brim.post.summaries.tables import statistics
from brim.rstanarm.language import sides
from brim.rstanarm.text import cells, error_terms, in_r, medians, table

if TYPE_CHECKING:
    from brim.rstanarm.call import Call

__all__ = ["joint_text"]

_RULE = "------"
Draws = Mapping[str, np.ndarray]


def joint_text(call: Call, draws: Draws, digits: int = 3) -> str:
    """Each marker's coefficients and auxiliary parameter, the event's with their exponentials, the group effects."""
    labels = [p.rstrip("|") for p in call.prefixes]
    out = [call.function]
    for label, formula, family in zip(labels, call.formulas, call.family.split(", "), strict=False):
        out += [f" formula ({label}): {in_r(formula)}", f" family  ({label}): {family}"]
    if call.event:
        out += [f" formula (Event): {in_r(call.formulas[-1])}", *(f" {k}: {v}" for k, v in call.event.items())]
    out.append(_RULE)
    for i, prefix in enumerate(call.prefixes):
        out += ["", _title(call.function, i, prefix, len(labels)) + deparse(sides(call.formulas[i])[0])]
        names = [n for n in (*call.coefs, *call.aux) if n.startswith(prefix)]
        out += medians(draws, names, digits, [n.removeprefix(prefix) for n in names])
    if call.event:
        out += ["", "Event submodel:", *_event(call, draws, digits)]
    # the covariances alone: residual scales are the markers' own
    own = {k: v for k, v in draws.items() if k.startswith("Sigma[")}
    return "\n".join([*out, "", "Group-level error terms:", *error_terms(call.names.groups, own, 5), "", _RULE])


def _title(function: str, i: int, prefix: str, many: int) -> str:
    if function == "stan_mvmer":
        return f"Submodel for {prefix.rstrip('|')}: "
    return f"Longitudinal submodel{f' {i + 1}' if many > 1 else ''}: "


def _event(call: Call, draws: Draws, digits: int) -> list[str]:
    names = [n for n in (*call.coefs, *call.aux) if n.startswith(("Event|", "Assoc|"))]
    values = []
    for n in names:
        middle, spread = statistics(np.ravel(draws[n]), robust=True)[:2]
        values.append([middle, spread, float("nan") if n in call.aux else np.exp(middle)])
    shown = [n.removeprefix("Event|").removeprefix("Assoc|") for n in names]
    return table(("Median", "MAD_SD", "exp(Median)"), shown, cells(values, digits))
