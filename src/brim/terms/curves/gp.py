"""Gaussian processes ``gp(x, by =, k =, c =, cov =, iso =, gr =, scale =, cmc =)``, exact and in a Hilbert-space basis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Self, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import block_diag

from brim.design.expressions import Expression
from brim.design.matrix import ModelMatrix, brms_name
from brim.errors import suggest
from brim.frames.columns import Numeric
from brim.frames.frame import Frame
from brim.language.expand import Call, Constant, Node, Terms, Text, arguments, deparse, fault, variables
from brim.limits import within
from brim.linalg import cholesky, inverse_lower, root_of, solve_lower
from brim.parameters.param import Param, Piece, Shrinks, Slot, Where
from brim.parameters.reported import Reported, ReportKind, Section, called
from brim.terms.base import AbstractTerm, Context, Design, Params, Read
from brim.terms.curves.kernels import KERNELS, NAMES, correlation, lscale_prior, root_spectral_density
from brim.terms.facets import LinearFacet, NewLevels
from brim.terms.latent import AbstractCurve, Incidence, LatentFacet, Loadings, Part

__all__ = ["GaussianProcess", "read"]

#: Standard deviation and length scales; weights of the functions.
HYPER = ReportKind("gp", Section("gp", "Gaussian Process Terms: ", 1), called)
WEIGHTS = ReportKind("gp weights", inner=True, each=True)

#: Added to the diagonal of a covariance matrix so that its Cholesky factor exists; the second, times the variance, where rounding needs it.
NUGGET = 1e-12
WIDE_NUGGET = 1e-10


def read(terms: tuple[tuple[Node, ...], ...], context: Context) -> Read:
    """The ``gp()`` terms of a predictor."""
    out = []
    for term in terms:
        call = next(f for f in term if isinstance(f, Call) and f.fn == "gp")
        if len(term) > 1:
            raise fault(call, f"{deparse(call)} cannot stand in an interaction", "let it vary with another variable by gp(x, by = z)")
        out.append(_read(call, context).learn(context.frame))
    return Read(tuple(out))


def _read(call: Call, context: Context) -> GaussianProcess:
    covariates, given = arguments(call)
    if not covariates:
        raise fault(call, "gp() needs a covariate", "write gp(x)")
    cov = given.get("cov", Text("exp_quad"))
    if isinstance(cov, Text):
        cov = replace(cov, value=NAMES.get(cov.value, cov.value))
    if not (isinstance(cov, Text) and cov.value in KERNELS):
        name = cov.value if isinstance(cov, Text) else deparse(cov)
        raise fault(cov, f"gp() has no kernel '{name}'", suggest(name, KERNELS, "kernels"))
    k = _numbers(given.get("k"), len(covariates))
    if k is not None and any(v < 1 or v != int(v) for v in k):
        raise fault(given["k"], "k, the number of basis functions of a dimension, must be whole and positive")
    within("basis", math.prod(k or (1,)), f"k of {deparse(call)}")
    c = _numbers(given.get("c"), len(covariates)) or (1.25,) * len(covariates)
    if any(v <= 0 for v in c):
        raise fault(given["c"], "c, the ratio of the basis' interval to the data's range, must be positive")
    if k is None and "c" in given:
        raise fault(
            given["c"], "c belongs to a basis, and without k there is none", "give k, the number of basis functions, or leave c out"
        )
    by = given.get("by")
    by = None if isinstance(by, Constant) else by
    iso, gr, scale, cmc = (_flag(given.get(name)) for name in ("iso", "gr", "scale", "cmc"))
    basis = None if k is None else tuple(int(v) for v in k)
    default = f"student_t(3, 0, {context.scale:g})"
    return GaussianProcess(call, context.where, covariates, by, cov.value, basis, c, iso, gr, scale, cmc, default)


def _flag(node: Node | None) -> bool:
    if node is None:
        return True
    if isinstance(node, Constant) and isinstance(node.value, bool):
        return node.value
    raise fault(node, f"'{deparse(node)}' must be TRUE or FALSE")


def _numbers(node: Node | None, count: int) -> tuple[float, ...] | None:
    """A number, an expression of numbers such as ``5/4``, or ``c()`` of one a dimension; ``None`` for ``NA``."""
    if node is None or (isinstance(node, Constant) and not isinstance(node.value, float)) or deparse(node) == "NA":
        return None
    parts = node.args if isinstance(node, Call) and node.fn == "c" else (node,)
    values = []
    for part in parts:
        if variables(part):
            raise fault(part, f"'{deparse(part)}' is not a number")
        values.append(float(Expression(part).learn(_ONE_ROW).numbers(_ONE_ROW)[0]))
    if len(values) not in (1, count):
        raise fault(node, f"{len(values)} numbers are given for {count} covariates", f"give 1 or {count}")
    return tuple(values * count if len(values) == 1 else values)


_ONE_ROW = Frame.of({"one": Numeric(np.ones(1))})


@dataclass(frozen=True)
class Process:
    """One of the processes of a term (one for each level of ``by``) over its part of the training rows.

    Attributes
    ----------
    name
        brms' name, ``gpxf3lo``.
    size
        Number of latent variables: of points, or of basis functions.
    points
        The points of an exact process, scaled, ``(points, D)``.
    widest
        The largest distance between two points, by which covariates are divided; 1 without scaling.
    means
        Means of the scaled covariates, which the basis is centred at.
    ends
        Half-widths ``L`` of the intervals of the basis.
    priors
        Default priors of the length scales.
    rows
        The training rows of the points where each row has its own (``gr = FALSE``).
    order
        The points from coarse to fine: each is the farthest from those before it.
    """

    name: str
    size: int
    points: np.ndarray = field(compare=False, repr=False)
    widest: float = field(compare=False)
    means: np.ndarray = field(compare=False, repr=False)
    ends: np.ndarray = field(compare=False, repr=False)
    priors: tuple[str, ...] = field(compare=False)
    rows: np.ndarray = field(compare=False, repr=False)
    order: np.ndarray = field(compare=False, repr=False)


@final
@dataclass(frozen=True)
class GaussianProcess(AbstractTerm, AbstractCurve, LinearFacet, LatentFacet):
    """``eta + sum_j C_j f_j(x)`` with ``f_j ~ GP(0, sdgp_j^2 k(x, x' | lscale_j))``.

    Exact: ``f = L z`` at the distinct points, ``L L' = K``. Reported is ``z``; sampled is ``u`` of ``f = P R u``, ``R R' = P' K P``, with
    the points ordered from coarse to fine. Both are standard normal. The ``L`` of neighbouring points turns wildly with the length scale
    and with rounding, since the first few points of a smooth curve extrapolate to all others; ``R`` does not.

    With ``k`` basis functions a dimension (Solin and Sarkka, 2020; Riutort-Mayol et al., 2023): ``f = Phi sqrt(S(w)) z``,
    ``phi_m(x) = sin(w_m (x + L)) / sqrt(L)``, ``w_m = m pi / (2 L)``.
    """

    call: Call = field(compare=False)
    where: Where
    covariates: tuple[Node, ...] = field(compare=False)
    by: Node | None = field(compare=False)
    kernel: str
    k: tuple[int, ...] | None
    c: tuple[float, ...] = field(compare=False)
    iso: bool
    gr: bool = field(compare=False)
    scale: bool = field(compare=False)
    cmc: bool = field(compare=False)
    default: str = field(compare=False, default="")
    processes: tuple[Process, ...] = ()
    expressions: tuple[Expression, ...] = field(compare=False, default=(), repr=False)
    contrasts: ModelMatrix | Expression | None = field(compare=False, default=None, repr=False)
    bare: bool = False  # without the standard normal variables, see without

    @property
    def name(self) -> str:
        """brms' name of the term, ``gpxf3``."""
        return brms_name("gp" + "".join(deparse(n) for n in (*self.covariates, *((self.by,) if self.by else ()))))

    @property
    def key(self) -> str:
        return f"gp{self.where.suffix}:{self.name}"

    def _name(self, kind: str) -> str:
        return f"{kind}{self.where.suffix}:{self.name}"

    # ------------------------------------------------------------------ learning

    def learn(self, frame: Frame) -> Self:
        expressions = tuple(Expression(n).learn(frame) for n in self.covariates)
        names, contrasts = self._learn_by(frame)
        learned = replace(self, expressions=expressions, contrasts=contrasts)
        x, factors = learned._x(frame), learned._contrasts(frame)
        used = learned._used(factors)
        processes = tuple(learned._process(n, x, np.flatnonzero(u), frame) for n, u in zip(names, used, strict=True))
        return replace(learned, processes=processes)

    def _learn_by(self, frame: Frame) -> tuple[list[str], ModelMatrix | Expression | None]:
        """Names of the processes, and what multiplies them: columns for the levels of a factor, or a number."""
        if self.by is None:
            return [self.name], None
        value = Expression(self.by).learn(frame)
        if isinstance(value.value(frame), Numeric):
            return [self.name], value
        matrix = ModelMatrix(Terms(not self.cmc, ((self.by,),), (), self.by)).learn(frame)
        return [brms_name(f"{self.name}{n.removeprefix(deparse(self.by))}") for n in matrix.names], matrix

    def _used(self, factors: np.ndarray) -> np.ndarray:
        """The rows that belong to each process; a numeric ``by`` leaves none out."""
        return factors != 0 if isinstance(self.contrasts, ModelMatrix) else np.ones(factors.shape, bool)

    def _process(self, name: str, x: np.ndarray, rows: np.ndarray, frame: Frame) -> Process:
        x = x[rows]
        if self.gr:
            x = x[np.sort(np.unique(x, axis=0, return_index=True)[1])]
        widest = _widest(x) if self.scale else 1.0
        if not widest > 0:
            raise fault(self.call, f"{deparse(self.call)} has one point only", "a Gaussian process needs several values of its covariates")
        x = x / widest
        means = x.mean(axis=0)
        ends = np.asarray(self.c) * max(1.0, float(np.ptp(x - means)))  # brms: one range over all dimensions
        priors = (lscale_prior(x),) if self._one_scale else tuple(lscale_prior(x[:, [d]]) for d in range(x.shape[1]))
        size = len(x) if self.k is None else int(np.prod(self.k))
        order = _coarse_to_fine(x) if self.k is None else np.arange(0)
        return Process(name, size, x, widest, means, ends, priors, frame.row_numbers[rows], order)

    @property
    def _one_scale(self) -> bool:
        return self.iso or len(self.covariates) == 1

    @property
    def _scales(self) -> int:
        """Length scales of a process."""
        return 1 if self._one_scale else len(self.covariates)

    def variables(self) -> tuple[str, ...]:
        nodes = (*self.covariates, *((self.by,) if self.by is not None else ()))
        return tuple(dict.fromkeys(v for n in nodes for v in variables(n)))

    # ------------------------------------------------------------------ design

    def _x(self, frame: Frame) -> np.ndarray:
        return np.column_stack([e.numbers(frame) for e in self.expressions])

    def _contrasts(self, frame: Frame) -> np.ndarray:
        """What multiplies each process in each row: ``(processes, rows)``."""
        if self.contrasts is None:
            return np.ones((1, frame.n))
        if isinstance(self.contrasts, Expression):
            return self.contrasts.numbers(frame)[None, :]
        return np.ascontiguousarray(self.contrasts.matrix(frame).T)

    def design(self, frame: Frame) -> Design:
        x, factors = self._x(frame), self._contrasts(frame)
        out: Design = {} if self.by is None else {"C": factors}
        used = self._used(factors)
        for j, process in enumerate(self.processes):
            scaled = x / process.widest
            if self.k is None:
                out[f"at{j}"], out[f"new{j}"] = self._places(process, scaled, used[j], frame)
            else:
                out[f"Phi{j}"] = self._basis(process, scaled)
        return {**out, **self.constants()}

    def _places(self, process: Process, x: np.ndarray, mine: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """The number of each row's point, and the points that the training data do not have, which are numbered after theirs."""
        if not self.gr and frame.rows is not None:
            place = {row: i for i, row in enumerate(process.rows)}
            own = [place[row] if m else 0 for row, m in zip(frame.rows, mine, strict=True)]
            return np.array(own, np.int32), np.zeros((0, x.shape[1]))
        known = {tuple(p): i for i, p in reversed(list(enumerate(process.points)))}
        new: dict[tuple[float, ...], int] = {}
        at = np.zeros(len(x), np.int32)
        for row in np.flatnonzero(mine):
            point = tuple(x[row])
            at[row] = known[point] if point in known else len(process.points) + new.setdefault(point, len(new))
        return at, np.array(list(new), float).reshape(len(new), x.shape[1])

    def _basis(self, process: Process, x: np.ndarray) -> np.ndarray:
        """``Phi (rows, basis functions)``: products of one sine a dimension."""
        shifted = x - process.means + process.ends
        phi = np.ones((len(x), process.size))
        for d, number in enumerate(self._indices().T):
            phi *= np.sin(np.outer(shifted[:, d], number * np.pi / (2 * process.ends[d]))) / np.sqrt(process.ends[d])
        return phi

    def _indices(self) -> np.ndarray:
        """The numbers of the sines of each basis function, the first dimension's changing fastest: ``(functions, D)``."""
        assert self.k is not None
        return np.array([m[::-1] for m in product(*(range(1, k + 1) for k in reversed(self.k)))])

    def constants(self) -> Design:
        if self.k is None:
            points = {f"x{j}": p.points for j, p in enumerate(self.processes)}
            return {**points, **{f"order{j}": p.order for j, p in enumerate(self.processes)}}
        return {f"w{j}": self._indices() * np.pi / (2 * p.ends) for j, p in enumerate(self.processes)}

    # ------------------------------------------------------------------ parameters

    def _scale_names(self) -> list[str]:
        if self._one_scale:
            return [p.name for p in self.processes]
        return [brms_name(p.name + deparse(n)) for p in self.processes for n in self.covariates]

    def params(self) -> tuple[Param, ...]:
        sds = tuple(Slot("sdgp", p.name, where=self.where, default=self.default, shrinks=Shrinks(2, False)) for p in self.processes)
        own = [text for p in self.processes for text in p.priors]
        scales = tuple(
            Slot("lscale", name, where=self.where, own_default=text, in_class=True)
            for name, text in zip(self._scale_names(), own, strict=True)
        )
        hyper = (Param(self._name("sdgp"), (len(sds),), sds, lb=0.0), Param(self._name("lscale"), (len(scales),), scales, lb=0.0))
        return hyper if self.bare else (*hyper, Param(self.standardised, (self.width,), pieces=(Piece("std_normal", None),)))

    def reported(self) -> tuple[Reported, ...]:
        out = []
        for kind, names in (("sdgp", [p.name for p in self.processes]), ("lscale", self._scale_names())):
            label = f"{kind}_{self.where.prefix}{self.name}"
            dim = f"{label}_dim"
            array = np.array([f"{kind}_{self.where.prefix}{n}" for n in names], dtype=object)
            out.append(Reported(self._name(kind), array, HYPER, label, (dim,), {dim: tuple(names)}))
        at = 0
        for p in self.processes:
            label = f"zgp_{self.where.prefix}{p.name}"
            numbers = tuple(str(i + 1) for i in range(p.size))
            array = np.array([f"{label}[{i}]" for i in numbers], dtype=object)
            dim = f"{label}_dim"
            out.append(Reported(self._name("zgp"), array, WEIGHTS, label, (dim,), {dim: numbers}, (at, at + p.size)))
            at += p.size
        return tuple(out)

    # ------------------------------------------------------------------ numbers

    def _hyper(self, params: Params) -> list[tuple[Any, Any]]:
        """Standard deviation and length scales of each process."""
        sd, lscale = params[self._name("sdgp")], params[self._name("lscale")]
        return [(sd[j], lscale[j * self._scales : (j + 1) * self._scales]) for j in range(len(self.processes))]

    def _own(self, params: Params, latent: str = "zgp") -> list[tuple[Any, Any, Any]]:
        """Standard deviation, length scales and latent variables of each process."""
        z, ends = params[self._name(latent)], np.cumsum([p.size for p in self.processes])
        return [(*hyper, z[end - p.size : end]) for hyper, p, end in zip(self._hyper(params), self.processes, ends, strict=True)]

    def _basis_sd(self, j: int, sd: Any, lscale: Any, design: Design) -> Any:
        """Standard deviations of the coefficients of the basis."""
        return sd * root_spectral_density(self.kernel, design[f"w{j}"], lscale)

    def _map(self, j: int, sd: Any, lscale: Any, design: Design) -> Any:
        """The matrix from ``u`` to the values at the points."""
        x, order = jnp.asarray(design[f"x{j}"]), jnp.asarray(design[f"order{j}"])
        return jnp.zeros((x.shape[0], x.shape[0])).at[order].set(self._factor(x[order], sd, lscale))

    def _factor(self, x: Any, sd: Any, lscale: Any) -> Any:
        """Cholesky factor of the covariance of the values at ``x``.

        The nugget is that of brms, but grows with the variance where rounding, about ``10 n`` units in the last place, would exceed it
        (which in brms ends the proposal): a rule of ``n`` and ``sd`` alone, so that fit and predictions choose alike.
        """
        n = x.shape[0]
        lost = 10.0 * n * np.finfo(np.float64).eps * sd**2
        cov, wide = sd**2 * correlation(self.kernel, x, x, lscale), WIDE_NUGGET * sd**2
        nugget = jnp.where(lost < NUGGET, NUGGET, wide)
        return cholesky(cov + nugget * jnp.eye(n))

    def transform(self, params: Params, design: Design) -> dict[str, Any]:
        """Values of exact processes at their points, and the ``z`` that brms reports for them."""
        if self.k is not None or self.bare:
            return {}
        values, z = {}, []
        for j, (sd, lscale, u) in enumerate(self._own(params, "ugp")):
            f = self._map(j, sd, lscale, design) @ u
            values[f"{self.key}:f{j}"] = f
            z.append(solve_lower(self._factor(jnp.asarray(design[f"x{j}"]), sd, lscale), f[:, None])[:, 0])
        return {**values, self._name("zgp"): jnp.concatenate(z)}

    def apply(self, eta: Any, params: Params, design: Design) -> Any:
        for j in range(0 if self.bare else len(self.processes)):
            if self.k is None:
                f = params[f"{self.key}:f{j}"][design[f"at{j}"]]
            else:
                sd, lscale, z = self._own(params)[j]
                f = design[f"Phi{j}"] @ (self._basis_sd(j, sd, lscale, design) * z)
            eta = eta + (design["C"][j] * f if "C" in design else f)
        return eta

    # ------------------------------------------------------------------ as columns and coefficients

    @property
    def linear(self) -> Self | None:
        return self if self.bare else None

    def coefficients(self, params: Params) -> Any:
        return jnp.zeros(0)

    def columns(self, design: Design) -> Any:
        return np.zeros((len(design["at0" if self.k is None else "Phi0"]), 0))

    @property
    def latent(self) -> Part | None:
        return None if self.bare else Part(self, 0, 1, term=self)

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        return Incidence(None, np.ascontiguousarray(self.basis(self.design(frame)).T))

    def without(self, gone: frozenset[str]) -> GaussianProcess:
        return replace(self, bare=True) if self.standardised in gone else self

    @property
    def standardised(self) -> str:
        return self._name("zgp" if self.k else "ugp")

    @property
    def width(self) -> int:
        return sum(p.size for p in self.processes)

    @property
    def label(self) -> str:
        return deparse(self.call)

    @property
    def scales(self) -> tuple[str, ...]:
        return self._name("sdgp"), self._name("lscale")

    @property
    def at_points(self) -> bool:
        return self.k is None

    def basis(self, design: Design) -> Any:
        parts = []
        for j, process in enumerate(self.processes):
            part = np.eye(process.size)[design[f"at{j}"]] if self.k is None else design[f"Phi{j}"]
            parts.append(design["C"][j][:, None] * part if "C" in design else part)
        return np.concatenate(parts, axis=1)

    def loadings(self, params: Params, design: Design) -> Loadings:
        """The standard deviations of a basis' coefficients, or the matrix to the values at the points."""
        if self.k is not None:
            return Loadings(jnp.concatenate([self._basis_sd(j, *own, design) for j, own in enumerate(self._hyper(params))])[None, None])
        maps = [self._map(j, *own, design) for j, own in enumerate(self._hyper(params))]
        return Loadings(jnp.ones((1, 1)), block_diag(*maps))

    def held(self, design: Design) -> int:
        """The largest matrix of an exact process."""
        own = range(0 if self.bare or self.k is not None else len(self.processes))
        return max(((len(design[f"x{j}"]) + len(design[f"new{j}"])) ** 2 for j in own), default=0)

    def extend(self, keys: Any, params: Params, design: Design, how: NewLevels) -> dict[str, Any]:
        """Values of exact processes, at new points drawn from their law given those at the old points."""
        if self.k is not None or not design:
            return {}
        out: dict[str, Any] = {}
        for j, (sd, lscale, z) in enumerate(self._own(params)):
            new, old = jnp.asarray(design[f"new{j}"]), jnp.asarray(design[f"x{j}"])
            low = self._factor(old, sd, lscale)
            f = low @ z
            if new.shape[0]:
                f = jnp.concatenate([f, self._kriged(jax.random.fold_in(keys[0], j), low, old, new, sd, lscale, z)])
            out[f"{self.key}:f{j}"] = f
        return out

    def _kriged(self, key: Any, low: Any, old: Any, new: Any, sd: Any, lscale: Any, z: Any) -> Any:
        """A draw of ``f(new)`` given ``f(old) = L z``: mean ``v' z``, covariance ``K(new, new) - v' v``, ``v = L^-1 K(old, new)``.

        Next to old points little but rounding is left of the covariance.
        """
        v = inverse_lower(low) @ (sd**2 * correlation(self.kernel, old, new, lscale))
        cov = sd**2 * correlation(self.kernel, new, new, lscale) - v.T @ v
        root = root_of(cov + 1e-10 * sd**2 * jnp.eye(new.shape[0]))
        return v.T @ z + root @ jax.random.normal(key, (new.shape[0],), z.dtype)


def _widest(x: np.ndarray) -> float:
    """The largest distance between two points."""
    if x.shape[1] == 1:
        return float(np.ptp(x))
    from scipy.spatial.distance import pdist

    return float(pdist(x).max(initial=0.0))


def _coarse_to_fine(x: np.ndarray) -> np.ndarray:
    """The point next to the middle, then always the one farthest from all before."""
    order = [int(((x - x.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    apart = np.full(len(x), np.inf)
    for _ in range(len(x) - 1):
        apart = np.minimum(apart, ((x - x[order[-1]]) ** 2).sum(axis=1))
        apart[order[-1]] = -1.0  # points may coincide (gr = FALSE)
        order.append(int(apart.argmax()))
    return np.array(order)
