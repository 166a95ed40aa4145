"""The prior of each parameter: brms' rows of a model, the user's priors matched with them, what they mean for each element."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from brim.errors import BrimError, suggest, warn
from brim.parameters.laws import JOINT, LAWS, SHRINKING
from brim.parameters.param import Param, Piece, Slot, Where
from brim.parameters.prior import Key, PriorRow, Priors, read_priors
from brim.parameters.text import ParsedPrior, parse_prior

__all__ = ["resolve"]

#: The parts of an address, in the order in which a mistake is looked for.
FIELDS = ("class_", "coef", "group", "resp", "dpar", "nlpar")


def _slot_rows(slot: Slot, param: Param) -> list[PriorRow]:
    """The rows under which a slot can be reached, from the most specific to the class."""
    w = slot.where
    address: dict[str, Any] = {"resp": w.resp, "dpar": w.dpar, "nlpar": w.nlpar}
    bounds: dict[str, Any] = {"lb": param.lb, "ub": param.ub}
    if slot.own_default and not slot.in_class:
        return [PriorRow(slot.own_default, slot.class_, slot.coef, slot.group, **address, **bounds)]
    rows = []
    if slot.coef:
        rows.append(PriorRow(slot.own_default, slot.class_, slot.coef, slot.group, **address))
    if slot.group:
        rows.append(PriorRow("", slot.class_, "", slot.group, **address))
    rows.append(PriorRow(slot.default, slot.class_, **address, **bounds))
    return rows


def _sort_key(row: PriorRow) -> tuple[tuple[str, str], ...]:
    order = (row.class_, row.group, row.resp, row.dpar, row.nlpar, row.coef)
    return tuple((v.lower(), v) for v in order)


def resolve(
    params: tuple[Param, ...], given: Priors | None = None, data2: Mapping[str, Any] | None = None
) -> tuple[tuple[Param, ...], tuple[PriorRow, ...]]:
    """Match the user's priors with the model's rows; give each parameter its prior.

    A coefficient takes its own row's prior, else its group's, else its class'. ``data2`` holds the matrices that ``constant()`` names.

    Returns
    -------
    params, rows
        Parameters with ``pieces`` (and ``constants``, bounds) filled, and the prior table in brms' order.

    Raises
    ------
    BrimError
        A prior matches nothing, stands twice for one address, or does not fit its parameter.
    """
    rows: dict[Key, PriorRow] = {}
    for param in params:
        for slot in param.slots:
            for row in _slot_rows(slot, param):
                rows.setdefault(row.key, row)
    users = _matched(read_priors(given), rows)
    for user in users:
        rows[user.key] = _merge(rows[user.key], user)
    _warn_unused(users, params, rows)
    resolved = tuple(_resolve_param(p, rows, data2 or {}) if p.slots else p for p in params)
    _warn_support(users, resolved, rows)
    return resolved, tuple(sorted(rows.values(), key=_sort_key))


def _matched(given: Priors, rows: Mapping[Key, PriorRow]) -> list[PriorRow]:
    """The user's rows that say something else than the model's own, each matching one of these."""
    seen: dict[Key, PriorRow] = {}
    for user in given:
        if user.key not in rows and user.kept:
            continue
        if user.key not in rows:
            raise _no_match(user, list(rows.values()))
        if user.key in seen:
            what = f"two priors are given for {user.describe()}: {seen[user.key].prior or '(flat)'} and {user.prior or '(flat)'}"
            raise BrimError(what, hint="keep one of them")
        seen[user.key] = user
    return [u for u in seen.values() if (u.prior, u.lb, u.ub, u.tag) != (rows[u.key].prior, rows[u.key].lb, rows[u.key].ub, "")]


def _warn_unused(users: Iterable[PriorRow], params: tuple[Param, ...], rows: Mapping[Key, PriorRow]) -> None:
    """A prior of a class whose every coefficient has one of its own reaches none of them, as in brms; a joint one does not go with any."""
    slots = [s for p in params for s in p.slots]
    reached = {_row_for(s, rows, p)[0].key for p in params for s in p.slots}
    for user in users:
        if user.prior and user.key not in reached:
            if (law := user.prior.partition("(")[0].strip()) in SHRINKING:
                raise _own_priors(law, user.class_, any(s.shrinks.signed for s in slots if s.class_ == user.class_ and s.shrinks))
            own = dict.fromkeys(s.coef or s.group for s in slots if s.class_ == user.class_ and s.where == _where(user))
            hint = f"give coef= too, one of {', '.join(own)}"
            warn(f"the prior {user.prior} for {user.describe()} is not used: each coefficient has its own; {hint}")


def _own_priors(law: str, class_: str, signed: bool) -> BrimError:
    what = "all coefficients" if signed else "all parameters"
    return BrimError(
        f"{law}() covers {what} of class {class_}: single ones cannot have priors of their own",
        hint=f"give it without coef and group, and leave other priors of class {class_} out",
    )


def _where(row: PriorRow) -> Where:
    return Where(row.resp, row.dpar, row.nlpar)


def _warn_support(users: Iterable[PriorRow], params: tuple[Param, ...], rows: Mapping[Key, PriorRow]) -> None:
    """A prior that is zero where its parameter may go: chains that step there are rejected, and the posterior ends in a cliff."""
    mine = {u.key for u in users}
    told: dict[Key, str] = {}
    for param in params:
        for piece in param.pieces:
            if piece.law not in LAWS or not param.slots:
                continue
            low, high = LAWS[piece.law].ends(piece.args)
            low_open = low > -math.inf and (param.lb is None or param.lb < low)
            high_open = high < math.inf and (param.ub is None or param.ub > high)
            for i in param.elements(piece):
                row = _row_for(param.slots[min(i, len(param.slots) - 1)], rows, param)[0]
                if row.key in mine and (low_open or high_open):
                    told[row.key] = _support_text(row, low if low_open else None, high if high_open else None)
    for text in told.values():
        warn(text)


def _support_text(row: PriorRow, low: float | None, high: float | None) -> str:
    sides = [f"{side} {v:g}" for side, v in (("below", low), ("above", high)) if v is not None]
    bounds = ", ".join(f"{name}={v:g}" for name, v in (("lb", low), ("ub", high)) if v is not None)
    to = "the whole class" if row.coef else "it"
    return (
        f"the prior {row.prior} for {row.describe()} has no mass {' and '.join(sides)}, where the parameter has no such bound; "
        f"if that is meant, give {to} the bound: prior(..., class_='{row.class_}', {bounds})"
    )


def _merge(old: PriorRow, user: PriorRow) -> PriorRow:
    if (user.lb is not None or user.ub is not None) and user.coef and (user.lb, user.ub) != (old.lb, old.ub):
        raise BrimError(
            f"bounds cannot be set for a single coefficient ({user.describe()})",
            hint=f"give lb and ub with class = {user.class_} alone" + (f", group = {user.group}" if user.group else ""),
        )
    if (user.lb is not None or user.ub is not None) and user.class_ in ("L", "Lme", "Lrescor", "Lcortime", "simo", "theta"):
        raise BrimError(f"bounds cannot be set for {user.describe()}", hint="correlation matrices and simplices have their own")
    lb = old.lb if user.lb is None else user.lb
    ub = old.ub if user.ub is None else user.ub
    return replace(user, lb=lb, ub=ub)


def _no_match(user: PriorRow, rows: list[PriorRow]) -> BrimError:
    """The error for a prior without parameter: what its address lacks, or the nearest address."""
    what = f"the prior {user.prior or '(flat)'} for {user.describe()} matches no parameter of the model"
    given = [name for name in FIELDS if getattr(user, name)]

    def alike(names: list[str]) -> list[PriorRow]:
        return [r for r in rows if all(getattr(r, n) == getattr(user, n) for n in names)]

    more = dict.fromkeys(_difference(user, r) for r in alike(given))
    fewest = [m for m in more if m.count(" = ") == min(k.count(" = ") for k in more)]
    if more:
        return BrimError(what, hint="say which: " + " or ".join(fewest[:8]) + (", ..." if len(fewest) > 8 else ""))
    if user.class_ == "b" and user.coef == "Intercept" and any(r.class_ == "Intercept" for r in rows):
        return BrimError(what, hint="the intercept has a class of its own: prior(..., class_='Intercept')")
    for name in given:
        options = list(dict.fromkeys(getattr(r, name) for r in alike([n for n in given if n != name]) if getattr(r, name)))
        if options:
            label, value = name.rstrip("_"), getattr(user, name)
            return BrimError(what, hint=f"{label} = {value}: " + suggest(value, options, f"{label} here"))
    classes = list(dict.fromkeys(r.class_ for r in rows))
    if user.class_ not in classes:
        return BrimError(what, hint=f"class = {user.class_}: " + suggest(user.class_, classes, "classes here"))
    nearest = dict.fromkeys(r.describe() for r in rows if r.class_ == user.class_)
    return BrimError(what, hint=f"priors of class {user.class_} here: " + "; ".join(list(nearest)[:8]))


def _difference(user: PriorRow, row: PriorRow) -> str:
    """What an address has that the user's lacks."""
    return ", ".join(f"{n.rstrip('_')} = {getattr(row, n)}" for n in FIELDS if not getattr(user, n) and getattr(row, n))


