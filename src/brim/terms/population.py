"""Population-level effects: ``eta + b_Intercept + X b``, sampled with the columns of X centred."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix, brms_name
from brim.errors import BrimError, name_rows
from brim.frames.frame import Frame
from brim.language.expand import Name, Terms, variables
from brim.linalg import solve_lower
from brim.parameters.param import COEFFICIENTS, Param, Slot, Where
from brim.parameters.reported import COEFFICIENT, INTERCEPT, Reported
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, LinearFacet, Traits
from brim.terms.latent import AbstractCurve, Incidence, LatentFacet, Loadings, Part, scales_of

__all__ = ["Population"]


@final
@dataclass(frozen=True)
class Population(AbstractTerm, AbstractCurve, LinearFacet, LatentFacet):
    """The population-level part of one predictor.

    The intercept is sampled as the value of the predictor at the mean of the columns (brms' ``Intercept``, which its
    default prior is about) and reported as ``b_Intercept = Intercept - mean(X) b``.

    Attributes
    ----------
    terms
        The expanded right-hand side, without group terms and special terms.
    where
        Which predictor.
    intercept_default
        brms' default prior of the intercept.
    center
        ``False`` (``bf(center=FALSE)``): the intercept is an ordinary coefficient of class ``b``.
    thresholds
        The predictor of an ordinal family: the family's thresholds take the place of the intercept.
    cmc
        ``False``: without an intercept, factors are coded as if there were one.
    decomp
        ``"QR"``: with ``X = Q R`` (centred) sampled are the ``bQ`` of the columns ``Q sqrt(n - 1)``, which priors of class ``b`` are about
        (as in brms); reported is ``b = sqrt(n - 1) R^-1 bQ``.
    shrunk
        Names of the parameters that the scales of the coefficients depend on alone, where they are scales times standard normal numbers
        (``horseshoe()``, ``R2D2()``): a latent vector like the coefficients of a curve.
    bare
        Whether these are left out: see ``without``.
    """

    terms: Terms = field(compare=False)
    where: Where
    intercept_default: str = field(compare=False, default="student_t(3, 0, 2.5)")
    center: bool = True
    thresholds: bool = False
    cmc: bool = True
    decomp: str = "none"
    coefs: tuple[str, ...] = ()
    intercept: bool = True
    dropped: int = 0
    shrunk: tuple[str, ...] = ()
    bare: bool = False
    matrix: ModelMatrix | None = field(compare=False, default=None, repr=False)
    means: Any = field(compare=False, default=None, repr=False)
    upper: Any = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"b{self.where.suffix}"

    @property
    def traits(self) -> Traits:
        return Traits(countable=not self._rotated, rowwise=True)

    @property
    def intercept_key(self) -> str:
        return f"Intercept{self.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        terms = replace(self.terms, intercept=True) if self.thresholds or not self.cmc else self.terms
        _check_reserved(terms, frame)
        matrix = ModelMatrix(terms).learn(frame)
        names = tuple(brms_name(n) for n in matrix.names)
        first = (self.terms.intercept or self.thresholds) and (self.center or self.thresholds)
        dropped = int(first or terms.intercept != self.terms.intercept)
        coefs = names[dropped:]
        _check_names(coefs, terms)
        learned = replace(self, matrix=matrix, coefs=coefs, intercept=first and not self.thresholds, dropped=dropped)
        learned = replace(learned, means=matrix.means(frame, 1) if first and self.center else np.zeros(len(coefs)))
        return replace(learned, upper=learned._upper(frame)) if self._rotated else learned

    @property
    def _rotated(self) -> bool:
        return self.decomp == "QR"

    def _upper(self, frame: Frame) -> np.ndarray:
        """``R / sqrt(n - 1)`` with a positive diagonal."""
        upper = np.linalg.qr(self._columns(frame) - self.means, mode="r")
        k = len(self.coefs)
        if len(upper) < k or (np.abs(np.diag(upper)) <= 1e-10 * np.linalg.norm(upper, axis=0)).any():
            what = 'decomp = "QR" needs columns that are independent of each other (and of the intercept)'
            raise BrimError(what, source=self.terms.node.source or None, hint="leave out what others make up, or leave out decomp")
        return upper * np.sign(np.diag(upper))[:, None] / np.sqrt(max(frame.n - 1, 1))

    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v for t in self.terms.terms for f in t for v in variables(f)))

    def _columns(self, frame: Frame) -> np.ndarray:
        assert self.matrix is not None
        x = self.matrix.matrix(frame)
        return x[:, self.dropped :]

    def design(self, frame: Frame) -> Design:
        return {"X": self._columns(frame), **self.constants()}

    def constants(self) -> Design:
        return {"means": self.means, **({"upper": self.upper} if self._rotated else {})}

    @property
    def sampled(self) -> str:
        """The coefficients that are sampled."""
        return f"bQ{self.where.suffix}" if self._rotated else self.key

    def _b(self, params: Params, design: Design) -> Any:
        """The coefficients, from those sampled where they are not there yet."""
        if self.key in params or not self._rotated:
            return params[self.key]
        return solve_lower(jnp.asarray(design["upper"]).T, params[self.sampled][:, None], transposed=True)[:, 0]

    def shift(self, params: Params, design: Design) -> Any:
        """How far the predictor's zero was moved by centring its columns: ``mean(X) b``."""
        left_out = self.bare or (self.shrunk and self.key not in params)
        return design["means"] @ self._b(params, design) if self.coefs and not left_out else 0.0

    @property
    def _own(self) -> bool:
        """Whether there are coefficients besides the intercept."""
        return bool(self.coefs) and not self.bare

    def params(self) -> tuple[Param, ...]:
        out = []
        if self.intercept:
            slot = Slot("Intercept", where=self.where, default=self.intercept_default)
            out.append(Param(self.intercept_key, slots=(slot,)))
        if self.coefs:
            slots = tuple(Slot("b", c, where=self.where, shrinks=COEFFICIENTS) for c in self.coefs)
            out.append(Param(self.sampled, (len(self.coefs),), slots))
        return tuple(out)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        out = {self.key: self._b(params, design)} if self._rotated and self.coefs else {}
        if not self.intercept:
            return out
        return {**out, f"b_{self.intercept_key}": params[self.intercept_key] - self.shift(params, design)}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        out = {self.sampled: design["upper"] @ reported[self.key]} if self._rotated and self.coefs else {}
        if not self.intercept:
            return out
        return {**out, self.intercept_key: reported[f"b_{self.intercept_key}"] + self.shift(reported, design)}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        if self.intercept:
            eta = eta + params[f"b_{self.intercept_key}"]
        if self._own:
            eta = eta + design["X"] @ params[self.key]
        return eta

    @property
    def linear(self) -> Self:
        return self

    def coefficients(self, params: Params) -> Any:
        parts = [params[self.intercept_key][None]] if self.intercept else []
        return jnp.concatenate([*parts, *([params[self.key]] if self._own else [])] or [jnp.zeros(0)])

    def sampled_as(self) -> tuple[tuple[str, int], ...]:
        parts = [*([(self.intercept_key, 1)] if self.intercept else []), *([(self.key, len(self.coefs))] if self._own else [])]
        return () if self._rotated else tuple(parts)

    def columns(self, design: Design) -> Any:
        """With an intercept, ones and the centred columns."""
        x = self.basis(design)[:, : len(self.coefs) * self._own]
        return np.concatenate([np.ones((len(x), 1)), x], axis=1) if self.intercept else x

    # ------------------------------------------------------------------ coefficients as a latent vector

    @property
    def latent(self) -> Part | None:
        return Part(self, 0, 1, term=self) if self.shrunk and not self.bare else None

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        return Incidence(None, np.ascontiguousarray(self.basis(self.design(frame)).T))

    def without(self, gone: frozenset[str]) -> Population:
        return replace(self, bare=True) if self.shrunk and self.standardised in gone else self

    @property
    def standardised(self) -> str:
        return f"z{self.key}"

    @property
    def width(self) -> int:
        return len(self.coefs)

    @property
    def label(self) -> str:
        return "population effects"

    @property
    def scales(self) -> tuple[str, ...]:
        return self.shrunk

    def basis(self, design: Design) -> Any:
        return design["X"] - design["means"]

    def loadings(self, params: Params, design: Design) -> Loadings:
        """The scale of each coefficient."""
        return Loadings(params[scales_of(self.key)][None, None])

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        centred = (self.intercept or self.thresholds) and self.center
        ones = [(self.intercept_key, np.ones((frame.n, 1)), False)] if self.intercept else []
        return (*ones, *([(self.sampled, self._columns(frame), centred)] if self.coefs else []))

    def reported(self) -> tuple[Reported, ...]:
        out = []
        prefix = f"b_{self.where.prefix}"
        if self.intercept:
            name = f"{prefix}Intercept"
            out.append(Reported(f"b_{self.intercept_key}", np.array(name, dtype=object), INTERCEPT, name))
        if self.coefs:
            names = np.array([f"{prefix}{c}" for c in self.coefs], dtype=object)
            dim = f"coef{self.where.suffix}"
            out.append(Reported(self.key, names, COEFFICIENT, self.key, (dim,), {dim: self.coefs}))
        return tuple(out)


