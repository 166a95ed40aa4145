"""Which latent vectors (group effects and curves) can be integrated out of a model, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from brim.compile.session import float64
from brim.coordinates.integrated.coefficients import Coefficients, linear_coefficients, normal_elements
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.model.model import Model, ResponseModel
from brim.parameters.param import unconstrained_size
from brim.terms.base import AbstractTerm, linear_of
from brim.terms.groups.effect import GroupEffect
from brim.terms.groups.group import GroupBlock
from brim.terms.latent import AbstractCurve, AbstractLatent, named

__all__ = [
    "Integrated",
    "chain_of",
    "check_marginalize",
    "find",
    "find_coefficients",
    "in_mean",
    "is_normal",
    "linear_columns",
    "reads_rows",
    "room_for",
    "why_not",
]

ADDITIONS = ("weights", "se", "subset", "mi", "index")  # with these the likelihood of a row stays that of a normal distribution
LARGEST_BORDER = 300  # effects whose joint covariance is factorised at every gradient
LARGEST_ROTATED = 1000  # levels whose covariance is diagonalised once
MOST_COLUMNS = 200  # linear columns of the predictor for which sums over rows are kept
MOST_CURVES = 200  # coefficients of curves, whose joint covariance is factorised at every gradient
MOST_RATIOS = 6  # numbers that the integral over many crossed levels depends on, beside what is linear
MOST_FIXED = 30  # columns of the predictor beside many crossed levels
MOST_SPARSE = 5000  # effects whose factorisation is dense beside many crossed levels
MOST_COEFFICIENTS = 1000  # population coefficients, whose directions are found once
MOST_PRODUCTS = 1e11  # products of their columns, taken once
MOST_WORK = 2e6  # products that the coupling of coefficients to the effects, or to rows of unknown precision, takes at every gradient
MOST_NUMBERS = 2**26  # in the columns of a curve whose rows know their point alone
MOST_CROSSED = 1e7  # products that the coupling of all that crosses the chain to it takes at every gradient


@dataclass(frozen=True)
class Integrated:
    """What is integrated out of a model: hashable, the static part of the compiled density.

    Attributes
    ----------
    model
        The model with all its effects.
    blocks
        The blocks integrated out, a chain: every level of one lies within one level of the next. None, where only curves are.
    curves
        Curves of the mean that are integrated out: smooths and Gaussian processes.
    crossed
        Blocks that cross the chain, or whose levels depend on each other (``gr(cov = )``) or share rows (``mm()``).
    coefficients
        Population coefficients of the mean, integrated out where nothing else is: beside effects they are sampled, of which the integral
        over both would make each gradient dearer than it saves gradients.
    likelihood
        ``"sums"``: all that the data say is in sums over the rows, taken once; ``"rows"``: the predictor has other parts, whose
        residuals are computed at every gradient; ``"precisions"``: the residual precision of a row depends on parameters too.
    levels
        ``"independent"``; correlated by ``gr(cov = )`` and ``"rotated"`` to be independent; or those of ``"crossed"`` blocks, too many for
        a dense border: a sparse factorisation, and a surface through its values (``coordinates.crossed``).
    """

    model: Model
    blocks: tuple[GroupBlock, ...]
    likelihood: str
    levels: str = "independent"
    curves: tuple[AbstractCurve, ...] = ()
    coefficients: tuple[Coefficients, ...] = ()
    crossed: tuple[GroupBlock, ...] = ()

    @property
    def response(self) -> ResponseModel:
        """The response, without the effects integrated out."""
        return self.rest.responses[0]

    @cached_property
    def rest(self) -> Model:
        """The model of all else: sampled parameters, their priors, what the effects are added to."""
        return self.model.without(self.latents).holding({c.name: c.index for c in self.coefficients})

    @property
    def groups(self) -> tuple[GroupBlock, ...]:
        """All blocks."""
        return (*self.blocks, *self.crossed)

    @property
    def border(self) -> tuple[AbstractLatent, ...]:
        """What any row may belong to, whose joint law is dense: curves and crossed blocks."""
        return (*self.curves, *self.crossed)

    @property
    def width(self) -> int:
        """Number of effects of the border, or of population coefficients."""
        return sum(v.size for v in self.border) + sum(len(c.index) for c in self.coefficients)

    @property
    def named(self) -> str:
        """What a reader calls all of it."""
        return "population effects" if self.coefficients else named(self.latents)

    def apart(self, term: AbstractTerm) -> tuple[int, ...]:
        """The columns of a term whose coefficients are integrated out."""
        return tuple(i for c in self.coefficients if c.term == term.key for i in c.columns)

    def whole(self, theta: np.ndarray, parts: Mapping[str, np.ndarray]) -> np.ndarray:
        """Coordinates of the model from those of ``rest`` and those integrated out, by the names of their parameters; (draws, dim)."""
        some = {c.name: c.index for c in self.coefficients}
        out, gone, at = np.empty((len(theta), self.model.layout.dim)), [], 0
        for p in self.model.params:
            n = unconstrained_size(p)
            if p.name in parts:
                places = at + (np.searchsorted(p.free, some[p.name]) if p.name in some else np.arange(n))
                out[:, places] = parts[p.name]
                gone.append(places)
            at += n
        out[:, np.setdiff1d(np.arange(at), np.concatenate(gone))] = theta
        return out

    @property
    def latents(self) -> tuple[AbstractLatent, ...]:
        """All that is integrated out, in the order of its draws."""
        return (*self.blocks, *self.border)

    @property
    def information(self) -> str:
        """What the law of all that is integrated out is computed from."""
        if self.levels == "crossed":
            return "a surface through values of a sparse factorisation"
        return {"sums": "sums over rows, taken once", "rows": "residuals of rows", "precisions": "residuals and precisions of rows"}[
            self.likelihood
        ]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the standardised effects of each block, and of the border (or the population coefficients) together."""
        blocks = (b.shape for b in self.blocks)
        return (*blocks, (self.width,)) if self.width else tuple(blocks)

    def effects(self, block: GroupBlock) -> tuple[GroupEffect, ...]:
        """The parts of a block in the mean, in the order of its coefficients."""
        found = [e for e in self.model.responses[0].effects() if e.block.key == block.key]
        return tuple(sorted(found, key=lambda e: e.member))