def _row_for(slot: Slot, rows: Mapping[Key, PriorRow], param: Param) -> tuple[PriorRow, PriorRow]:
    """The row whose prior holds for a slot, and the one whose bounds do: the group's if it has some, else the class'."""
    mine = [rows[r.key] for r in _slot_rows(slot, param)]
    chosen = next((r for r in mine if r.prior or (r.source == "user" and (r.lb, r.ub) == (None, None))), mine[-1])
    return chosen, next((r for r in mine if (r.lb, r.ub) != (None, None)), mine[-1])


def _resolve_param(param: Param, rows: Mapping[Key, PriorRow], data2: Mapping[str, Any]) -> Param:
    chosen = [_row_for(s, rows, param) for s in param.slots]
    bounds = {(c.lb, c.ub) for _, c in chosen}
    if len(bounds) > 1:
        raise BrimError(f"the elements of '{param.name}' were given different bounds", hint="effects that share an ID need the same bounds")
    lb, ub = (param.symbols.get(b, b) if isinstance(b, str) else b for b in bounds.pop())
    param = replace(param, lb=lb, ub=ub)
    texts = [r.prior for r, _ in chosen]
    if any(parse_prior(t, param.symbols).law in SHRINKING for t in texts):
        return _resolve_shrinkage(param, texts, chosen[0][0], rows)
    if param.joint:
        return _resolve_joint(param, texts[0], chosen[0][0], data2)
    return _resolve_elements(param, texts, [r for r, _ in chosen])


