"""Priors: ``prior()``, brms' rows and matching rules, the resolved prior of each parameter and its log density."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.arguments import label
from brim.errors import BrimError, suggest, warn
from brim.parameters.laws import JOINT, LAWS, SHRINKING, SHRUNK, parse_prior
from brim.parameters.param import Param, Piece, Slot, Where

__all__ = ["PriorRow", "Priors", "log_density", "prior", "prior_args", "resolve"]

#: Classes of correlations and of the Cholesky factors that carry their prior.
CORRELATIONS = {"cor": "L", "corme": "Lme", "rescor": "Lrescor", "cortime": "Lcortime"}

Key = tuple[str, str, str, str, str, str]  # class, coef, group, resp, dpar, nlpar


@dataclass(frozen=True)
class PriorRow:
    """One row of brms' prior table."""

    prior: str
    class_: str = "b"
    coef: str = ""
    group: str = ""
    resp: str = ""
    dpar: str = ""
    nlpar: str = ""
    lb: float | str | None = None
    ub: float | str | None = None
    source: str = "default"

    @property
    def key(self) -> Key:
        return (self.class_, self.coef, self.group, self.resp, self.dpar, self.nlpar)

    def describe(self) -> str:
        """``class = b, coef = x``: the address in words."""
        names = ("class", "coef", "group", "resp", "dpar", "nlpar")
        return ", ".join(f"{n} = {v}" for n, v in zip(names, self.key, strict=True) if v)