def find(model: Model, frame: Frame, scattered: bool = True) -> Integrated:
    """The elimination that leaves the fewest coordinates to be sampled; ``scattered``: many crossed levels may be among them.

    Raises
    ------
    BrimError
        With the reason, when no effects of the model can be integrated out.
    """
    _check_response(model)
    curves = _curves(model)
    if not model.blocks and not curves:
        nothing = Integrated(model, (), "rows")
        alone = replace(nothing, likelihood=_likelihood(nothing, frame)) if frame.whole is not None else None
        if alone is not None and alone.likelihood == "sums":
            return alone
        raise _cannot("it has no group effects, and no smooths")
    reasons = {b.key: unfit(b, model) for b in model.blocks}
    able = tuple(sorted((b for b in model.blocks if not reasons[b.key]), key=lambda b: b.size, reverse=True))
    for e in sorted(_ways(able, curves, model, frame, scattered), key=lambda e: -sum(v.size for v in e.latents)):
        found = _affordable(e, frame)
        if found is not None:
            return found
    if able:
        raise _cannot(f"the levels of '{able[0].grouping.label}' depend on each other, and are too many")
    largest = max(model.blocks, key=lambda b: b.size, default=None)
    raise _cannot(reasons[largest.key] if largest else "its smooths have too many coefficients for the number of rows")


def find_coefficients(model: Model, frame: Frame) -> Integrated | None:
    """The elimination of population coefficients of a model where no effects are integrated out, ``None`` where that is not possible."""
    try:
        _check_response(model)
    except BrimError:
        return None
    mu = model.responses[0].predictor("mu")
    assert mu is not None
    out = Integrated(model, (), "rows", coefficients=linear_coefficients(model, mu.terms, normal_elements))
    if not 0 < out.width <= MOST_COEFFICIENTS or out.width**2 * frame.n > MOST_PRODUCTS or not out.rest.layout.dim:
        return None
    out = replace(out, likelihood=_likelihood(out, frame))
    return None if out.likelihood == "precisions" else out