def _resolve_elements(param: Param, texts: list[str], rows: list[PriorRow]) -> Param:
    """Elements with the same prior text become one piece, or are held constant."""
    pieces: list[Piece] = []
    held: dict[int, float] = {}
    center = np.array(np.broadcast_to(np.asarray(param.center, float), (param.size,)))
    for text in dict.fromkeys(texts):
        parsed = parse_prior(text, param.symbols)
        index = tuple(i for i, t in enumerate(texts) if t == text)
        row = rows[index[0]]
        if parsed.law == "constant":
            if len(parsed.args) != 1:
                raise BrimError(
                    f"{text} for {row.describe()} is not one number", hint="a matrix or a vector holds a whole class: cor, simo, theta"
                )
            _check_bounds(parsed.args[0], param, row)
            held |= dict.fromkeys(index, parsed.args[0])
        elif parsed.law in JOINT:
            whole = "correlation matrix" if "lkj" in parsed.law else "simplex"
            hint = "give it to class_='cor'" if "lkj" in parsed.law else "give it to class_='simo' or 'theta'"
            raise BrimError(f"{text} is a prior for a whole {whole}, not for {row.describe()}", hint=hint)
        elif parsed.law != "flat":
            log_mass = _log_mass(parsed.law, parsed.args, param.lb, param.ub, row)
            pieces.append(Piece(parsed.law, None if len(index) == param.size else index, args=parsed.args, log_mass=log_mass))
            center[list(index)] = _start(parsed.law, parsed.args, param.lb, param.ub)
    if param.space != "real" and 0 < len(held) < param.size:
        class_ = param.slots[0].class_
        what = f"class = {class_}: some elements are constant and others are not, and they depend on each other"
        raise BrimError(what, hint="hold all of them constant, or none")
    return replace(param, pieces=tuple(pieces), constants=tuple(held), constant_values=tuple(held.values()), center=center)


