"""Smooth terms ``s()``, ``t2()``, ``te()``, ``ti()``: ``eta + X_s bs + Z s`` with ``s = sds zs`` and ``zs`` standard normal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from brim.design.expressions import Expression, usable
from brim.design.matrix import brms_name
from brim.design.splines.call import SmoothCall
from brim.design.splines.effects import combined
from brim.design.splines.mixed import AbstractSmooth
from brim.design.splines.orientation import orientation
from brim.errors import BrimError
from brim.frames.columns import Factor, Logical
from brim.frames.frame import Frame
from brim.language.expand import Call, Node, deparse, fault, variables
from brim.parameters.param import COEFFICIENTS, Param, Piece, Shrinks, Slot, Where
from brim.parameters.reported import COEFFICIENT, Reported, ReportKind, Section, called
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.facets import LinearFacet, Traits
from brim.terms.latent import AbstractCurve, Incidence, LatentFacet, Loadings, Part

__all__ = ["PENALISED", "SDS", "Smooth", "read"]

#: Standard deviations of penalised coefficients; the coefficients.
SDS = ReportKind("sds", Section("splines", "Smooth Terms: ", 0), called)
PENALISED = ReportKind("s", inner=True)

STANDARD_NORMAL = (Piece("std_normal", None),)


def read(terms: tuple[tuple[Node, ...], ...], context: Context) -> Read:
    """The smooths of one predictor, in the order of the formula."""
    out: list[Smooth] = []
    for i, term in enumerate(terms):
        calls = [f for f in term if isinstance(f, Call)]
        if len(term) > 1:
            raise fault(calls[0], "a smooth cannot be part of an interaction", "write s(x, by = z)")
        scale = f"student_t(3, 0, {context.scale:g})"
        smooth = Smooth(calls[0], context.where, i + 1, scale, context.knots, context.data2).learn(context.frame)
        SmoothCall.read(calls[0]).warn_of_unread()
        for other in out:
            if set(smooth.labels) & set(other.labels):
                raise fault(calls[0], f"two smooths are called '{smooth.labels[0]}'", f"the other is {deparse(other.call)}: leave one out")
        out.append(smooth)
    return Read(tuple(out))


@final
@dataclass(frozen=True)
class Smooth(AbstractTerm, AbstractCurve, LinearFacet, LatentFacet):
    """One smooth, or one for each level of a factor ``by``.

    Attributes
    ----------
    call
        ``s(x, by = f)`` as written; its text is the coefficient of its prior rows.
    where, index
        Predictor, and number among its smooths.
    sds_default
        brms' default prior of the standard deviations.
    knots, data2
        Knots by covariate, and matrices that ``xt`` names.
    levels
        Levels of a factor ``by`` that have a curve (an ordered factor's first has none); one empty name without such a factor.
    labels
        Name of each level's curve, ``"sx:fa"``.
    groups
        Number of levels that one curve's coefficients run over (``bs = "re"``, ``"fs"``), 0 where there is no such factor.
    smooth
        Basis in mixed-model form.
    covariates, by
        What is evaluated on the data.
    factors, counts
        Which covariates are the factors behind ``groups``, and their numbers of levels.
    bare
        Whether the standard normal coefficients are left out: see ``without``.
    """

    call: Call = field(compare=False)
    where: Where
    index: int
    sds_default: str = field(compare=False, default="student_t(3, 0, 2.5)")
    knots: Mapping[str, np.ndarray] = field(compare=False, default_factory=dict, repr=False)
    data2: Mapping[str, Any] = field(compare=False, default_factory=dict, repr=False)
    levels: tuple[str, ...] = ("",)
    labels: tuple[str, ...] = ()
    groups: int = 0
    smooth: AbstractSmooth | None = None
    covariates: tuple[Expression, ...] = field(compare=False, default=(), repr=False)
    by: Expression | None = field(compare=False, default=None, repr=False)
    factors: tuple[int, ...] = field(compare=False, default=())
    counts: tuple[int, ...] = field(compare=False, default=())
    bare: bool = False

    @property
    def key(self) -> str:
        return self._name("smooth")

    def _name(self, base: str) -> str:
        return f"{base}{self.where.suffix}_{self.index}"

    # ------------------------------------------------------------------ learning

    @property
    def traits(self) -> Traits:
        return Traits(rowwise=True)

    def learn(self, frame: Frame) -> Self:
        call = SmoothCall.read(self.call)
        covariates = tuple(Expression(node).learn(frame) for node in call.covariates)
        by = Expression(call.by).learn(frame) if call.by is not None else None
        draft = replace(self, covariates=covariates, by=by, levels=_levels(by, frame))
        weight = draft._weight(frame)
        of_each = tuple(_level_names(c, frame) for c in covariates)
        extra = tuple(self._without_data(node, levels) for node, levels in zip(call.covariates, of_each, strict=True))
        of_each = tuple((*levels, *more) for levels, more in zip(of_each, extra, strict=True))
        draft = replace(draft, covariates=tuple(c.with_levels(more) for c, more in zip(covariates, extra, strict=True)))
        for node, values in zip(call.covariates, draft._values(frame), strict=True):
            if not np.isfinite(values).all():  # rows with missing values of columns are out: it is the formula's own
                raise fault(node, f"{deparse(node)} has no value")
        names = (f"{call.label}:{deparse(call.by)}{level}" if call.by is not None else call.label for level in draft.levels)
        try:
            smooth = call.build(of_each, draft._by_factor or weight is None or bool(np.ptp(weight) == 0), self.knots, self.data2)
            counts = tuple(len(of_each[i]) for i in smooth.over)
            draft = replace(draft, factors=smooth.over, counts=counts, groups=int(np.prod(counts)) if counts else 0)
            draft = replace(draft, labels=tuple(brms_name(n) for n in names), smooth=smooth.learn(draft._x(frame), draft._first(frame)))
        except BrimError as error:
            raise error if error.source is not None else fault(self.call, error.what, error.hint) from None
        return draft

    def _without_data(self, covariate: Node, levels: tuple[str, ...]) -> tuple[str, ...]:
        """Levels of a factor that its knots name beside those of the data: regions that can be predicted without data."""
        knots = self.knots.get(deparse(covariate)) if levels else None
        return () if knots is None or knots.dtype.kind in "fiu" else tuple(str(k) for k in knots if str(k) not in levels)

    @property
    def _by_factor(self) -> bool:
        return self.levels != ("",)

    def _first(self, frame: Frame) -> np.ndarray:
        """What multiplies the first curve in each row."""
        level, weight = self._level(frame), self._weight(frame)
        if level is not None:
            return (level == 0).astype(float)
        return np.ones(frame.n) if weight is None else weight

    # ------------------------------------------------------------------ data

    def variables(self) -> tuple[str, ...]:
        return variables(self.call)

    def _values(self, frame: Frame) -> list[np.ndarray]:
        """Covariates as numbers, factors as codes (``NaN`` where missing)."""
        out = []
        for c in self.covariates:
            value = c.value(frame)
            out.append(np.where(value.codes < 0, np.nan, value.codes) if isinstance(value, Factor) else c.numbers(frame))
        return out

    def _x(self, frame: Frame) -> np.ndarray:
        """The covariates that the basis has as arguments."""
        columns = [v for i, v in enumerate(self._values(frame)) if i not in self.factors]
        return np.column_stack(columns) if columns else np.ones((frame.n, 0))

    def orientation(self, frame: Frame) -> np.ndarray | None:
        """The sign that mgcv's columns have beside this smooth's, see ``design.splines.orientation``; ``None``: not determined."""
        return None if self.smooth is None else orientation(self.smooth, self._x(frame))

    def _weight(self, frame: Frame) -> np.ndarray | None:
        """The numeric ``by``."""
        return None if self.by is None or self._by_factor else self.by.numbers(frame)

    def _level(self, frame: Frame) -> np.ndarray | None:
        """The curve of each row, -1 for none."""
        if self.by is None or not self._by_factor:
            return None
        return _factor(self.by, frame).recode(self.levels).codes

    def design(self, frame: Frame) -> Design:
        assert self.smooth is not None
        columns = self.smooth.columns(self._x(frame))
        weight, level = self._weight(frame), self._level(frame)
        if weight is not None:
            columns = columns * weight[:, None]
        p = self.smooth.n_fixed
        x, z = columns[:, :p], columns[:, p:]
        out: Design = {}
        if level is not None:
            x, z = (np.where(level[:, None] < 0, 0.0, part) for part in (x, z))
            out["level"] = np.maximum(level, 0)
        if self.groups:
            values = self._values(frame)
            codes = np.column_stack([values[i] for i in self.factors])
            bad = np.isnan(codes).any(axis=1)
            z = np.where(bad[:, None], np.nan, z)
            out["group"] = combined(np.nan_to_num(codes), self.counts)
        return {**out, "X": np.ascontiguousarray(x), "Z": np.ascontiguousarray(z), **self.constants()}

    def constants(self) -> Design:
        precision = None if self.smooth is None else self.smooth.precision
        return {} if precision is None else {"D": precision}

    # ------------------------------------------------------------------ structure

    @property
    def _sizes(self) -> tuple[int, ...]:
        """Number of coefficients under each standard deviation of one curve."""
        assert self.smooth is not None
        return tuple(n * max(self.groups, 1) for n in self.smooth.sizes)

    @property
    def _positions(self) -> np.ndarray:
        """Where the coefficients of each level and group stand, ``(levels * groups, columns)``.

        Those of one standard deviation are next to each other. Groups without a curve (``bs = "re"``) are listed backwards: the
        mixed-model form of mgcv does so.
        """
        assert self.smooth is not None
        groups, at, parts = max(self.groups, 1), 0, []
        backwards = self.groups > 0 and self.smooth.backwards
        for n, size in zip(self.smooth.sizes, self._sizes, strict=True):
            block = at + np.arange(size).reshape(groups, n)
            parts.append(block[::-1] if backwards else block)
            at += size
        one = np.hstack(parts)
        return np.concatenate([one + at * i for i in range(len(self.levels))])

    # ------------------------------------------------------------------ parameters

    def params(self) -> tuple[Param, ...]:
        assert self.smooth is not None
        n, out = len(self.levels), []
        if self.smooth.n_fixed:
            slots = tuple(Slot("b", name, where=self.where, shrinks=COEFFICIENTS) for name in self._fixed_names())
            out.append(Param(self._name("bs"), (n * self.smooth.n_fixed,), slots))
        if self._sizes:
            slot = Slot("sds", deparse(self.call), where=self.where, default=self.sds_default, shrinks=Shrinks(1, False))
            out.append(Param(self._name("sds"), (n * self.smooth.n_sds,), (slot,) * (n * self.smooth.n_sds), lb=0.0))
        if self._wiggles:
            out.append(Param(self.standardised, (self.width,), pieces=STANDARD_NORMAL))
        return tuple(out)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        return {self._name("s"): self._sd(params, design) * params[self.standardised]} if self._wiggles else {}

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        return {self.standardised: params[self._name("s")] / self._sd(params, design)} if self._wiggles else {}

    @property
    def _fixed_positions(self) -> np.ndarray:
        """Where the unpenalised coefficients of each level stand, ``(levels, columns)``."""
        assert self.smooth is not None
        return np.arange(len(self.levels) * self.smooth.n_fixed).reshape(len(self.levels), -1)

    def _code(self, design: Design) -> Any:
        """The level and group of each row, as rows of ``_positions``; ``None`` where there is one."""
        code = design.get("level")
        return code if not self.groups else design["group"] + (0 if code is None else code * self.groups)

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        assert self.smooth is not None
        if self.smooth.n_fixed:
            eta = eta + _product(design["X"], params[self._name("bs")], self._fixed_positions, design.get("level"))
        if self._wiggles:
            eta = eta + _product(design["Z"], params[self._name("s")], self._positions, self._code(design))
        return eta

    # ------------------------------------------------------------------ as columns and coefficients

    @property
    def linear(self) -> Self:
        return self

    def coefficients(self, params: Params) -> Any:
        names = [*(["bs"] if self.smooth is not None and self.smooth.n_fixed else []), *(["s"] if self._wiggles else [])]
        return jnp.concatenate([params[self._name(n)] for n in names] or [jnp.zeros(0)])

    def columns(self, design: Design) -> Any:
        fixed = _spread(design["X"], self._fixed_positions, design.get("level"))
        return np.concatenate([fixed, self.basis(design)], axis=1) if self._wiggles else fixed

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        assert self.smooth is not None
        if not self.smooth.n_fixed:
            return ()
        weight, level = self._weight(frame), self._level(frame)
        x = self.smooth.fixed_columns(self._x(frame)) * (1.0 if weight is None else weight[:, None])
        x = x if level is None else np.where(level[:, None] < 0, 0.0, x)
        return ((self._name("bs"), _spread(x, self._fixed_positions, None if level is None else np.maximum(level, 0)), False),)

    @property
    def _wiggles(self) -> bool:
        """Whether there are penalised coefficients."""
        return bool(self._sizes) and not self.bare

    @property
    def latent(self) -> Part | None:
        return Part(self, 0, 1, term=self) if self._wiggles else None

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        return Incidence(None, np.ascontiguousarray(self.basis(self.design(frame)).T))

    def without(self, gone: frozenset[str]) -> Smooth:
        return replace(self, bare=True) if self.standardised in gone else self

    @property
    def standardised(self) -> str:
        return self._name("zs")

    @property
    def width(self) -> int:
        return len(self.levels) * sum(self._sizes)

    @property
    def label(self) -> str:
        return deparse(self.call)

    @property
    def scales(self) -> tuple[str, ...]:
        return (self._name("sds"),)

    @property
    def one_scale(self) -> bool:
        return len(self.levels) == 1 and len(self._sizes) == 1 and not self.constants()

    def basis(self, design: Design) -> Any:
        return _spread(design["Z"], self._positions, self._code(design))

    def loadings(self, params: Params, design: Design) -> Loadings:
        """The standard deviation of each coefficient."""
        return Loadings(self._sd(params, design)[None, None])

    def _sd(self, params: Params, design: Design) -> Any:
        sds = jnp.reshape(params[self._name("sds")], (len(self.levels), -1))
        if "D" in design:
            # sd = (sum_j D_j / sds_j^2)^(-1/2); a zero of D must not meet an infinite precision
            log_precision = logsumexp(-2.0 * jnp.log(sds)[:, None, :], b=design["D"][None], axis=-1)
            return jnp.ravel(jnp.exp(-0.5 * log_precision))
        return jnp.ravel(sds[:, np.repeat(np.arange(len(self._sizes)), self._sizes)])

    # ------------------------------------------------------------------ names

    def _fixed_names(self) -> tuple[str, ...]:
        assert self.smooth is not None
        return tuple(f"{label}_{j + 1}" for label in self.labels for j in range(self.smooth.n_fixed))

    def reported(self) -> tuple[Reported, ...]:
        assert self.smooth is not None
        prefix, plain = self.where.prefix, [label.replace(":", "") for label in self.labels]
        out = []
        if self.smooth.n_fixed:
            out.append(self._reported("bs", COEFFICIENT, [f"bs_{prefix}{name}" for name in self._fixed_names()]))
        if self._sizes:
            out.append(self._reported("sds", SDS, [f"sds_{prefix}{label}_{j + 1}" for label in plain for j in range(self.smooth.n_sds)]))
            names = [f"s_{prefix}{label}_{j + 1}[{i + 1}]" for label in plain for j, n in enumerate(self._sizes) for i in range(n)]
            out.append(self._reported("s", PENALISED, names))
        return tuple(out)

    def _reported(self, base: str, kind: ReportKind, names: list[str]) -> Reported:
        call = SmoothCall.read(self.call)
        label = f"{base}_{self.where.prefix}{brms_name(call.label)}{'' if call.by is None else brms_name(deparse(call.by))}"
        return Reported(self._name(base), np.array(names, dtype=object), kind, label, (f"{label}_dim",), {f"{label}_dim": tuple(names)})


def _product(columns: Any, coefs: Any, positions: np.ndarray, code: Any) -> Any:
    """Columns times coefficients; with ``code``, each row's are those at ``positions[code]``."""
    return columns @ coefs if code is None else jnp.sum(columns * coefs[positions][code], axis=-1)


def _spread(columns: np.ndarray, positions: np.ndarray, code: np.ndarray | None) -> np.ndarray:
    """The columns of all coefficients, those of other levels zero: what ``_product`` multiplies them with."""
    if code is None:
        return columns
    out = np.zeros((len(columns), positions.size))
    np.put_along_axis(out, positions[code], columns, axis=1)
    return out


def _factor(by: Expression, frame: Frame) -> Factor:
    value = by.value(frame)
    assert isinstance(value, (Factor, Logical))
    return value.as_factor()


def _levels(by: Expression | None, frame: Frame) -> tuple[str, ...]:
    """Levels of a factor ``by`` with a curve of their own."""
    value = None if by is None else by.value(frame)
    if not isinstance(value, (Factor, Logical)):
        return ("",)
    factor = value.as_factor() if by is None else usable(by.node, value.as_factor())
    return factor.levels[1:] if factor.ordered else factor.levels


def _level_names(covariate: Expression, frame: Frame) -> tuple[str, ...]:
    value = covariate.value(frame)
    return value.levels if isinstance(value, Factor) else ()