def _cannot(why: str) -> BrimError:
    return BrimError(f"the model has no group effects that can be integrated out: {why}", hint="use marginalize='auto' or False")


def check_marginalize(value: Any) -> bool | str:
    """The argument of ``brm``: ``"auto"``, ``True`` or ``False``; anything else is an error."""
    if not isinstance(value, bool) and value != "auto":
        raise BrimError(f"marginalize = {value!r}", hint="use 'auto', True or False")
    return bool(value) if isinstance(value, bool) else "auto"


def why_not(latent: AbstractLatent, found: Integrated) -> str:
    """Why a vector is not integrated out, where others are."""
    block = next((b for b in found.model.blocks if b.key == latent.key), None)
    if block is not None:
        crosses = f"its levels and those of {named(found.latents)} lie across each other, and are too many"
        return unfit(block, found.model) or crosses
    mu = found.model.responses[0].predictor("mu")
    inside = mu is not None and any(c.key == latent.key for c in mu.curves())
    return "it would take too many products" if inside else "it is not part of the mean"


def _check_response(model: Model) -> None:
    r = model.responses[0]
    if len(model.responses) > 1:
        raise _cannot("it has several responses")
    if not is_normal(r):
        raise _cannot("only the gaussian family with identity link has effects that can be integrated out exactly")
    if model.prior_only:
        raise _cannot("its likelihood is left out (sample_prior = 'only')")
    mu = r.predictor("mu")
    if mu is None or any(t.traits.stage != 0 for t in mu.terms):
        raise _cannot("the mean is not a sum of effects")
    if r.residual is not None:
        raise _cannot("its residuals are correlated")
    for call in r.response.additions:
        if call.fn not in ADDITIONS:
            raise _cannot(f"with {call.fn}() the likelihood is not that of a normal distribution")


def unfit(block: GroupBlock, model: Model) -> str:
    """Why a block cannot be integrated out; empty if it can."""
    label = block.grouping.label
    if block.grouping.dist != "gaussian":
        return f"the effects of '{label}' are not normally distributed"
    if block.unusual:
        return block.unusual
    if not in_mean(block):
        return f"the effects of '{label}' enter other parameters than the mean"
    if not all(e.known for e in model.responses[0].effects() if e.block.key == block.key):
        return f"special effects vary by '{label}'"
    return ""


def in_mean(block: GroupBlock) -> bool:
    """Whether all of a block's coefficients stand in the predictor of a mean."""
    return not any(m.where.dpar or m.where.nlpar for m in block.members)


def is_normal(r: ResponseModel) -> bool:
    """Whether a response is normal around its linear predictor."""
    return r.family.name == "gaussian" and r.family.links["mu"] == "identity"


def _curves(model: Model) -> tuple[AbstractCurve, ...]:
    """Curves of the mean, as many as may be integrated out together."""
    mu = model.responses[0].predictor("mu")
    assert mu is not None
    total, out = 0, []
    for curve in mu.curves():
        if total + curve.width <= MOST_CURVES:
            total += curve.width
            out.append(curve)
    return tuple(out)


def _ways(
    able: tuple[GroupBlock, ...], curves: tuple[AbstractCurve, ...], model: Model, frame: Frame, scattered: bool
) -> Iterator[Integrated]:
    """The eliminations to choose from: the largest block of independent levels, those around it, and some or all of the others."""
    free = [b for b in able if not b.tied]
    seen = model.responses[0].response.kept(frame)
    chain = chain_of(free[0], free, lambda block: block.grouping.codes(seen)) if free else ()
    crossed = tuple(b for b in able if b not in chain)
    for block in crossed:
        if block.grouping.cov is not None and block.one_scale and block.size <= LARGEST_ROTATED:
            yield Integrated(model, (block,), "rows", "rotated")
    for some in (curves, ()) if curves else ((),):
        yield from (Integrated(model, chain, "rows", curves=some, crossed=b) for b in ((crossed, ()) if crossed else ((),)))
    if scattered and len(able) == len(model.blocks) and crossed and not curves:
        yield Integrated(model, (), "rows", "crossed", crossed=able)


