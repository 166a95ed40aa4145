"""Priors: ``prior()``, brms' rows, and the log density of a parameter under its resolved prior."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from brim.arguments import label, named
from brim.errors import BrimError, suggest
from brim.frames.frame import Frame
from brim.parameters.laws import JOINT, LAWS
from brim.parameters.param import Param
from brim.parameters.text import parse_prior

__all__ = ["CORRELATIONS", "Key", "PriorRow", "Priors", "log_density", "prior", "prior_args", "read_priors", "set_prior"]

#: Classes of correlations and of the Cholesky factors that carry their prior.
CORRELATIONS = {"cor": "L", "corme": "Lme", "rescor": "Lrescor", "cortime": "Lcortime"}

Key = tuple[str, str, str, str, str, str]  # class, coef, group, resp, dpar, nlpar
#: What narrows an address, by its name in brms' table.
ADDRESS = ("class", "coef", "group", "resp", "dpar", "nlpar")


@dataclass(frozen=True)
class PriorRow:
    """One row of brms' prior table.

    ``tag`` is a label of the user's; ``kept`` marks a row that ``update()`` took over and that may match nothing any more.
    """

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
    tag: str = ""
    kept: bool = False

    @property
    def key(self) -> Key:
        return (self.class_, self.coef, self.group, self.resp, self.dpar, self.nlpar)

    def describe(self) -> str:
        """``class = b, coef = x``: the address in words."""
        return ", ".join(f"{n} = {v}" for n, v in zip(ADDRESS, self.key, strict=True) if v)

    def __str__(self) -> str:
        bounds = [f"{word} = {v:g}" for word, v in (("lb", self.lb), ("ub", self.ub)) if isinstance(v, float)]
        return f"{', '.join([self.describe(), *bounds])} ~ {self.prior or '(flat)'}"


@dataclass(frozen=True, repr=False)
class Priors:
    """Priors given by the user; join them with ``+``."""

    rows: tuple[PriorRow, ...] = ()

    def __add__(self, other: Any) -> Priors:
        return Priors(self.rows + read_priors(other).rows)

    def __radd__(self, other: Any) -> Priors:
        return self if other == 0 else read_priors(other) + self  # sum() starts at 0

    def __iter__(self) -> Iterator[PriorRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return "\n".join(map(str, self.rows))

    __repr__ = __str__

    def over(self, older: Priors) -> Priors:
        """These, and the older ones for other addresses, which may match nothing any more."""
        mine = {row.key for row in self.rows}
        return Priors((*self.rows, *(replace(row, kept=True) for row in older.rows if row.key not in mine)))

    def used(self, rows: Iterable[PriorRow]) -> Priors:
        """Without kept ones that match none of the rows of a model."""
        keys = {row.key for row in rows}
        return Priors(tuple(replace(row, kept=False) for row in self.rows if not row.kept or row.key in keys))


@named
def prior(
    prior: Any,
    class_: Any = "b",
    coef: Any = "",
    group: Any = "",
    resp: Any = "",
    dpar: Any = "",
    nlpar: Any = "",
    lb: Any = None,
    ub: Any = None,
    tag: Any = "",
) -> Priors:
    """A prior for the parameters at an address, as brms' ``prior()``.

    Parameters
    ----------
    prior
        A distribution in Stan's notation and parameterisation: ``normal(0, 1)``, ``student_t(3, 0, 2.5)``, ``exponential(1)``,
        ``lkj(2)``, ``dirichlet(c(2, 1, 3))``, ``constant(1)``, ``""`` for a flat prior. Scales are standard deviations, rates are
        rates. ``horseshoe()`` and ``R2D2()`` are priors of whole classes, ``b sds sdgp sderr ar ma sdcar sd``; given to several
        classes of a predictor they are one prior, whose arguments are those of the one with ``main = TRUE``. ``lasso()`` is one of
        class ``b``. ``constant(M)`` holds a correlation matrix (class ``cor``) at the matrix ``M`` of ``data2``.
    class_
        ``b``, ``Intercept``, ``sd``, ``cor``, ``sigma``, ... as ``default_prior`` lists them.
    coef, group, resp, dpar, nlpar
        Narrow the address: coefficient, grouping factor, response, distributional and nonlinear parameter.
    lb, ub
        Bounds of all parameters of the class, or of those of one group (not of a single coefficient).
    tag
        A label of yours, kept in the row.

    Each argument may be a list: ``coef=["x", "z"]`` gives one prior for each.

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
    >>> prior("normal(0, 1)", class_="b") + prior("exponential(1)", class_="sd", group="student")
    class = b ~ normal(0, 1)
    class = sd, group = student ~ exponential(1)
    >>> prior("normal(0, 1)", coef=["x", "z"])
    class = b, coef = x ~ normal(0, 1)
    class = b, coef = z ~ normal(0, 1)
    >>> prior("horseshoe(par_ratio = 0.2, main = TRUE)") + prior("horseshoe()", class_="sd")
    class = b ~ horseshoe(par_ratio = 0.2, main = TRUE)
    class = sd ~ horseshoe()
    """
    named = {"prior": prior, "class_": class_, "coef": coef, "group": group, "resp": resp, "dpar": dpar, "nlpar": nlpar}
    named |= {"lb": lb, "ub": ub, "tag": tag}
    columns = {name: list(v) if isinstance(v, list | tuple) else [v] for name, v in named.items()}
    n = max(map(len, columns.values()))
    for name, values in columns.items():
        if len(values) not in (1, n):
            raise BrimError(f"prior({name.rstrip('_')} = ) has {len(values)} values, another argument {n}", hint=f"give 1 or {n}")
    return Priors(tuple(_row(**{name: v[i if len(v) > 1 else 0] for name, v in columns.items()}) for i in range(n)))


#: brms' name for a prior that is text, as all are here.
set_prior = prior


def _row(prior: Any, class_: Any, lb: Any, ub: Any, **words: Any) -> PriorRow:
    text, class_ = _word("prior", prior).strip(), _word("class", class_) or "b"
    class_ = CORRELATIONS.get(class_, class_)
    if class_ in CORRELATIONS.values() and text.startswith("lkj("):
        text = "lkj_corr_cholesky" + text[3:]
    parse_prior(text)
    lb, ub = _bound("lb", lb), _bound("ub", ub)
    if lb is not None and ub is not None and not lb < ub:
        raise BrimError(f"a prior's lower bound {lb:g} is not below its upper bound {ub:g}")
    address: dict[str, Any] = {name: _word(name, v) for name, v in words.items()}
    return PriorRow(text, class_, **address, lb=lb, ub=ub, source="user")


def _word(name: str, value: Any) -> str:
    """A piece of text; numbers are written as R writes them (``coef = 1``, the first threshold)."""
    if name == "prior" and not isinstance(value, str):
        raise BrimError(f"prior = {value!r} is no text", hint='a distribution as text: prior("normal(0, 1)")')
    return "" if value is None else value if name == "prior" else label(name, value)


def _bound(name: str, value: Any) -> float | None:
    if value is None or (isinstance(value, str) and value.strip() in ("", "NA")):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BrimError(f"prior({name} = {value!r}) is no number", hint="bounds are numbers, or None for none") from None
    if math.isnan(number) or number == (math.inf if name == "lb" else -math.inf):
        raise BrimError(f"prior({name} = {value!r}) leaves no values", hint="bounds are numbers, or None for none")
    return None if math.isinf(number) else number


def read_priors(given: Any) -> Priors:
    """``None``, one ``prior()``, a sum or a (nested) list of them, or a table as ``default_prior()`` gives it, edited."""
    if given is None:
        return Priors()
    if isinstance(given, Priors):
        return given
    if isinstance(given, str):
        raise BrimError(f"prior={given!r} is a string", hint=f"write prior=brim.prior({given!r}, class_='b')")
    if hasattr(given, "columns"):
        return _from_table(given)
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise BrimError(f"prior= is a {type(given).__name__}", hint="give brim.prior(...), several joined with +, or a table of them")
    return Priors(tuple(row for item in given for row in read_priors(item).rows))


def _from_table(table: Any) -> Priors:
    """The rows of a data frame in the columns of brms' table; empty and inherited ones say nothing."""
    frame = Frame.read(table)
    known = ("prior", *ADDRESS, "lb", "ub", "source", "tag")
    for name in frame.names:
        if name not in known:
            raise BrimError(f"a table of priors has no column '{name}'", hint=suggest(name, known, "columns"))
    if "prior" not in frame.names:
        raise BrimError("a table of priors has a column 'prior'", hint=f"columns: {', '.join(known)}")
    texts = {name: _texts(frame, name) for name in frame.names}
    rows: list[PriorRow] = []
    for i in range(frame.n):
        cell = {("class_" if name == "class" else name): values[i] for name, values in texts.items()}
        source = cell.pop("source", "user")
        bounds = {b: cell.pop(b, "") for b in ("lb", "ub")}
        # a bound in words is the model's own, the smallest response
        bounds = {b: v for b, v in bounds.items() if v and not v[0].isalpha()}
        if source != "(vectorized)" and (cell["prior"] or bounds):
            rows += prior(**cell, **bounds).rows
    return Priors(tuple(rows))


def _texts(frame: Frame, name: str) -> list[str]:
    column = frame[name].as_factor()
    return [column.levels[c] if c >= 0 else "" for c in column.codes]


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
        if piece.law in JOINT:
            total = total + jnp.sum(JOINT[piece.law].log_density(x, *given))
            continue
        v = x if piece.index is None else jnp.reshape(x, -1)[np.array(piece.index)]
        count = len(param.elements(piece))
        if piece.law == "std_normal":  # as below, with less arithmetic for the long vectors
            density = -0.5 * jnp.sum(v * v) - 0.5 * math.log(2 * math.pi) * count
        else:
            density = jnp.sum(LAWS[piece.law].log_density(v, *given))
        total = total + density - count // param.copies * log_mass
    return total
