"""Group-level effects: ``(x | g)``, ``(x || g)``, ``(x | ID | g)``, ``gr()``, nested and multi-membership groups.

A *block* holds the effects that are correlated with each other: one grouping factor, the coefficients of one or several
predictors (those that share an ID). It samples ``sd``, the Cholesky factor ``L`` of the correlations and standardised
effects ``z``, and gives ``r = diag(sd) L z``. A *group effect* is the block's part in one predictor (``effect``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from brim.frames.frame import Frame
from brim.linalg import cholesky, solve
from brim.parameters.param import Param, Piece, Shrinks, Slot
from brim.parameters.reported import Reported, ReportKind, Section
from brim.terms.base import AbstractTerm, Design, Params
from brim.terms.facets import COUNTABLE, NewLevels, Traits
from brim.terms.groups.grouping import Grouping
from brim.terms.groups.member import Member
from brim.terms.groups.structure import STRUCTURES, AbstractStructure
from brim.terms.latent import EFFECTS, AbstractLatent, Loadings

__all__ = ["COR", "DF", "SD", "TIED", "GroupBlock", "R"]

#: Widths of group effects, their correlations and degrees of freedom (a table for each grouping factor), and the effects.
_RANDOM = Section("random", "Group-Level Effects: ", 3)
SD, COR, DF = (ReportKind(name, _RANDOM) for name in ("sd", "cor", "df"))
#: Correlations that one number gives.
TIED = {s.class_: ReportKind(s.class_, _RANDOM) for s in STRUCTURES.values()}
R = ReportKind("r", inner=True, each=True)

STANDARD_NORMAL = (Piece("std_normal", None),)


@final
@dataclass(frozen=True)
class GroupBlock(AbstractTerm, AbstractLatent):
    """Correlated (or independent) group-level effects of one grouping factor.

    With ``z`` standard normal, ``r_j = diag(sd) L z_j`` for level ``j``. ``gr(by = f)`` has its own ``sd`` and ``L`` for each
    level of ``f``; ``gr(cov = A)`` correlates the levels, ``z -> z chol(A)'``; ``gr(pw = w)`` weights the levels' prior
    densities; ``gr(cov = "ar1")`` computes ``L`` from one number; ``gr(dist = "student")`` multiplies ``r_j`` with ``sqrt(df u_j)``,
    ``u_j ~ inv_chi_square(df)``, sampled as ``width_j = sqrt(df / 2) log(df u_j)``, whose law hardly depends on ``df``.

    Attributes
    ----------
    index
        Number of the block, part of its parameters' names.
    grouping
        The grouping factor (learned with the block).
    members
        Its parts, one a predictor.
    correlated
        Whether correlations are estimated.
    sd_default
        brms' default prior for standard deviations, one a member.
    """

    index: int
    grouping: Grouping
    members: tuple[Member, ...]
    correlated: bool = True
    sd_default: tuple[str, ...] = field(compare=False, default=())

    @property
    def key(self) -> str:
        return f"group_{self.index}"

    @property
    def coefs(self) -> tuple[str, ...]:
        return tuple(c for m in self.members for c in m.coefs)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(label for m in self.members for label in m.labels)

    @property
    def has_cor(self) -> bool:
        return self.correlated and len(self.coefs) > 1

    @property
    def traits(self) -> Traits:
        return COUNTABLE

    @property
    def structure(self) -> AbstractStructure | None:
        """What ties the correlations, where there are any; ``None``: nothing."""
        return self.grouping.structure if self.has_cor else None

    @property
    def sd_coefs(self) -> tuple[str, ...]:
        """What has standard deviations of its own: every coefficient, or all together."""
        return (self.structure.name,) if self.structure is not None and self.structure.one_sd else self.coefs

    def learn(self, frame: Frame) -> Self:
        members = tuple(m.learn(frame, self.grouping) for m in self.members)
        return replace(self, grouping=self.grouping.learn(frame), members=members)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.coefs), len(self.grouping.levels)

    @property
    def label(self) -> str:
        return self.grouping.label + EFFECTS

    @property
    def scales(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.params() if p.name != self.standardised)

    @property
    def tied(self) -> bool:
        return self.grouping.is_mm or self.grouping.cov is not None

    @property
    def one_scale(self) -> bool:
        return len(self.coefs) == 1 and self.normal and not self.grouping.by_name

    @property
    def levels_root(self) -> np.ndarray | None:
        root: np.ndarray | None = self.grouping.cholesky
        return root

    @property
    def normal(self) -> bool:
        return self.grouping.dist == "gaussian"

    @property
    def unusual(self) -> str:
        return f"the prior densities of '{self.grouping.label}' are weighted" if self.grouping.weight_name else ""

    def codes(self, frame: Frame) -> np.ndarray:
        return self.grouping.codes(frame)

    def scope(self, frame: Frame) -> Self:
        """The block that also knows the new levels of these rows."""
        return replace(self, grouping=self.grouping.scope(frame))

    # ------------------------------------------------------------------ parameters

    def _name(self, base: str) -> str:
        return f"{base}_{self.index}"

    @property
    def correlation(self) -> tuple[str, str] | None:
        """The parameters of standard deviations and of correlations; ``None`` where these are not estimated."""
        return (self._name("sd"), self._name("L")) if self.has_cor and self.structure is None else None

    def _with_by(self, *shape: int) -> tuple[int, ...]:
        return (len(self.grouping.by_levels), *shape) if self.grouping.by_levels else shape

    def _slots(self) -> tuple[Slot, ...]:
        group = self.grouping.label
        if self.sd_coefs != self.coefs:
            return (Slot("sd", self.sd_coefs[0], group, self.members[0].where, self.sd_default[0], shrinks=Shrinks(7, False)),)
        each = tuple(
            Slot("sd", c, group, m.where, default, shrinks=Shrinks(7, False))
            for m, default in zip(self.members, self.sd_default, strict=True)
            for c in m.coefs
        )
        return each * max(len(self.grouping.by_levels), 1)

    def params(self) -> tuple[Param, ...]:
        k, n = len(self.coefs), len(self.grouping.levels)
        group = self.grouping.label
        sds = self._with_by(len(self.sd_coefs))
        out = [Param(self._name("sd"), sds, self._slots(), lb=0.0, copies=max(len(self.grouping.by_levels), 1))]
        if self.structure is not None:
            slot = Slot(self.structure.class_, group=group)
            out.append(Param(self._name("rho"), (), (slot,), lb=self.structure.lower(k), ub=1.0))
        elif self.has_cor:
            # one slot: brms' class L has a row for all groups and one for each, whatever by= says
            slot = Slot("L", group=group, default="lkj_corr_cholesky(1)")
            out.append(Param(self._name("L"), self._with_by(k, k), (slot,), space="cholesky_corr"))
        if self.grouping.dist == "student":
            slot = Slot("df", group=group, own_default="gamma(2, 0.1)")
            out.append(Param(self._name("df"), (), (slot,), lb=1.0, center=2.0))
            out.append(Param(self._name("width"), (n,)))
        # widths and weighted levels have their density in log_density
        out.append(Param(self._name("z"), (k, n), pieces=() if self.grouping.weight_name else STANDARD_NORMAL))
        return tuple(out)

    # ------------------------------------------------------------------ numbers

    def design(self, frame: Frame) -> Design:
        out: Design = {"by": self.grouping.by_index}
        if self.grouping.cholesky is not None:
            out["cholesky"] = self.grouping.cholesky
        if self.grouping.new_levels:
            out["new_by"] = self.grouping.new_by
            out["alike"] = _alike(self.grouping.by_index)
        if self.grouping.prior_weights is not None:
            out["pw"] = self.grouping.prior_weights
        return out

    def log_density(self, params: Params, design: Design) -> Any:
        """``sum_j w_j log p(z_j)`` with ``gr(pw = w)``, and that of the widths with ``gr(dist = "student")``."""
        out: Any = self._log_density_of_widths(params) if self.grouping.dist == "student" else 0.0
        if "pw" not in design:
            return out
        z = params[self._name("z")]
        return out + jnp.sum(design["pw"] * jnp.sum(-0.5 * z * z - 0.5 * np.log(2 * np.pi), axis=0))

    def _log_density_of_widths(self, params: Params) -> Any:
        """``x_j = 1 / u_j = df exp(-sqrt(2 / df) width_j) ~ chi_square(df)``, with the Jacobian ``x_j sqrt(2 / df)``."""
        df = params[self._name("df")]
        step = jnp.sqrt(2.0 / df)
        log_x = jnp.log(df) - step * params[self._name("width")]
        constant = jnp.log(step) - 0.5 * df * math.log(2.0) - gammaln(0.5 * df)
        return jnp.sum(0.5 * (df * log_x - jnp.exp(log_x)) + constant)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        z = params[self._name("z")]
        if "cholesky" in design:
            z = z @ design["cholesky"].T
        r = self._scale(params, z, design["by"])
        out = {self._name("r"): r * self._widths(params)}
        if self.has_cor and self.structure is None:
            out[self._name("cor")] = self._correlations(params[self._name("L")])
        return out

    def _root(self, params: Params) -> Any:
        """``L``, the Cholesky factor of the correlations; ``None`` for independent effects."""
        if self.structure is not None:
            return self.structure.root(params[self._name("rho")], len(self.coefs))
        return params[self._name("L")] if self.has_cor else None

    def _scale(self, params: Params, z: Any, by: Any) -> Any:
        """``diag(sd) L z``, column by column with the matrices of its level of ``by``."""
        sd = params[self._name("sd")]
        low = self._root(params)
        if self.grouping.by_levels:
            if low is None:
                return sd[by].T * z
            return jnp.einsum("jk,jkl,lj->kj", sd[by], low[by], z)
        return sd[:, None] * (z if low is None else low @ z)

    def effects_of(self, params: Params) -> Any:
        """``r`` among transformed parameters, (coefficients, levels)."""
        return params[self._name("r")]

    @property
    def standardised(self) -> str:
        return self._name("z")

    def loadings(self, params: Params, design: Design) -> Loadings:
        """``diag(sd) L``, that of each level with ``gr(by = )`` and ``gr(dist = "student")``; ``cov = A`` correlates the levels."""
        within, widths = self.scaled(params, design["by"]), self._widths(params)
        if jnp.ndim(widths) > 0:
            within = (within if within.ndim == 3 else within[..., None]) * widths
        return Loadings(within, design.get("cholesky"))

    def scaled(self, params: Params, by: Any) -> Any:
        """``diag(sd) L`` (k, k); with ``gr(by = )`` of levels with these ``by``, (k, k, *shape of by)."""
        root = self._root(params)
        low = jnp.eye(len(self.coefs)) if root is None else root
        each = params[self._name("sd")][..., None] * low
        return jnp.moveaxis(each, 0, -1)[..., by] if self.grouping.by_levels else each

    def _widths(self, params: Params) -> Any:
        """What multiplies all effects of a level besides, (levels,): ``sqrt(df u_j)`` with ``gr(dist = "student")``, else 1."""
        if self.grouping.dist != "student":
            return 1.0
        return jnp.exp(0.5 * params[self._name("width")] * jnp.sqrt(2.0 / params[self._name("df")]))

    def _pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for j in range(len(self.coefs)) for i in range(j)]

    def _correlations(self, low: Any) -> Any:
        full = low @ jnp.swapaxes(low, -1, -2)
        rows, cols = np.array(self._pairs()).T
        return full[..., rows, cols]

    def invert(self, reported: Params, design: Design) -> dict[str, Any]:
        if not self.has_cor or self.structure is not None:
            return {}
        cor = reported[self._name("cor")]
        rows, cols = np.array(self._pairs()).T
        eye = jnp.broadcast_to(jnp.eye(len(self.coefs)), self._with_by(len(self.coefs), len(self.coefs)))
        full = eye.at[..., rows, cols].set(cor).at[..., cols, rows].set(cor)
        return {self._name("L"): cholesky(full)}

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        if self.grouping.dist == "student":
            return {}  # the width of each level's effects is not reported
        (within, across), r = self.loadings(params, design), params[self._name("r")]
        z = solve(jnp.moveaxis(within, -1, 0) if within.ndim == 3 else within, r.T[..., None])[..., 0].T
        if across is not None:
            z = solve(across, z.T).T
        return {self._name("z"): z}

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        if "new_by" not in design:
            return {}
        new_by, r = design["new_by"], params[self._name("r")]
        each, shared = keys
        if how == "gaussian":
            full = {**params, **self.invert(params, design)}
            z = jax.random.normal(each, (len(self.coefs), len(new_by)), dtype=r.dtype)
            if self.grouping.dist == "student":
                df = params[self._name("df")]
                z = z * jnp.sqrt(df / jax.random.chisquare(jax.random.fold_in(each, 1), df, (len(new_by),), dtype=r.dtype))
            new = self._scale(full, z, new_by)
        else:
            # one of the old levels with the same by: the places of these stand together in "alike"
            order, first, count = design["alike"]
            key = shared if how == "old_levels" else each
            u = jax.random.uniform(key, new_by.shape, dtype=r.dtype)
            step = jnp.minimum(jnp.floor(u * count[new_by]).astype(int), count[new_by] - 1)
            new = r[:, order[first[new_by] + step]]
        return {self._name("r"): jnp.concatenate([r, new], axis=1)}

    # ------------------------------------------------------------------ names

    def _by_names(self, labels: tuple[str, ...]) -> list[tuple[str, ...]]:
        if not self.grouping.by_levels:
            return [labels]
        ends = [self.grouping.by_name + re.sub(r"\s", "", level) for level in self.grouping.by_levels]
        return [tuple(f"{label}:{end}" for label in labels) for end in ends]

    def reported(self) -> tuple[Reported, ...]:
        group, suffix = self.grouping.label, self._dim_suffix()
        labels = self.labels if self.sd_coefs == self.coefs else self.sd_coefs
        rows = self._by_names(labels)
        by = {f"by_{group}": self.grouping.by_levels} if self.grouping.by_levels else {}
        names = np.array([[f"sd_{group}__{c}" for c in row] for row in rows], dtype=object)
        coef_dim = f"coef_{group}{suffix}"
        out = [
            Reported(
                self._name("sd"),
                names if by else names[0],
                SD,
                f"sd_{group}{suffix}",
                (*by, coef_dim),
                {**by, coef_dim: labels},
            )
        ]
        if self.structure is not None:
            class_ = self.structure.class_
            name = np.array(f"{class_}_{group}", dtype=object)
            out.append(Reported(self._name("rho"), name, TIED[class_], f"{class_}_{group}{suffix}"))
        elif self.has_cor:
            cors = np.array([[f"cor_{group}__{row[i]}__{row[j]}" for i, j in self._pairs()] for row in rows], dtype=object)
            pair_dim = f"pair_{group}{suffix}"
            pairs = tuple(f"{self.labels[i]}__{self.labels[j]}" for i, j in self._pairs())
            out.append(
                Reported(
                    self._name("cor"),
                    cors if by else cors[0],
                    COR,
                    f"cor_{group}{suffix}",
                    (*by, pair_dim),
                    {**by, pair_dim: pairs},
                )
            )
        if self.grouping.dist == "student":
            name = np.array(f"df_{group}", dtype=object)
            out.append(Reported(self._name("df"), name, DF, f"df_{group}{suffix}"))
        return (*out, *self._reported_effects(group, suffix))

    @property
    def sd_names(self) -> tuple[str, ...]:
        """The reported standard deviation of each coefficient (and level of ``by``)."""
        (own,) = (tuple(str(n) for n in np.ravel(q.names)) for q in self.reported() if q.kind == SD)
        return own * len(self.coefs) if self.sd_coefs != self.coefs else own

    def _dim_suffix(self) -> str:
        """Blocks of the same group are told apart by their number in ArviZ' names."""
        return "" if self.grouping.only else f"_{self.index}"

    def _reported_effects(self, group: str, suffix: str) -> tuple[Reported, ...]:
        out, at = [], 0
        levels = self.grouping.level_names
        # terms of one predictor that share an ID stand together
        for where, members in groupby(self.members, lambda m: m.where):
            coefs = tuple(c for m in members for c in m.coefs)
            var = f"r_{group}_{where.suffix}" if where.suffix else f"r_{group}"
            names = np.array([[f"{var}[{level},{c}]" for level in levels] for c in coefs], dtype=object)
            coef_dim = f"coef_{group}_{where.suffix}{suffix}" if where.suffix else f"coef_{group}{suffix}_r"
            coords = {coef_dim: coefs, group: levels}
            out.append(Reported(self._name("r"), names, R, var + suffix, (coef_dim, group), coords, (at, at + len(coefs))))
            at += len(coefs)
        return tuple(out)


def _alike(by: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The levels sorted by their ``by``, and for each of these the place of its first level and how many it has."""
    count = np.bincount(by)
    return np.argsort(by, kind="stable").astype(np.int32), np.cumsum(count) - count, count