def _affordable(e: Integrated, frame: Frame) -> Integrated | None:
    """With how its likelihood is computed; ``None`` where nothing is integrated out, or at each gradient it would take too long."""
    if not e.latents:
        return None
    out = replace(e, likelihood=_likelihood(e, frame))
    if out.levels == "rotated":
        return out if out.likelihood == "sums" else None
    if out.levels == "crossed":
        return out if _is_scattered(out, frame) else None
    width, effects = sum(c.width for c in out.curves), sum(b.size for b in out.blocks)
    rows = frame.n if out.likelihood == "precisions" else 0
    if width * width * max(effects, rows) > MOST_WORK:
        return None
    if out.likelihood != "sums" and not all(room_for(c, frame) for c in out.curves):
        return None
    if out.crossed and (out.width > LARGEST_BORDER or out.width * out.width * effects > MOST_CROSSED):
        return None
    return out


def room_for(curve: AbstractCurve, frame: Frame) -> bool:
    """Whether the columns of a curve, a number for each row and function, can be held: those of most curves are."""
    return not curve.at_points or curve.width * frame.n <= MOST_NUMBERS


def _is_scattered(e: Integrated, frame: Frame) -> bool:
    """Whether the integral depends on few ratios of loadings to ``sigma`` beside what is linear."""
    if e.likelihood != "sums" or frame.whole is not None or any(b.tied or b.grouping.by_name for b in e.crossed):
        return False
    mu = e.response.predictor("mu")
    columns = None if mu is None else linear_columns(e.rest, mu.terms, frame)
    ratios = sum(len(b.cells) for b in e.crossed)
    se = any(call.fn == "se" for call in e.response.response.additions)
    rest = sum(b.size for b in e.crossed) - max(b.size for b in e.crossed)
    return columns is not None and columns <= MOST_FIXED and ratios <= MOST_RATIOS and rest <= MOST_SPARSE and not se


def chain_of(first: GroupBlock, able: list[GroupBlock], codes: Callable[[GroupBlock], np.ndarray]) -> tuple[GroupBlock, ...]:
    """``first`` and every block that has the one before within its levels, largest first; ``codes`` gives the level of each row."""
    chain, inner = [first], codes(first)
    for block in able:
        if block.key == first.key or block.tied:
            continue
        outer = codes(block)
        within = np.zeros(inner.max() + 1, outer.dtype)
        within[inner] = outer
        if np.array_equal(within[inner], outer):
            chain.append(block)
            inner = outer
    return tuple(chain)


def _likelihood(e: Integrated, frame: Frame) -> str:
    """How much of the likelihood depends on parameters, see ``Integrated``."""
    r = e.response
    se = any(call.fn == "se" for call in r.response.additions)
    if r.predictor("sigma") is not None or (se and r.response.estimates_sigma):
        return "precisions"
    if r.imputed or reads_rows(e.rest, frame):
        return "rows"
    mu = r.predictor("mu")
    assert mu is not None
    columns = linear_columns(e.rest, mu.terms, frame)
    columns = columns - e.width if e.coefficients and columns is not None else columns
    # sums cost (columns x levels) at a gradient, rows at least (rows)
    levels = sum(b.size for b in e.blocks)
    return "sums" if columns is not None and columns <= MOST_COLUMNS and columns * levels <= 8 * frame.total + 1000 else "rows"


def reads_rows(rest: Model, frame: Frame) -> bool:
    """Whether a shared term's arrays have a row for each observation."""

    def shapes(term: Any, n: int) -> list[tuple[int, ...]]:
        return [np.shape(x) for x in term.design(frame.take(np.arange(n))).values()]

    return any(shapes(t, 1) != shapes(t, 2) for t in rest.shared)


def linear_columns(rest: Model, terms: tuple[AbstractTerm, ...], frame: Frame) -> int | None:
    """Number of columns of these terms of a model; ``None`` if one of them is not linear."""
    if any(t.linear is None for t in terms):
        return None

    def coefficients(q: Any, data: Any) -> list[Any]:
        full = rest.transform(rest.layout.constrain(q, data["fixed"])[0], data["design"])
        return [linear_of(t).coefficients(full) for t in terms]

    with float64():
        shapes = jax.eval_shape(coefficients, np.zeros(rest.layout.dim), rest.data(frame.take(np.arange(1))))
    return sum(s.shape[0] for s in shapes)
