"""How the hazard depends on a marker: its value, slope, area, in the predictor or on the response's scale, or the subject's effects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

from brim.errors import BrimError, suggest

__all__ = ["Association", "read_associations"]

_KINDS = ("etavalue", "etaslope", "etaauc", "muvalue", "muslope", "muauc", "shared_b", "shared_coef")
_CROSS = ("etavalue_etavalue", "etavalue_muvalue", "muvalue_etavalue", "muvalue_muvalue")


@final
@dataclass(frozen=True)
class Association:
    """One kind of term in the log hazard.

    Attributes
    ----------
    marker
        Number of the marker, from 0.
    kind
        ``etavalue``, ``etaslope``, ``etaauc``, ``muvalue``, ``muslope``, ``muauc``, ``shared_b`` or ``shared_coef``.
    data
        The formula whose columns multiply it (``etavalue_data(~ x)``); empty for the term itself.
    other, other_kind
        Another marker, and its quantity, that multiply it (``etavalue_etavalue(2)``); ``other < 0`` for none.
    which
        The effects of ``shared_b(1)``, from 0; empty for all.
    """

    marker: int
    kind: str
    data: str = ""
    other: int = -1
    other_kind: str = ""
    which: tuple[int, ...] = ()


def read_associations(marker: int, given: str | list[str] | tuple[str, ...] | None, markers: int) -> tuple[Association, ...]:
    """The terms of one marker: ``"etavalue"``, ``["etavalue", "etaslope"]``, ``None`` or ``"null"`` for none.

    Examples
    --------
    >>> [a.kind for a in read_associations(0, ["etavalue", "etavalue_data(~ trt)"], 1)]
    ['etavalue', 'etavalue']
    """
    if given is None or given == "null":
        return ()
    out = []
    for text in [given] if isinstance(given, str) else given:
        found = re.fullmatch(r"(\w+?)(_data)?\s*(?:\((.*)\))?", text.strip())
        if found is None:
            raise BrimError(f"assoc = {text!r}", hint=suggest(text, _KINDS, "kinds of association"))
        name, data, inside = found[1], found[2], (found[3] or "").strip()
        if name in _CROSS and not data:
            other = int(inside) - 1 if inside.isdigit() else -1
            if not 0 <= other < markers or other == marker:
                raise BrimError(f"assoc = {text!r} names no other marker", hint="say which: etavalue_etavalue(2)")
            first, second = name.split("_")
            out.append(Association(marker, first, other=other, other_kind=second))
        elif name in _KINDS and (not data or name[:3] in ("eta", "muv", "mus")):
            which = tuple(int(v) - 1 for v in re.findall(r"\d+", inside)) if name.startswith("shared") else ()
            out.append(Association(marker, name, data=inside if data else "", which=which))
        else:
            raise BrimError(f"assoc = {text!r}", hint=suggest(name, (*_KINDS, *_CROSS), "kinds of association"))
    return tuple(out)