def _resolve_joint(param: Param, text: str, row: PriorRow, data2: Mapping[str, Any]) -> Param:
    parsed = parse_prior(text)
    if parsed.law == "flat":
        return param
    if parsed.law == "constant":
        values = _held_matrix(parsed, param, row, data2) if param.space == "cholesky_corr" else _held_simplex(parsed, param, row)
        return replace(param, constants=tuple(range(param.size)), constant_values=tuple(np.ravel(values).tolist()))
    if parsed.law not in JOINT:
        wanted = "lkj(eta)" if param.space == "cholesky_corr" else "dirichlet(a)"
        raise BrimError(f"the prior {text} for {row.describe()} is not a law of the whole array", hint=f"use {wanted}")
    args = parsed.args
    if parsed.law == "dirichlet":
        n = param.shape[-1]
        if len(args) not in (1, n):
            raise BrimError(f"{text} has {len(args)} arguments for {n} elements ({row.describe()})", hint=f"give 1 or {n}")
        args = args * n if len(args) == 1 else args
    return replace(param, pieces=(Piece(parsed.law, None, args=args),))


def _held_matrix(parsed: ParsedPrior, param: Param, row: PriorRow, data2: Mapping[str, Any]) -> np.ndarray:
    """The Cholesky factor of the correlation matrix that ``constant()`` gives, or that factor itself."""
    k, what = param.shape[-1], f"{row.prior} for {row.describe()}"
    if isinstance(parsed.matrix, str) and parsed.matrix and parsed.matrix not in data2:
        raise BrimError(f"{what}: there is no '{parsed.matrix}' in data2", hint=suggest(parsed.matrix, data2, "objects in data2"))
    given = data2[parsed.matrix][0] if isinstance(parsed.matrix, str) and parsed.matrix else parsed.matrix or ((parsed.args[0],),)
    if k == 2 and len(parsed.args) == 1:  # one number: the correlation
        given = ((1.0, parsed.args[0]), (parsed.args[0], 1.0))
    sizes = {len(r) for r in given} if not isinstance(given, np.ndarray) else {given.shape[-1]}
    if sizes != {k} or len(given) != k:
        raise BrimError(f"{what} is no matrix of {k} x {k}", hint=f"it correlates {k} effects")
    matrix = np.array(given, float)
    low = matrix if np.allclose(matrix, np.tril(matrix)) and not np.allclose(matrix, np.eye(k)) else None
    if low is None:
        try:
            low = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            low = np.zeros((k, k))
        if not np.allclose(matrix, matrix.T):
            low = np.zeros((k, k))
    if not np.allclose(np.sum(low * low, axis=1), 1.0) or not (np.diagonal(low) > 0).all():
        raise BrimError(f"{what} is no correlation matrix", hint="symmetric, positive definite, ones on the diagonal")
    return np.broadcast_to(low, param.shape)


