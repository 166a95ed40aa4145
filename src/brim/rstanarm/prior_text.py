"""How ``prior_summary()`` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["prior_text"]

_RULE = "------"
_ORDER = (
    "prior_intercept",
    "prior",
    "prior_intercept_z",
    "prior_z",
    "prior_aux",
    "prior_covariance",
    "prior_counts",
    "scobit_exponent",
    "priorLong_intercept",
    "priorLong",
    "priorLong_aux",
    "priorEvent_intercept",
    "priorEvent",
    "priorEvent_aux",
    "priorEvent_assoc",
)
_TITLES = {
    "prior_intercept": "Intercept (after predictors centered)",
    "prior": "Coefficients",
    "prior_z": "Coefficients_z",
    "prior_intercept_z": "Intercept_z (after predictors centered)",
    "prior_aux": "Auxiliary",
    "prior_covariance": "Covariance",
    "prior_counts": "Counts",
    "scobit_exponent": "Scobit Exponent",
    "priorEvent_assoc": "Association parameters",
}


def prior_text(parts: Mapping[str, Any], digits: int = 2) -> str:
    """Each prior as specified and, where it was, as adjusted; scales with so many digits more than three."""
    out = ["Priors", _RULE]
    for title, part in _pieces(parts):
        out += [title, *_lines(part, digits), ""]
    return "\n".join([*out[:-1], _RULE])


def _pieces(parts: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Titles and priors in order; those of several markers marker by marker."""
    known = [k for k in _ORDER if parts.get(k)]
    keys = [k for k in known if k != "prior_covariance"] + [k for k in parts if k not in _ORDER and parts[k]]
    labels = list(dict.fromkeys(label for k in keys if _many(parts[k]) for label in parts[k]))
    out = [
        (f"{label}|{_title(k.replace('Long', ''), parts[k][label])}", parts[k][label])
        for label in labels
        for k in keys
        if _many(parts[k]) and parts[k].get(label)
    ]
    for k in (k for k in keys if not _many(parts[k])):
        event = "Event|" if k.startswith("priorEvent") and k != "priorEvent_assoc" else ""
        out.append((event + _title(k if k in _TITLES else k.replace("Event", ""), parts[k]), parts[k]))
    if parts.get("prior_covariance"):
        at = len(out) if not parts.get("prior_counts") else len(out) - 1
        out.insert(at, (_TITLES["prior_covariance"], parts["prior_covariance"]))
    return out


def _many(part: Mapping[str, Any]) -> bool:
    return "dist" not in part


def _title(key: str, part: Mapping[str, Any]) -> str:
    title = _TITLES.get(key, key.replace("_", " "))
    if part.get("aux_name"):
        return f"{title} ({part['aux_name']})"
    return f"{title} (in Q-space)" if part.get("QR") else title


def _lines(part: Mapping[str, Any], digits: int) -> list[str]:
    if part["dist"] == "lkj":
        size = len(np.ravel(part["adjusted_scale"])) if part.get("adjusted_scale") is not None else 1
        own = ", ".join(f"{name} = {_same(part[name], size, digits)}" for name in ("df", "scale"))
        more = (
            [] if part.get("adjusted_scale") is None else [f"     **adjusted scale = {_many_numbers(part['adjusted_scale'], digits + 3)}"]
        )
        return [f" ~ lkj(reg. = {_number(part['regularization'], digits)}, {own})", *more]
    law, used = _law(part, "scale", digits), _law(part, "adjusted_scale", digits)
    return [f" ~ {law}"] if used is None else ["  Specified prior:", f"    ~ {law}", "  Adjusted prior:", f"    ~ {used}"]


def _law(part: Mapping[str, Any], scale: str, digits: int) -> str | None:
    """A prior in words with the scale of that name; ``None`` where there is none."""
    dist = part["dist"]
    if dist is None:
        return "flat" if scale == "scale" else None
    if scale == "adjusted_scale" and part.get("adjusted_scale") is None:
        return None
    if dist == "exponential":
        rate = part["rate"] if scale == "scale" else 1.0 / np.ravel(part["adjusted_scale"])[0]
        return f"exponential(rate = {_number(rate, digits + 3)})"
    if dist == "decov":
        names = {"reg.": "regularization", "conc.": "concentration", "shape": "shape", "scale": "scale"}
        return f"decov({', '.join(f'{short} = {_numbers(part[k], digits)}' for short, k in names.items())})"
    if dist == "R2":
        return f"R2(location = {_number(part['location'], digits + 3)}, what = '{part['what']}')"
    half = "half-" if part.get("aux_name") and not part.get("signed") and dist in ("normal", "student_t", "cauchy") else ""
    skipped = ("dist", "adjusted_scale", "scale", "aux_name", "rate", "QR", "signed", "autoscale") + (("df",) if dist == "cauchy" else ())
    given = {k: part[k] for k in part if k not in skipped and part[k] is not None}
    given = {**({"df": given.pop("df")} if "df" in given else {}), **given}
    used = part[scale] if part.get(scale) is not None else None
    if used is not None:
        given["scale"] = used
    if dist in ("hs", "hs_plus"):
        given = {"df": given["df"]}
    if dist == "gamma":
        given["rate"] = part["rate"]
    return f"{half}{dist}({', '.join(f'{k} = {_numbers(v, digits)}' for k, v in given.items())})"


def _number(value: float, digits: int) -> str:
    return f"{float(value):.{digits}g}"


def _same(value: float, times: int, digits: int) -> str:
    return _numbers([value] * times, digits)


def _numbers(value: Any, digits: int) -> str:
    """A number, or the first three of several."""
    return value if isinstance(value, str) else _many_numbers(value, digits, brief=True)


def _many_numbers(value: Any, digits: int, brief: bool = False) -> str:
    """Numbers with a common number of decimals."""
    numbers = np.ravel(np.asarray(value, float))
    shown = [_plain(v, digits if not brief else digits + 3) for v in numbers]
    if len(numbers) > 1:
        decimals = max(len(s.partition(".")[2]) for s in shown)
        shown = [f"{v:.{decimals}f}" if "e" not in s else s for v, s in zip(numbers, shown, strict=True)]
    if len(shown) == 1:
        return shown[0]
    kept: Sequence[str] = shown[:3] if brief else shown
    tail = ",..." if brief and len(shown) > 3 else ""
    return f"[{(',' if brief else ', ').join(kept)}{tail}]"


def _plain(value: float, digits: int) -> str:
    return f"{value:.{digits}g}"
