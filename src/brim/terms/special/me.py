"""Predictors measured with error, ``me(x, sdx, gr = )``: ``x ~ normal(X, sdx)`` with noise-free values ``X`` of their own law."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.design.matrix import brms_name
from brim.frames.frame import Frame
from brim.language.expand import Call, Name, arguments, deparse, fault, variables
from brim.linalg import cholesky
from brim.parameters.param import Param, Piece, Slot
from brim.parameters.reported import LATENT, Reported, ReportKind
from brim.terms.base import AbstractTerm, Context, Design, Params
from brim.terms.facets import NewLevels
from brim.terms.latent import AbstractLatent, Loadings, Part
from brim.terms.special.variable import ProductPlace, SpecialVariable, call_name

__all__ = ["NoiseFree", "Noisy", "NoisyVariable", "read"]

#: Mean, standard deviation and correlations of noise-free values, which summaries of brms leave out.
NOISE = ReportKind("noise-free values")


def read(call: Call, context: Context) -> NoisyVariable:
    """``me(x, sdx, gr = )``; its noise-free values are learned from all rows of the data."""
    _, given = arguments(call)
    for name in ("x", "sdx"):
        if name not in given:
            raise fault(call, f"me() needs '{name}'", "write me(x, sdx): the measured values and the standard deviation of their error")
    group = given.get("gr")
    if group is not None and not isinstance(group, Name):
        raise fault(group, f"gr = {deparse(group)} must be a column", "make a column of it first")
    noisy = Noisy(call, Expression(given["x"]), Expression(given["sdx"]))
    whole = context.frame if context.whole is None else context.whole
    latent = NoiseFree((noisy,), group.name if group else "", context.mecor).learn(whole)
    return NoisyVariable(call, latent)


@final
@dataclass(frozen=True)
class Noisy:
    """A measured variable and the standard deviation of its error; ``center`` and ``spread`` are where its law may start."""

    call: Call
    x: Expression
    sd: Expression
    center: float = field(compare=False, default=0.0)
    spread: float = field(compare=False, default=1.0)

    @property
    def name(self) -> str:
        """brms' name of the noise-free variable, ``mex``."""
        return f"me{brms_name(deparse(self.x.node))}"

    def learn(self, frame: Frame) -> Noisy:
        learned = replace(self, x=self.x.learn(frame), sd=self.sd.learn(frame))
        x, sd = learned.measured(frame)
        missing = np.isnan(x + sd)
        if missing.any():
            row = int(np.argmax(missing))
            raise fault(
                self.call,
                f"{deparse(self.call)} has no value in {frame.row_name(row)}",
                "measured values must be complete, those outside subset() too",
            )
        return replace(learned, center=float(np.mean(x)), spread=float(np.std(x)) or 1.0)

    def measured(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Values and errors of these rows."""
        x, sd = self.x.numbers(frame), self.sd.numbers(frame)
        if (sd <= 0).any():
            row = int(np.argmax(sd <= 0))
            raise fault(
                self.sd.node,
                f"the measurement error '{deparse(self.sd.node)}' must be positive; {frame.row_name(row)} holds {sd[row]:g}",
                "use x itself where it has no error",
            )
        return x, sd


@final
@dataclass(frozen=True)
class NoiseFree(AbstractTerm, AbstractLatent):
    """The noise-free values behind all ``me()`` terms of one grouping: ``X_j = meanme + diag(sdme) Lme z_j``, ``x ~ normal(X, sdx)``.

    There is one vector ``X_j`` for each row of the training data, or each level of ``group``. New rows draw their own
    from ``normal(x, sdx)``.
    """

    noisy: tuple[Noisy, ...]
    group: str = ""
    correlated: bool = True
    levels: tuple[str, ...] = field(compare=False, default=())
    count: int = 0

    @property
    def key(self) -> str:
        return f"me{self._suffix}"

    @property
    def _suffix(self) -> str:
        return f"_{self.group}" if self.group else ""

    @property
    def has_cor(self) -> bool:
        return self.correlated and len(self.noisy) > 1

    def learn(self, frame: Frame) -> Self:
        noisy = tuple(v.learn(frame) for v in self.noisy)
        if not self.group:
            return replace(self, noisy=noisy, count=frame.n)
        levels = frame[self.group].as_factor().drop_unused().levels
        learned = replace(self, noisy=noisy, levels=levels, count=len(levels))
        learned._by_level(frame)
        return learned

    def join(self, other: Self) -> Self:
        """All measured variables of the model; the same one must be given with the same error everywhere."""
        known = {v.name: v for v in self.noisy}
        for v in other.noisy:
            if v.name in known and (v.x, v.sd) != (known[v.name].x, known[v.name].sd):
                raise fault(
                    v.call,
                    f"'{deparse(v.x.node)}' is measured with different errors: {deparse(known[v.name].call)} and {deparse(v.call)}",
                    "write the same me() everywhere",
                )
        return replace(self, noisy=tuple({**known, **{v.name: v for v in other.noisy if v.name not in known}}.values()))

    def variables(self) -> tuple[str, ...]:
        used = [name for v in self.noisy for node in (v.x.node, v.sd.node) for name in variables(node)]
        return tuple(dict.fromkeys([*used, *([self.group] if self.group else [])]))

    # ------------------------------------------------------------------ data

    def codes(self, frame: Frame) -> np.ndarray:
        """Index of each row's noise-free value; those of new rows stand behind the training data's."""
        rows = frame.row_numbers
        if self.group:
            factor = frame[self.group].as_factor()
            place = {level: i for i, level in enumerate(self.levels)}
            known = np.array([place.get(level, -1) for level in factor.levels] + [-1], np.int32)[factor.codes]
            _, first, inverse = np.unique(factor.codes, return_index=True, return_inverse=True)
            rows = np.where(rows >= 0, known, rows[first][inverse])
        return np.where(rows >= 0, rows, self.count - 1 - rows).astype(np.int32)

    def design(self, frame: Frame) -> Design:
        rows = frame.row_numbers
        old = np.flatnonzero(rows >= 0)
        if not all(name in frame for name in self.variables()):
            return {}  # new data for a predictor that does not read these
        x, sd = (np.stack(part) for part in zip(*(v.measured(frame) for v in self.noisy), strict=True))
        if len(old) < frame.n:
            new = np.flatnonzero(rows < 0)
            at = -1 - rows[new]
            out = np.zeros((2, len(x), at.max() + 1))
            out[:, :, at] = x[:, new], sd[:, new]
            return {"new_x": out[0], "new_sd": out[1]}
        if self.group:
            at, first = np.unique(self.codes(frame), return_index=True)
            return {"at": at, "x": x[:, first], "sd": sd[:, first]}
        return {"at": rows.astype(np.int32), "x": x, "sd": sd}

    def _by_level(self, frame: Frame) -> None:
        """A level's rows must hold one measured value."""
        codes = self.codes(frame)
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        for v in self.noisy:
            for values in v.measured(frame):
                differs = values != values[first][inverse]
                if differs.any():
                    level = self.levels[codes[np.argmax(differs)]]
                    raise fault(
                        v.call,
                        f"the rows of level '{level}' of '{self.group}' hold different values of {deparse(v.call)}",
                        "each level has one measured value and one error",
                    )

    # ------------------------------------------------------------------ numbers

    def _name(self, base: str) -> str:
        return f"{base}{self._suffix}"

    def params(self) -> tuple[Param, ...]:
        k = len(self.noisy)
        means = tuple(Slot("meanme", v.name) for v in self.noisy)
        sds = tuple(Slot("sdme", v.name) for v in self.noisy)
        center = np.array([v.center for v in self.noisy])
        spread = np.log([v.spread for v in self.noisy])
        out = [Param(self._name("meanme"), (k,), means, center=center), Param(self._name("sdme"), (k,), sds, lb=0.0, center=spread)]
        if self.has_cor:
            out.append(
                Param(self._name("Lme"), (k, k), (Slot("Lme", group=self.group, default="lkj_corr_cholesky(1)"),), space="cholesky_corr")
            )
        return (*out, Param(self._name("zme"), (k, self.count), pieces=(Piece("std_normal", None),)))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        z = params[self.standardised]
        mean, scaled = self.mean(params), self._scaled(params)
        x = mean[:, None] + (scaled @ z if self.has_cor else jnp.diagonal(scaled)[:, None] * z)
        out = dict(zip(self.values, x, strict=True))
        if self.has_cor:
            low = params[self._name("Lme")]
            rows, cols = np.array(self._pairs()).T
            out[self._name("corme")] = (low @ low.T)[rows, cols]
        return out

    @property
    def standardised(self) -> str:
        return self._name("zme")

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(f"Xme_{v.name}" for v in self.noisy)

    @property
    def latent(self) -> Part:
        return Part(self, 0, len(self.noisy))

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.noisy), self.count

    @property
    def label(self) -> str:
        return "noise-free values" + (f" by {self.group}" if self.group else "")

    @property
    def scales(self) -> tuple[str, ...]:
        return self._name("meanme"), self._name("sdme"), self._name("Lme")

    def mean(self, params: Params) -> Any:
        return params[self._name("meanme")]

    def loadings(self, params: Params, design: Design) -> Loadings:
        """``diag(sdme) Lme``."""
        return Loadings(self._scaled(params))

    def _scaled(self, params: Params) -> Any:
        low = params[self._name("Lme")] if self.has_cor else jnp.eye(len(self.noisy))
        return params[self._name("sdme")][:, None] * low

    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for j in range(len(self.noisy)) for i in range(j)]

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        if not self.has_cor:
            return {}
        rows, cols = np.array(self._pairs()).T
        cor = reported[self._name("corme")]
        full = jnp.eye(len(self.noisy)).at[rows, cols].set(cor).at[cols, rows].set(cor)
        return {self._name("Lme"): cholesky(full)}

    def log_density(self, params: Params, design: Design) -> Any:
        """``log normal(x | X, sdx)`` of all measured values."""
        if "x" not in design:
            return 0.0
        true = jnp.stack([params[name] for name in self.values])[:, design["at"]]
        z = (design["x"] - true) / design["sd"]
        return jnp.sum(-0.5 * jnp.square(z) - jnp.log(design["sd"])) - 0.5 * math.log(2 * math.pi) * z.size

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        if "new_x" not in design:
            return {}
        noise = jax.random.normal(keys[0], design["new_x"].shape, dtype=design["new_x"].dtype)
        new = design["new_x"] + design["new_sd"] * noise
        return {f"Xme_{v.name}": jnp.concatenate([params[f"Xme_{v.name}"], new[i]]) for i, v in enumerate(self.noisy)}

    # ------------------------------------------------------------------ names

    def reported(self) -> tuple[Reported, ...]:
        names = tuple(v.name for v in self.noisy)
        dim = f"noisy{self._suffix}"
        out = [
            Reported(
                self._name(base),
                np.array([f"{base}_{n}" for n in names], dtype=object),
                NOISE,
                self._name(base),
                (dim,),
                {dim: names},
            )
            for base in ("meanme", "sdme")
        ]
        if self.has_cor:
            pairs = tuple(f"{names[i]}__{names[j]}" for i, j in self._pairs())
            flat = np.array([f"corme{self._suffix}__{p}" for p in pairs], dtype=object)
            pair = f"pair_me{self._suffix}"
            out.append(Reported(self._name("corme"), flat, NOISE, self._name("corme"), (pair,), {pair: pairs}))
        index = tuple(str(i + 1) for i in range(self.count))
        obs = self.group or "obs_me"
        labels = self.levels or index
        for n in names:
            flat = np.array([f"Xme_{n}[{i}]" for i in index], dtype=object)
            out.append(Reported(f"Xme_{n}", flat, LATENT, f"Xme_{n}", (obs,), {obs: labels}))
        return tuple(out)


@final
@dataclass(frozen=True)
class NoisyVariable(SpecialVariable):
    """``me(x, sdx)`` as a factor of special effects: the noise-free value of each row."""

    call: Call = field(compare=False)
    latent: NoiseFree

    @property
    def name(self) -> str:
        return call_name(self.call)

    @property
    def kind(self) -> str:
        return "me"

    def learn(self, frame: Frame) -> Self:
        return self  # learned from all rows of the data, not those of one response

    def variables(self) -> tuple[str, ...]:
        return self.latent.variables()

    def design(self, frame: Frame) -> Design:
        return {"J": self.latent.codes(frame)}

    def value(self, params: Params, design: Design, place: ProductPlace) -> Any:
        return params[f"Xme_{self.latent.noisy[0].name}"][design["J"]]

    def shared(self) -> tuple[AbstractTerm, ...]:
        return (self.latent,)