@dataclass(frozen=True)
class Priors:
    """Priors given by the user; join them with ``+``."""

    rows: tuple[PriorRow, ...] = ()

    def __add__(self, other: Priors) -> Priors:
        return Priors(self.rows + read_priors(other).rows)

    def __iter__(self) -> Iterator[PriorRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return "\n".join(f"{r.describe()} ~ {r.prior or '(flat)'}" for r in self.rows)


def prior(
    prior: str,
    class_: str = "b",
    coef: str = "",
    group: str = "",
    resp: str = "",
    dpar: str = "",
    nlpar: str = "",
    lb: float | str | None = None,
    ub: float | str | None = None,
) -> Priors:
    """A prior for the parameters at an address, as brms' ``prior()``.

    Parameters
    ----------
    prior
        A distribution in Stan's notation and parameterisation: ``normal(0, 1)``, ``student_t(3, 0, 2.5)``, ``exponential(1)``,
        ``lkj(2)``, ``constant(1)``, ``""`` for a flat prior. Scales are standard deviations, rates are rates. ``horseshoe()`` and
        ``R2D2()`` are priors of whole classes, ``b sds sdgp sderr ar ma sdcar sd``; given to several classes of a predictor they
        are one prior, whose arguments are those of the one with ``main = TRUE``. ``lasso()`` is one of class ``b``.
    class_
        ``b``, ``Intercept``, ``sd``, ``cor``, ``sigma``, ... as ``default_prior`` lists them.
    coef, group, resp, dpar, nlpar
        Narrow the address: coefficient, grouping factor, response, distributional and nonlinear parameter.
    lb, ub
        Bounds of all parameters of the class (not of a single coefficient).

    Returns
    -------
    Priors
        To be joined with ``+`` and given to ``brm(prior=)``.

    Raises
    ------
    BrimError
        The distribution is unknown or its arguments are not valid.

    Examples
    --------
    >>> print(prior("normal(0, 1)", class_="b") + prior("exponential(1)", class_="sd", group="student"))
    class = b ~ normal(0, 1)
    class = sd, group = student ~ exponential(1)
    >>> print(prior("horseshoe(par_ratio = 0.2, main = TRUE)") + prior("horseshoe()", class_="sd"))
    class = b ~ horseshoe(par_ratio = 0.2, main = TRUE)
    class = sd ~ horseshoe()
    """
    text = str(prior).strip()
    class_, coef, group = label("class_", class_), label("coef", coef), label("group", group)
    resp, dpar, nlpar = label("resp", resp), label("dpar", dpar), label("nlpar", nlpar)
    class_ = CORRELATIONS.get(class_, class_)
    if class_ in CORRELATIONS.values() and text.startswith("lkj("):
        text = "lkj_corr_cholesky" + text[3:]
    parse_prior(text)
    lb, ub = _bound("lb", lb), _bound("ub", ub)
    if lb is not None and ub is not None and not lb < ub:
        raise BrimError(f"a prior's lower bound {lb:g} is not below its upper bound {ub:g}")
    return Priors((PriorRow(text, class_, coef, group, resp, dpar, nlpar, lb, ub, "user"),))


def _bound(name: str, value: Any) -> float | None:
    """A bound: a number, or one as text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise BrimError(f"{name} = {value!r}", hint=f"give a number: {name}=0") from error
    if math.isnan(found):
        raise BrimError(f"{name} = nan", hint=f"give a number: {name}=0")
    return found


def read_priors(given: Any) -> Priors:
    """``None``, one ``prior()``, a sum or a (nested) list of them."""
    if given is None:
        return Priors()
    if isinstance(given, Priors):
        return given
    if isinstance(given, str):
        raise BrimError(f"prior={given!r} is a string", hint=f"write prior=brim.prior({given!r}, class_='b')")
    return Priors(tuple(row for item in given for row in read_priors(item).rows))


# --------------------------------------------------------------------------- rows and matching


def _slot_rows(slot: Slot, param: Param) -> list[PriorRow]:
    """The rows under which a slot can be reached, from the most specific to the class."""
    w = slot.where
    address = {"resp": w.resp, "dpar": w.dpar, "nlpar": w.nlpar}
    bounds = {"lb": param.lb, "ub": param.ub}
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


def resolve(params: tuple[Param, ...], given: Priors | None = None) -> tuple[tuple[Param, ...], tuple[PriorRow, ...]]:
    """Match the user's priors with the model's rows; give each parameter its prior.

    A coefficient takes its own row's prior, else its group's, else its class'.

    Returns
    -------
    params, rows
        Parameters with ``pieces`` (and ``constants``, bounds) filled, and the prior table in brms' order.
    """
    rows: dict[Key, PriorRow] = {}
    for param in params:
        for slot in param.slots:
            for row in _slot_rows(slot, param):
                rows.setdefault(row.key, row)
    for user in read_priors(given):
        old = _match(user, rows)
        _warn_unused(user, params)
        rows[old.key] = _merge(old, user)
    resolved = tuple(_resolve_param(p, rows) if p.slots else p for p in params)
    return resolved, tuple(sorted(rows.values(), key=_sort_key))


def _warn_unused(user: PriorRow, params: tuple[Param, ...]) -> None:
    """A prior of a class whose every coefficient has a default of its own reaches none of them, as in brms."""
    slots = [s for p in params for s in p.slots if s.class_ == user.class_]
    if user.prior and not user.coef and slots and all(s.in_class for s in slots):
        coefs = ", ".join(s.coef for s in slots)
        hint = f"give coef= too, one of {coefs}"
        what = f"the prior {user.prior} for class = {user.class_} is not used: each coefficient has its own default; {hint}"
        warn(what)


def _merge(old: PriorRow, user: PriorRow) -> PriorRow:
    if (user.lb is not None or user.ub is not None) and (user.coef or (user.group and old.lb is None)):
        raise BrimError(
            f"bounds cannot be set for a single coefficient or group ({user.describe()})",
            hint=f"give lb and ub with class = {user.class_} alone",
        )
    lb = old.lb if user.lb is None else user.lb
    ub = old.ub if user.ub is None else user.ub
    return replace(user, lb=lb, ub=ub)


def _match(user: PriorRow, rows: Mapping[Key, PriorRow]) -> PriorRow:
    """The row a user's prior replaces, or an error that names the nearest address."""
    if user.key in rows:
        return rows[user.key]
    what = f"the prior {user.prior or '(flat)'} for {user.describe()} matches no parameter of the model"
    fields = ("class_", "resp", "dpar", "nlpar", "group", "coef")
    left = list(rows.values())
    for name in fields:
        value = getattr(user, name)
        match = [r for r in left if getattr(r, name) == value]
        if not match:
            options = sorted({getattr(r, name) for r in left} - {""})
            label = name.rstrip("_")
            if not value:
                raise BrimError(what, hint=f"say which {label}: {', '.join(options)}")
            raise BrimError(what, hint=f"{label} = {value}: " + suggest(value, options, f"{label} here"))
        left = match
    raise BrimError(what, hint="see brim.default_prior(formula, data) for the rows of this model")


def _row_for(slot: Slot, rows: Mapping[Key, PriorRow], param: Param) -> tuple[PriorRow, PriorRow]:
    """The row whose prior holds for a slot, and the class' row (for bounds)."""
    mine = [rows[r.key] for r in _slot_rows(slot, param)]
    chosen = next((r for r in mine if r.prior or r.source == "user"), mine[-1])
    return chosen, mine[-1]


def _resolve_param(param: Param, rows: Mapping[Key, PriorRow]) -> Param:
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
        return _resolve_joint(param, texts[0], chosen[0][0])
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
            _check_bounds(parsed.args[0], param, row)
            held |= dict.fromkeys(index, parsed.args[0])
        elif parsed.law in JOINT:
            whole = "correlation matrix" if "lkj" in parsed.law else "simplex"
            raise BrimError(f"{text} is a prior for a whole {whole}, not for {row.describe()}")
        elif parsed.law != "flat":
            log_mass = _log_mass(parsed.law, parsed.args, param.lb, param.ub, row)
            pieces.append(Piece(parsed.law, None if len(index) == param.size else index, args=parsed.args, log_mass=log_mass))
            center[list(index)] = _start(parsed.law, parsed.args, param.lb, param.ub)
    return replace(param, pieces=tuple(pieces), constants=tuple(held), constant_values=tuple(held.values()), center=center)


def _resolve_joint(param: Param, text: str, row: PriorRow) -> Param:
    parsed = parse_prior(text)
    if parsed.law == "flat":
        return param
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


def _resolve_shrinkage(param: Param, texts: list[str], row: PriorRow, rows: Mapping[Key, PriorRow]) -> Param:
    """A prior of all parameters of a class together: none may have its own, nor bounds, nor a second predictor."""
    law = parse_prior(next(t for t in texts if parse_prior(t, param.symbols).law in SHRINKING)).law
    class_, where = param.slots[0].class_, param.slots[0].where
    allowed = ["b"] if law == "lasso" else list(SHRUNK)
    if class_ not in allowed:
        raise BrimError(f"{law}() is a prior of class {', '.join(allowed)}, not of {row.describe()}")
    if any(s.where != where for s in param.slots):
        raise BrimError(f"{law}() does not go with group effects that are correlated across predictors", hint="leave the ID out")
    own = any(r.prior and (r.coef or r.group) for r in where_rows(rows.values(), where) if r.class_ == class_)
    if len(set(texts)) > 1 or own:
        what = "all coefficients" if SHRUNK[class_] else "all parameters"
        raise BrimError(
            f"{law}() covers {what} of class {class_}: single ones cannot have priors of their own",
            hint=f"give it without coef and group, and leave other priors of class {class_} out",
        )
    if (param.lb, param.ub) != (None if SHRUNK[class_] else 0.0, None):
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


# --------------------------------------------------------------------------- density


def prior_args(params: tuple[Param, ...]) -> dict[str, Any]:
    """The numbers of all priors, as a pytree that goes with the data: ``{param: ((args, log_mass), ...)}``."""
    return {p.name: tuple((tuple(np.float64(a) for a in piece.args), np.float64(piece.log_mass)) for piece in p.pieces) for p in params}


def log_density(param: Param, values: Mapping[str, Any], args: tuple[Any, ...]) -> Any:
    """Log prior density of one parameter (bounds' mass removed, constants included)."""
    x = values[param.name]
    total: Any = 0.0
    for piece, (given, log_mass) in zip(param.pieces, args, strict=True):
        if piece.law == "flat":
            continue
        if piece.law == "lkj_corr_cholesky":
            total = total + _lkj(x, given[0])
            continue
        if piece.law in JOINT:
            total = total + jnp.sum(JOINT[piece.law].distribution(*given).log_prob(x))
            continue
        v = x if piece.index is None else jnp.reshape(x, -1)[np.array(piece.index)]
        count = param.size if piece.index is None else len(piece.index)
        if piece.law == "std_normal":  # as below, with less arithmetic for the long vectors
            density = -0.5 * jnp.sum(v * v) - 0.5 * math.log(2 * math.pi) * count
        else:
            density = jnp.sum(LAWS[piece.law].distribution(*given).log_prob(v))
        total = total + density - count // param.copies * log_mass
    return total


def _lkj(low: Any, eta: Any) -> Any:
    """LKJ density of one or several Cholesky factors."""
    import numpyro.distributions as d

    return jnp.sum(d.LKJCholesky(low.shape[-1], eta).log_prob(low))


def where_rows(rows: Iterable[PriorRow], where: Where) -> list[PriorRow]:
    """The rows of one predictor."""
    return [r for r in rows if (r.resp, r.dpar, r.nlpar) == (where.resp, where.dpar, where.nlpar)]
