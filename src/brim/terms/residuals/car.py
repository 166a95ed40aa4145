"""Conditional autoregression between places, ``car(M, gr, type = "escar" | "esicar" | "icar" | "bym2")``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Self, final

import jax.numpy as jnp
import numpy as np

from brim.design.expressions import Expression
from brim.errors import suggest, warn
from brim.frames.columns import Factor, Logical, Numeric
from brim.frames.frame import Frame
from brim.language.expand import Call, Constant, Node, Text, arguments, deparse, fault, variables, word
from brim.linalg import solve
from brim.parameters.param import Param, Piece, Shrinks, Slot, Where
from brim.parameters.reported import LATENT, Reported
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.facets import LinearFacet, Traits
from brim.terms.latent import AbstractCurve, Incidence, LatentFacet, Loadings, Part
from brim.terms.residuals.law import AUTOCOR
from brim.terms.residuals.matrices import named_matrix, square_matrix
from brim.terms.residuals.modes import SOFT_ZERO, modes_of, null_directions

__all__ = ["ConditionalAutoregression", "read"]

TYPES = ("escar", "esicar", "icar", "bym2")
#: Types whose law needs every place to have a neighbour.
_EXACT = ("escar", "esicar")


def read(call: Call, context: Context) -> Read:
    """``car(M, gr, type)``: ``M`` says which places are neighbours, with the levels of ``gr`` as row names."""
    _, given = arguments(call)
    kind = word(given.get("type", Text("escar")), TYPES, "types of car()")
    group = given.get("gr")
    group = None if isinstance(group, Constant) else group
    node, values, names = named_matrix(call, context)
    if group is None:  # each row of the data is a place of its own
        if context.whole is not None and context.whole.n != context.frame.n:
            raise fault(call, f"{deparse(call)} with subset() needs the place of each row", "write car(M, gr = place)")
        _, values = square_matrix(call, context)
        names = tuple(str(i + 1) for i in range(len(values)))
    elif names is None:
        raise fault(node, f"'{deparse(node)}' needs row names, the levels of {deparse(group)}", "give a data frame with an index")
    if not np.isin(values, (0.0, 1.0)).all():
        warn(f"{deparse(call)}: '{deparse(node)}' says who is a neighbour; values other than 0 count as 1")
    if not np.array_equal(values != 0, (values != 0).T):
        raise fault(node, f"'{deparse(node)}' must be symmetric: neighbours are neighbours of each other")
    default = f"student_t(3, 0, {context.scale:g})"
    term = ConditionalAutoregression(call, context.where, kind, group, default, values != 0, names)
    return Read((term.learn(context.frame),))


@final
@dataclass(frozen=True)
class ConditionalAutoregression(AbstractTerm, AbstractCurve, LinearFacet, LatentFacet):
    """``eta + rcar[place]`` with neighbours ``W``, numbers of neighbours ``D``.

    ========  ============================================================================================================
    escar     ``rcar ~ N(0, sdcar^2 (D - car W)^-1)``, ``car`` in [0, 1]
    esicar    ``rcar ~ N(0, sdcar^2 (D - W)^-)`` with sum zero
    icar      ``rcar = sdcar z``, ``log p(z) = -1/2 sum_{i~j} (z_i - z_j)^2``, ``sum(z) ~ N(0, (places / 1000)^2)``
    bym2      ``rcar = sdcar (sqrt(1 - rhocar) u + sqrt(rhocar / scale) z)`` with ``u ~ N(0, 1)`` and ``z`` as for icar, where
              ``scale`` is the geometric mean of its variances (Riebler et al., 2016)
    ========  ============================================================================================================

    All four are normal given ``sdcar``, ``car`` and ``rhocar``, and one rotation makes them independent whatever these are: ``rcar = V
    diag(s) z``, ``z ~ N(0, I)``, with ``s = sdcar / sqrt(1 - car lambda)``, ``sdcar``, ``sdcar``, and for bym2 ``sdcar sqrt(1 - rhocar +
    rhocar v / scale)`` (see ``modes``). So they are a curve, which can be integrated out or follow the data. Not where the law is flat
    in several directions, places that do not hang together, or places are too many: there effects are sampled as the table has them.
    """

    call: Call = field(compare=False)
    where: Where
    type: str
    group: Node | None = field(compare=False)
    default: str = field(compare=False)
    neighbours: Any = field(compare=False, repr=False)
    names: tuple[str, ...] = field(compare=False, repr=False)
    n_places: int = 0
    levels: tuple[str, ...] = field(compare=False, default=(), repr=False)
    arrays: Any = field(compare=False, default=None, repr=False)
    modes: int = 0  # how many numbers z holds; none where effects are sampled as they are
    bare: bool = False  # without z, see without

    @property
    def traits(self) -> Traits:
        return Traits(autocor=True)

    @property
    def key(self) -> str:
        return f"car{self.where.suffix}:effects"

    def _name(self, kind: str) -> str:
        return f"{kind}{self.where.suffix}"

    # ------------------------------------------------------------------ learning

    def _places(self, frame: Frame) -> Factor:
        if self.group is None:
            numbers = np.where(frame.row_numbers < 0, len(self.names), frame.row_numbers)
            return Factor(numbers.astype(np.int32), (*self.names, "a row of other data"))
        value = Expression(self.group).learn(frame).value(frame)
        if isinstance(value, Numeric | Logical | Factor):
            return value.as_factor()
        raise fault(self.group, f"'{deparse(self.group)}' is not a column")

    def learn(self, frame: Frame) -> Self:
        levels = self._places(frame).levels_used
        unknown = [level for level in levels if level not in self.names]
        if unknown:
            what = f"'{unknown[0]}' is no row name of the matrix of {deparse(self.call)}"
            raise fault(self.call, what, suggest(unknown[0], self.names, "row names"))
        at = [self.names.index(level) for level in levels]
        w = np.array(self.neighbours[np.ix_(at, at)], float)
        np.fill_diagonal(w, 0.0)
        arrays = self._arrays(w, levels)
        return replace(self, n_places=len(levels), levels=levels, arrays=arrays, modes=np.shape(arrays.get("V", ((),)))[1])

    def _arrays(self, w: np.ndarray, levels: tuple[str, ...]) -> Design:
        """Pairs of neighbours, and what the type's law needs besides."""
        count = w.sum(axis=1)
        if self.type in _EXACT and (count == 0).any():
            alone = levels[int(np.argmin(count))]
            raise fault(self.call, f"'{alone}' has no neighbour among the places of the data", "use type = 'icar'")
        out: Design = {}
        if self.type == "bym2":
            if null_directions(w) > 1:
                raise fault(self.call, "type = 'bym2' needs places that all hang together", "use type = 'icar'")
            out["scale"] = np.exp(np.mean(np.log(np.diag(np.linalg.pinv(np.diag(count) - w, hermitian=True)))))
        found = modes_of(self.type, w)
        if found is not None:
            return {**out, "V": found.directions, "values": found.values, "constant": np.array(found.constant)}
        out["edges"] = np.argwhere(np.tril(w) > 0).astype(np.int32)
        if self.type in _EXACT:
            out["count"] = count
        if self.type == "escar":
            root = 1.0 / np.sqrt(count)
            out["eigen"] = np.linalg.eigvalsh(root[:, None] * w * root)
        return out

    def variables(self) -> tuple[str, ...]:
        return () if self.group is None else variables(self.group)

    def design(self, frame: Frame) -> Design:
        factor = self._places(frame)
        new = [level for level in factor.levels_used if level not in self.levels]
        if new:
            what = f"'{new[0]}' is a new place of {deparse(self.call)}, whose neighbours are not known"
            raise fault(self.call, what, suggest(new[0], self.levels, "places"))
        return {"at": factor.recode(self.levels).codes, **self.constants()}

    def constants(self) -> Design:
        return dict(self.arrays)

    # ------------------------------------------------------------------ parameters

    def params(self) -> tuple[Param, ...]:
        n = self.n_places
        flat, normal = (Piece("flat", None),), (Piece("std_normal", None),)
        sd = Param(self._name("sdcar"), slots=(Slot("sdcar", where=self.where, default=self.default, shrinks=Shrinks(6, False)),), lb=0.0)
        hyper: tuple[Param, ...] = (sd,)
        if self.type == "escar":
            hyper = (Param(self._name("car"), slots=(Slot("car", where=self.where),), lb=0.0, ub=1.0), sd)
        if self.type == "bym2":
            rho = Slot("rhocar", where=self.where, default="beta(1, 1)")
            hyper = (Param(self._name("rhocar"), slots=(rho,), lb=0.0, ub=1.0), sd)
        if self.bare:
            return hyper
        if self.modes:
            return (*hyper, Param(self.standardised, (self.modes,), pieces=normal))
        if self.type == "escar":
            return (*hyper, Param(self._name("rcar"), (n,), pieces=flat))
        z = Param(self._name("zcar"), (n - 1 if self.type == "esicar" else n,), pieces=flat)
        return (*hyper, z, Param(self._name("nszcar"), (n,), pieces=normal)) if self.type == "bym2" else (*hyper, z)

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        if self.bare:
            return {}
        if self.modes:
            return {self._name("rcar"): design["V"] @ (self._spread(params, design) * params[self.standardised])}
        if self.type == "escar":
            return {}
        z, sd = params[self._name("zcar")], params[self._name("sdcar")]
        if self.type == "esicar":
            r = jnp.append(z, -jnp.sum(z))
        elif self.type == "icar":
            r = sd * z
        else:
            rho = params[self._name("rhocar")]
            r = sd * (jnp.sqrt(1.0 - rho) * params[self._name("nszcar")] + jnp.sqrt(rho / design["scale"]) * z)
        return {self._name("rcar"): r}

    def standardise(self, params: Params, design: Design) -> dict[str, Any]:
        if not self.modes or self.bare:
            return {}
        v = jnp.asarray(design["V"])  # its columns are orthogonal, or are so once weighted with numbers of neighbours
        scaled = solve(v.T @ v, (v.T @ params[self._name("rcar")])[:, None])[:, 0]
        return {self.standardised: scaled / self._spread(params, design)}

    def _spread(self, params: Params, design: Design) -> Any:
        """``s`` (modes,)."""
        sd, values = params[self._name("sdcar")], jnp.asarray(design["values"])
        if self.type == "escar":
            return sd / jnp.sqrt(1.0 - params[self._name("car")] * values)
        if self.type == "bym2":
            rho = params[self._name("rhocar")]
            return sd * jnp.sqrt(1.0 - rho + rho * values / design["scale"])
        return jnp.broadcast_to(sd, values.shape)

    def log_density(self, params: Params, design: Design) -> Any:
        if self.modes:
            return design["constant"]
        one, two = design["edges"].T
        if self.type in ("icar", "bym2"):
            z = params[self._name("zcar")]
            soft = SOFT_ZERO * self.n_places
            zero = -0.5 * (jnp.sum(z) / soft) ** 2 - math.log(soft) - 0.5 * math.log(2 * math.pi)
            return -0.5 * jnp.sum((z[one] - z[two]) ** 2) + zero
        r, sd = params[self._name("rcar")], params[self._name("sdcar")]
        square, cross = jnp.sum(design["count"] * r * r), 2.0 * jnp.sum(r[one] * r[two])
        if self.type == "esicar":
            return -(self.n_places - 1) * jnp.log(sd) - 0.5 * (square - cross) / sd**2
        car = params[self._name("car")]
        log_det = 0.5 * jnp.sum(jnp.log1p(-car * design["eigen"]))
        return log_det - self.n_places * jnp.log(sd) - 0.5 * (square - car * cross) / sd**2

    def reported(self) -> tuple[Reported, ...]:
        names = ("car", "sdcar") if self.type == "escar" else ("rhocar", "sdcar") if self.type == "bym2" else ("sdcar",)
        scalars = [Reported(self._name(n), np.array(self._name(n), dtype=object), AUTOCOR, self._name(n)) for n in names]
        r = self._name("rcar")
        numbers = np.array([f"{r}[{i + 1}]" for i in range(self.n_places)], dtype=object)
        return (*scalars, Reported(r, numbers, LATENT, r, (f"{r}_place",), {f"{r}_place": self.levels}))

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        return eta if self.bare else eta + params[self._name("rcar")][design["at"]]

    # ------------------------------------------------------------------ as columns and coefficients

    @property
    def linear(self) -> Self | None:
        return self if self.bare else None

    def coefficients(self, params: Params) -> Any:
        return jnp.zeros(0)

    def columns(self, design: Design) -> Any:
        return np.zeros((len(design["at"]), 0))

    @property
    def latent(self) -> Part | None:
        return Part(self, 0, 1, term=self) if self.modes and not self.bare else None

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        return Incidence(None, np.ascontiguousarray(self.basis(self.design(frame)).T))

    def without(self, gone: frozenset[str]) -> Self:
        return replace(self, bare=True) if self.standardised in gone else self

    @property
    def standardised(self) -> str:
        return self._name("zcar")

    @property
    def width(self) -> int:
        return self.modes

    @property
    def label(self) -> str:
        return deparse(self.call)

    @property
    def scales(self) -> tuple[str, ...]:
        more = {"escar": ("car",), "bym2": ("rhocar",)}.get(self.type, ())
        return tuple(self._name(name) for name in ("sdcar", *more))

    @property
    def at_points(self) -> bool:
        return True

    @property
    def one_scale(self) -> bool:
        return self.type in ("icar", "esicar")

    def basis(self, design: Design) -> Any:
        return design["V"][design["at"]]

    def loadings(self, params: Params, design: Design) -> Loadings:
        spread = self._spread(params, design)
        return Loadings(spread[None, None])
