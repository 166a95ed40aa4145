"""Population-level effects: ``eta + b_Intercept + X b``, sampled with the columns of X centred."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix, brms_name
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.language.expand import Name, Terms, variables
from brim.parameters.param import RANKS, Param, Reported, Slot, Where
from brim.terms.base import AbstractTerm, Design, Params

__all__ = ["Population"]


@final
@dataclass(frozen=True)
class Population(AbstractTerm):
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
    """

    terms: Terms = field(compare=False)
    where: Where
    intercept_default: str = field(compare=False, default="student_t(3, 0, 2.5)")
    center: bool = True
    thresholds: bool = False
    coefs: tuple[str, ...] = ()
    intercept: bool = True
    dropped: int = 0
    matrix: ModelMatrix | None = field(compare=False, default=None, repr=False)
    means: Any = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"b{self.where.suffix}"

    @property
    def intercept_key(self) -> str:
        return f"Intercept{self.where.suffix}"

    def learn(self, frame: Frame) -> Self:
        terms = replace(self.terms, intercept=True) if self.thresholds else self.terms
        if not terms.intercept and (Name("intercept"),) in terms.terms and "intercept" in frame:
            what = "'intercept' is a reserved name in models without an intercept, and the data have a column of that name"
            raise BrimError(what, source=terms.node.source or None, hint="rename the column")
        matrix = ModelMatrix(terms).learn(frame)
        names = tuple(brms_name(n) for n in matrix.names)
        first = terms.intercept and (self.center or self.thresholds)
        coefs = names[1:] if first else names
        _check_names(coefs, terms)
        learned = replace(self, matrix=matrix, coefs=coefs, intercept=first and not self.thresholds, dropped=int(first))
        return replace(learned, means=matrix.means(frame, 1) if first and self.center else np.zeros(len(coefs)))

    def variables(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(v for t in self.terms.terms for f in t for v in variables(f)))

    def _columns(self, frame: Frame) -> np.ndarray:
        assert self.matrix is not None
        x = self.matrix.matrix(frame)
        return x[:, self.dropped :]

    def design(self, frame: Frame) -> Design:
        return {"X": self._columns(frame), **self.constants()}

    def constants(self) -> Design:
        return {"means": self.means}

    def shift(self, params: Params, design: Design) -> Any:
        return design["means"] @ params[self.key] if self.coefs else 0.0

    def params(self) -> tuple[Param, ...]:
        out = []
        if self.intercept:
            slot = Slot("Intercept", where=self.where, default=self.intercept_default)
            out.append(Param(self.intercept_key, slots=(slot,)))
        if self.coefs:
            slots = tuple(Slot("b", c, where=self.where) for c in self.coefs)
            out.append(Param(self.key, (len(self.coefs),), slots))
        return tuple(out)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        if not self.intercept:
            return {}
        return {f"b_{self.intercept_key}": params[self.intercept_key] - self.shift(params, design)}

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        if not self.intercept:
            return {}
        return {self.intercept_key: reported[f"b_{self.intercept_key}"] + self.shift(reported, design)}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        if self.intercept:
            eta = eta + params[f"b_{self.intercept_key}"]
        if self.coefs:
            eta = eta + design["X"] @ params[self.key]
        return eta

    def coefficients(self, params: Params) -> Any:
        parts = [params[self.intercept_key][None]] if self.intercept else []
        return jnp.concatenate([*parts, *([params[self.key]] if self.coefs else [])] or [jnp.zeros(0)])

    def columns(self, design: Design) -> Any:
        """With an intercept, ones and the centred columns."""
        x = design["X"] - design["means"]
        return np.concatenate([np.ones((len(x), 1)), x], axis=1) if self.intercept else x

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        ones = [(self.intercept_key, np.ones((frame.n, 1)), False)] if self.intercept else []
        return (*ones, *([(self.key, self._columns(frame), bool(self.dropped) and self.center)] if self.coefs else []))

    def reported(self) -> tuple[Reported, ...]:
        out = []
        prefix = f"b_{self.where.prefix}"
        if self.intercept:
            name = f"{prefix}Intercept"
            out.append(Reported(f"b_{self.intercept_key}", np.array(name, dtype=object), RANKS["Intercept"], name))
        if self.coefs:
            names = np.array([f"{prefix}{c}" for c in self.coefs], dtype=object)
            dim = f"coef{self.where.suffix}"
            out.append(Reported(self.key, names, RANKS["b"], self.key, (dim,), {dim: self.coefs}))
        return tuple(out)


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
class Offset(AbstractTerm):
    """``offset(expr)``: a known addition to the predictor, ``eta + expr``."""

    expression: Any = field(compare=False)
    name: str
    learned: Any = field(compare=False, default=None, repr=False)

    @property
    def key(self) -> str:
        return f"offset:{self.name}"

    def learn(self, frame: Frame) -> Self:
        return replace(self, learned=Expression(self.expression).learn(frame))

    def variables(self) -> tuple[str, ...]:
        return variables(self.expression)

    def design(self, frame: Frame) -> Design:
        return {"offset": np.broadcast_to(self.learned.numbers(frame), (frame.n,))}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        return eta + jnp.asarray(design["offset"])

    def coefficients(self, params: Params) -> Any:
        return jnp.ones(1)

    def columns(self, design: Design) -> Any:
        return design["offset"][:, None]