def _held_simplex(parsed: ParsedPrior, param: Param, row: PriorRow) -> np.ndarray:
    values = np.array(parsed.args)
    if len(values) != param.shape[-1] or (values < 0).any() or not math.isclose(values.sum(), 1.0, abs_tol=1e-8):
        raise BrimError(f"{row.prior} for {row.describe()} is no simplex of {param.shape[-1]}", hint="numbers >= 0 that sum to 1")
    return values


def _resolve_shrinkage(param: Param, texts: list[str], row: PriorRow, rows: Mapping[Key, PriorRow]) -> Param:
    """A prior of all parameters of a class together: none may have its own, nor bounds, nor a second predictor."""
    law = parse_prior(next(t for t in texts if parse_prior(t, param.symbols).law in SHRINKING)).law
    class_, where = param.slots[0].class_, param.slots[0].where
    shrinks = param.slots[0].shrinks
    if shrinks is None or (law == "lasso" and class_ != "b"):
        allowed = "b" if law == "lasso" else "b, and of standard deviations and autoregressions"
        raise BrimError(f"{law}() is a prior of class {allowed}, not of {row.describe()}")
    if any(s.where != where for s in param.slots):
        raise BrimError(f"{law}() does not go with group effects that are correlated across predictors", hint="leave the ID out")
    own = any(r.prior and (r.coef or r.group) for r in where_rows(rows.values(), where) if r.class_ == class_)
    if len(set(texts)) > 1 or own:
        raise _own_priors(law, class_, shrinks.signed)
    if (param.lb, param.ub) != (None if shrinks.signed else 0.0, None):
        raise BrimError(f"{law}() does not go with bounds", hint=_unbounded(class_))
    if class_ == "sd" and len(param.shape) > 1:
        raise BrimError(f"{law}() of class sd does not go with gr(by = )", hint="leave by out, or give class sd another prior")
    return replace(param, special=texts[0])


def _unbounded(class_: str) -> str:
    """How to be rid of the bounds."""
    return "use cov = FALSE and a family with residuals of its own" if class_ in ("ar", "ma") else "leave lb and ub out"


def _check_bounds(value: float, param: Param, row: PriorRow) -> None:
    if (param.lb is not None and value < param.lb) or (param.ub is not None and value > param.ub):
        raise BrimError(
            f"constant({value:g}) for {row.describe()} is outside the parameter's bounds", hint=f"lb = {param.lb}, ub = {param.ub}"
        )


def _log_mass(law: str, args: tuple[float, ...], lb: float | None, ub: float | None, row: PriorRow) -> float:
    """log P(lb < X < ub): what truncation at the bounds divides by."""
    cdf = LAWS[law].cdf
    if (lb is None and ub is None) or cdf is None:
        return 0.0
    upper = 1.0 if ub is None else float(cdf(np.float64(ub), *args))
    lower = 0.0 if lb is None else float(cdf(np.float64(lb), *args))
    if not upper > lower:
        raise BrimError(
            f"the prior {law}({', '.join(f'{a:g}' for a in args)}) for {row.describe()} has no mass between lb = {lb} and ub = {ub}"
        )
    return math.log(upper - lower)


def _start(law: str, args: tuple[float, ...], lb: float | None, ub: float | None) -> float:
    """Where a chain starts, unconstrained: the prior's location, or half its scale for a positive parameter."""
    spec = LAWS[law]
    loc = args[spec.location] if spec.location is not None else 0.0
    if lb is None and ub is None:
        return loc
    if lb is not None and ub is None:
        scale = args[spec.scale] if spec.scale is not None else 1.0
        return math.log(loc - lb) if loc > lb else math.log(0.5 * scale)
    if lb is not None and ub is not None and lb < loc < ub:
        return math.log((loc - lb) / (ub - loc))
    return 0.0


def where_rows(rows: Iterable[PriorRow], where: Where) -> list[PriorRow]:
    """The rows of one predictor."""
    return [r for r in rows if (r.resp, r.dpar, r.nlpar) == (where.resp, where.dpar, where.nlpar)]