def _check_reserved(terms: Terms, frame: Frame) -> None:
    """As in brms: without an intercept, ``intercept`` stands for one, and no column may have that name."""
    if not terms.intercept and (Name("intercept"),) in terms.terms and "intercept" in frame:
        what = "'intercept' is a reserved name in models without an intercept, and the data have a column of that name"
        raise BrimError(what, source=terms.node.source or None, hint="rename the column")


def _check_names(coefs: tuple[str, ...], terms: Terms) -> None:
    twice = sorted({c for c in coefs if coefs.count(c) > 1})
    if twice:
        raise BrimError(
            f"two columns of the design have the same name '{twice[0]}'",
            source=terms.node.source or None,
            hint="rename a variable or a factor level so that coefficient names differ",
        )


@final
@dataclass(frozen=True)
class Offset(AbstractTerm, LinearFacet):
    """``offset(expr)``: a known addition to the predictor, ``eta + expr``."""

    expression: Any = field(compare=False)
    name: str
    learned: Any = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"offset:{self.name}"

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    def learn(self, frame: Frame) -> Self:
        out = replace(self, learned=Expression(self.expression).learn(frame))
        bad = np.flatnonzero(~np.isfinite(out.design(frame)["offset"]))
        if len(bad):
            raise BrimError(
                f"offset({self.name}) is not finite in {name_rows(bad)}",
                source=self.expression.source or None,
                span=self.expression.span,
                hint="an offset of log(0) makes the mean 0 or infinite: leave these rows out, or mend them",
            )
        return out

    def variables(self) -> tuple[str, ...]:
        return variables(self.expression)

    def design(self, frame: Frame) -> Design:
        return {"offset": np.broadcast_to(self.learned.numbers(frame), (frame.n,))}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        return eta + jnp.asarray(design["offset"])

    @property
    def linear(self) -> Self:
        return self

    def coefficients(self, params: Params) -> Any:
        return jnp.ones(1)

    def columns(self, design: Design) -> Any:
        return design["offset"][:, None]
