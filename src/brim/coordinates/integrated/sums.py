"""Sums over the rows that hold all the data say about a linear Gaussian model: one pass, in chunks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from brim.coordinates.integrated.coefficients import Basis, basis, normal_priors
from brim.coordinates.integrated.which import Integrated
from brim.coordinates.quadratic.meetings import KNOWN, Arithmetic, between, flat
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.infer.target import NowhereError
from brim.language.expand import deparse
from brim.terms.base import AbstractTerm, linear_of
from brim.terms.groups.group import GroupBlock
from brim.terms.latent import Incidence

__all__ = [
    "Known",
    "Sums",
    "basis_of",
    "border_columns",
    "border_levels",
    "coefficient_columns",
    "compressed",
    "couplings_of",
    "curve_columns",
    "group_columns",
    "known_rows",
    "padded",
    "reference",
    "rotated",
    "row_sums",
    "rows_of",
    "squares_of",
    "turned",
]

CHUNK = 2**19  # numbers of the design held at once: some MB, which the processor's cache holds
HUGE = 1e150  # whose square is not finite
MOST_ROOT = 2e9  # operations of the triangular factor that directions of population coefficients are found from
_RIDGE = 1e-3  # of the size of a column
REFERENCE = 2**15  # rows that the reference coefficients are estimated from

Pairs = dict[tuple[int, int], np.ndarray]


class Sums(NamedTuple):
    """Sums over rows, weighted with the known precision of each, of products with ``V = (y - X ref, X)``, p columns in ``X``.

    Attributes
    ----------
    ref
        Reference coefficients (p,), 0 of crossed effects and of population coefficients that are integrated out.
    squares
        ``V'V`` (1 + p, 1 + p).
    cross
        ``Z_b'V`` of each block by level, (1 + p, k_b, levels).
    gram
        ``Z_b'Z_c`` by level of ``b``, for ``c`` around ``b``: (k_b, k_c, levels).
    log_sigma, constant
        The factor of ``-log(sigma)`` in the log likelihood, and its constant part.
    """

    ref: np.ndarray
    squares: np.ndarray
    cross: tuple[np.ndarray, ...]
    gram: Pairs
    log_sigma: float = 0.0
    constant: float = 0.0


class Known(NamedTuple):
    """What is known of rows whose residuals are computed at every gradient, in units of ``1 / sigma^2``.

    Attributes
    ----------
    precision, log_sigma, constant
        As ``known_precision`` gives them.
    gram
        ``Z_b'WZ_c`` of every level of ``b``: (k_b, k_c, levels of b) for ``b <= c``.
    squares, couplings
        ``S'WS`` of the border's columns, and ``Z_b'WS`` of every level, (k, width, levels).
    """

    precision: np.ndarray
    log_sigma: float
    constant: float
    gram: Pairs
    squares: np.ndarray
    couplings: tuple[np.ndarray, ...]


def known_precision(data: Mapping[str, Any], n: int) -> tuple[np.ndarray, float, float]:
    """What is known of the likelihood of ``n`` rows with ``weights()`` and ``se()`` but no predicted ``sigma``.

    Returns
    -------
    The rows' precisions in units of ``1 / sigma^2``, the factor of ``-log(sigma)`` in the log likelihood, and its constant part.
    With ``se()`` there is no ``sigma``: its place is taken by 1.
    """
    weights = data.get("weights", np.ones(n))
    total = float(weights.sum())
    constant = -0.5 * math.log(2 * math.pi) * total
    if "se" not in data:
        return weights, total, constant
    se = data["se"]
    return weights / se**2, 0.0, constant - float(weights @ np.log(se))


def basis_of(e: Integrated, frame: Frame) -> Basis | None:
    """The directions of the population coefficients that are integrated out, from all rows or, where these are very many, some.

    Raises
    ------
    BrimError
        Where neither data nor priors tell the coefficients apart, or columns are too large.
    """
    if not e.coefficients:
        return None
    root, n = np.zeros((0, 0)), 0
    for design in _Chunks.of(e, frame).designs(MOST_ROOT // (e.width + 4) ** 2):
        data, own = design[e.response.data_key], coefficient_columns(e, design)
        others = [_other_columns(e, design)] if e.likelihood == "sums" else [np.ones((len(own), 1))]
        precision = known_precision(data, len(own))[0]
        part = np.concatenate([own, *others, data["y"][:, None]], axis=1) * np.sqrt(precision)[:, None]
        part = part[np.isfinite(part[:, -1])]
        root = np.asarray(np.linalg.qr(np.concatenate([root.reshape(-1, part.shape[1]), part]), mode="r"))
        n += len(part)
    if not np.abs(root).max(initial=0.0) < HUGE:
        raise NowhereError("the columns of the design are so large that their squares are not finite", hint="give them in other units")
    found = basis(*normal_priors({p.name: p for p in e.model.params}, e.coefficients), root, n)
    if found is None:
        what = "columns of the design are combinations of others to all digits, and the priors leave their coefficients open"
        raise BrimError(what, hint="leave columns out, or give the coefficients proper priors, as prior('normal(0, 1)', class_='b')")
    return found


def row_sums(e: Integrated, frame: Frame, own: Basis | None = None) -> Sums:
    """Sums over rows of products of residual, columns (the border's last) and group design, weighted with the known precision of each row.

    The residual ``y - X ref`` is that of (penalised) least-squares coefficients ``ref`` from some of the rows. With these taken off
    first, no large numbers cancel in the quadratic form, however large the mean of ``y`` or good the fit.
    """
    if frame.whole is not None:
        return _from_answer(frame.whole.ask(_question(e), lambda blocks: _answer(_sums(e, frame, blocks))), len(e.blocks))
    return _sums(e, frame, iter([frame]), own)


def _sums(e: Integrated, frame: Frame, blocks: Iterator[Frame], own: Basis | None = None) -> Sums:
    """The sums over the rows of ``blocks``, the reference from some of ``frame``."""
    ref = reference(_Chunks.of(e, frame, own).some(), e)
    levels = [len(b.grouping.levels) for b in e.blocks]
    total = _zeros(ref, [len(b.coefs) for b in e.blocks], levels)
    for block in blocks:
        if frame.whole is not None:
            e.response.response.check(block, e.response.family)
        for part in _Chunks.of(e, block, own):
            total = _add(total, part, levels, e)
    return total


def _question(e: Integrated) -> str:
    """What tells the sums of one model of some data from those of another: the response, the columns, and what varies by group."""
    mu = e.response.predictor("mu")
    assert mu is not None
    left = "|".join([deparse(e.response.response.node), *(deparse(call) for call in e.response.response.additions)])
    columns = [f"{t.key}({', '.join(slot.coef for p in t.params() for slot in p.slots)})" for t in mu.terms]
    return f"the sums of {left} by {'; '.join(columns)}; {'; '.join(f'{b.grouping.label}({chr(44).join(b.coefs)})' for b in e.groups)}"


def _answer(sums: Sums) -> dict[str, np.ndarray]:
    """The sums as named arrays."""
    out = {"ref": sums.ref, "squares": sums.squares, "numbers": np.array([sums.log_sigma, sums.constant])}
    out |= {f"cross {b}": a for b, a in enumerate(sums.cross)}
    return out | {f"gram {b} {c}": a for (b, c), a in sums.gram.items()}


def _from_answer(found: Mapping[str, np.ndarray], blocks: int) -> Sums:
    gram = {(b, c): found[f"gram {b} {c}"] for b in range(blocks) for c in range(b, blocks)}
    log_sigma, constant = found["numbers"].tolist()
    return Sums(found["ref"], found["squares"], tuple(found[f"cross {b}"] for b in range(blocks)), gram, log_sigma, constant)


def rows_of(e: Integrated, frame: Frame) -> tuple[_Rows, list[_Rows]]:
    """Some of the rows, and all of them in parts."""
    chunks = _Chunks.of(e, frame)
    return chunks.some(), list(chunks)


def reference(rows: _Rows, e: Integrated) -> np.ndarray:
    """Coefficients of least squares; those of the curves with a penalty, 0 of population coefficients and crossed effects behind these.

    Columns of curves may be nearly collinear. Coefficients of 1e8 that cancel each other would cost all digits, since the curves'
    coefficients, unlike the others, are not measured from the reference: here they stay below some hundred times what they explain.
    """
    root = np.sqrt(rows.precision)
    width = sum(c.width for c in e.curves)
    apart = e.width if e.coefficients else 0
    x = rows.x[:, : rows.x.shape[1] - apart] * root[:, None]
    free = x.shape[1] - width
    penalty = np.diag(_RIDGE * np.linalg.norm(x, axis=0))[free:]
    found = np.linalg.lstsq(np.concatenate([x, penalty]), np.append(rows.y * root, np.zeros(width)), rcond=None)[0]
    return np.concatenate([found, np.zeros(e.width - width)])


class _Rows:
    """Some rows of a linear Gaussian model: response, columns, precisions, and where the effects of blocks stand."""

    def __init__(self, e: Integrated, design: Mapping[str, Any], own: Basis | None) -> None:
        data = design[e.response.data_key]
        self.y = data["y"] if own is None else data["y"] - coefficient_columns(e, design) @ own.ref
        self.x = np.concatenate([_other_columns(e, design), curve_columns(e, design, own)], axis=1)
        self.precision, self.log_sigma, self.constant = known_precision(data, len(self.y))
        self.groups = [group_columns(e, b, design) for b in e.blocks]
        self.crossed = [group_columns(e, b, design) for b in e.crossed]


def border_columns(e: Integrated, design: Mapping[str, Any], own: Basis | None = None) -> tuple[Incidence, ...]:
    """What the effects of the border, or ``e`` of population coefficients, multiply in the rows."""
    if own is not None:
        return (Incidence(None, curve_columns(e, design, own).T),)
    curves = (Incidence(None, c.basis(design[c.key]).T) for c in e.curves)
    return (*curves, *(group_columns(e, b, design) for b in e.crossed))


def curve_columns(e: Integrated, design: Mapping[str, Any], own: Basis | None = None) -> np.ndarray:
    """What the coefficients of the curves, or ``e`` of population coefficients, multiply, (rows, width)."""
    if own is not None:
        return np.asarray(coefficient_columns(e, design) @ own.map)
    parts = [c.basis(design[c.key]) for c in e.curves]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(design[e.response.data_key]["y"]), 0))


def coefficient_columns(e: Integrated, design: Mapping[str, Any]) -> np.ndarray:
    """What population coefficients that are integrated out multiply, (rows, m)."""
    terms = {t.key: t for t in _terms(e)}
    return np.concatenate([linear_of(terms[c.term]).columns(design[c.term])[:, list(c.columns)] for c in e.coefficients], axis=1)


def _other_columns(e: Integrated, design: Mapping[str, Any]) -> np.ndarray:
    """What coefficients that are sampled multiply, (rows, p)."""
    parts = [np.delete(linear_of(t).columns(design[t.key]), e.apart(t), axis=1) for t in _terms(e)]
    return np.concatenate([np.zeros((len(design[e.response.data_key]["y"]), 0)), *parts], axis=1)


def _terms(e: Integrated) -> tuple[AbstractTerm, ...]:
    """The terms of the mean besides what is integrated out."""
    mu = e.response.predictor("mu")
    assert mu is not None
    return mu.terms


def group_columns(e: Integrated, block: GroupBlock, design: Mapping[str, Any]) -> Incidence:
    """Level of each row in a block, and what its effects multiply."""
    parts = [effect.parts(design[effect.key]) for effect in e.effects(block)]
    return Incidence(parts[0][0], np.concatenate([z for _, z in parts]))


def known_rows(e: Integrated, groups: Sequence[Incidence], border: Sequence[Incidence], data: Mapping[str, Any]) -> Known:
    """The products of columns of blocks and of the border that do not depend on parameters."""
    n = len(data["y"])
    precision, log_sigma, constant = known_precision(data, n)
    pairs = [(b, c) for b in range(len(groups)) for c in range(b, len(groups))]
    gram = {(b, c): _by_level(e, b, groups[b], groups[c].columns * precision) for b, c in pairs}
    couplings = tuple(couplings_of(e, b, group, border, precision) for b, group in enumerate(groups))
    return Known(precision, log_sigma, constant, gram, squares_of(e, border, precision), couplings)


def _by_level(e: Integrated, b: int, group: Incidence, others: np.ndarray) -> np.ndarray:
    """Sums over the rows of each level of block ``b`` of the products of its columns and ``others``: (k, len(others), levels)."""
    n = e.blocks[b].grouping.n_levels
    return np.stack([group.known_sums(other, n) for other in others], axis=1)


def squares_of(e: Integrated, border: Sequence[Incidence], w: Any, by: Arithmetic = KNOWN) -> Any:
    """``S' diag(w) S`` of the border's columns, (m, m)."""
    if not border:
        return np.zeros((0, 0))
    levels = border_levels(e)
    blocks: dict[tuple[int, int], Any] = {}
    for i, one in enumerate(border):
        for j in range(i, len(border)):
            blocks[i, j] = flat(between(one, border[j], w, levels[i], levels[j], by), by)
            blocks[j, i] = blocks[i, j].T
    return by.numpy.block([[blocks[i, j] for j in range(len(border))] for i in range(len(border))])


def couplings_of(e: Integrated, b: int, group: Incidence, border: Sequence[Incidence], w: Any, by: Arithmetic = KNOWN) -> Any:
    """``Z_b' diag(w) S`` of every level of block ``b``, (k, m, levels)."""
    k, n = e.blocks[b].shape
    parts = (between(one, group, w, m, n, by) for one, m in zip(border, border_levels(e), strict=True))
    return by.numpy.concatenate([np.zeros((k, 0, n)), *(by.numpy.moveaxis(p, 1, 0).reshape(k, -1, n) for p in parts)], axis=1)


def border_levels(e: Integrated) -> tuple[int, ...]:
    """Numbers of levels of the border's vectors; of population coefficients, which are one vector, their number."""
    return (e.width,) if e.coefficients else tuple(v.shape[1] for v in e.border)


@dataclass(frozen=True)
class _Chunks:
    """The rows of the response in chunks of bounded size; the design is that of the model, chunk by chunk.

    ``codes`` are the levels of all rows in each block, found once: levels are known by their text, which takes long.
    """

    e: Integrated
    frame: Frame
    codes: tuple[np.ndarray, ...]
    own: Basis | None = None

    @property
    def levels(self) -> int:
        """The largest number of levels, or some of their pairs: sums by level of fewer rows would take longer to add up than to make."""
        largest = max((b.grouping.n_levels for b in self.e.blocks), default=0)
        return max(largest, sum(b.size for b in self.e.crossed) * (1 + largest) // 16)

    @staticmethod
    def of(e: Integrated, frame: Frame, own: Basis | None = None) -> _Chunks:
        """The rows that the response keeps."""
        frame = e.response.response.kept(frame)
        return _Chunks(e, frame, tuple(b.grouping.codes(frame) for b in e.groups), own)

    def some(self) -> _Rows:
        """About ``REFERENCE`` rows, evenly spread."""
        rows = self._spread(REFERENCE)
        return self._design(self.frame.take(rows), [codes[..., rows] for codes in self.codes])

    def designs(self, most: float) -> Iterator[dict[str, Any]]:
        """Designs of all else than blocks, of about ``most`` rows, evenly spread."""
        rows = self._spread(most)
        gone = frozenset(effect.key for b in self.e.groups for effect in self.e.effects(b))
        size = max(2**12, CHUNK // (self.e.width + 4))
        for start in range(0, len(rows), size):
            yield self.e.model.design(self.frame.take(rows[start : start + size]), skip=gone)

    def _spread(self, most: float) -> np.ndarray:
        return np.arange(0, self.frame.n, max(1, int(self.frame.n // most)))

    def _design(self, part: Frame, codes: Iterable[np.ndarray]) -> _Rows:
        effects = [(effect, level) for b, level in zip(self.e.groups, codes, strict=True) for effect in self.e.effects(b)]
        design = self.e.model.design(part, skip=frozenset(effect.key for effect, _ in effects))
        return _Rows(self.e, {**design, **{effect.key: effect.design(part, level) for effect, level in effects}}, self.own)

    def __iter__(self) -> Iterator[_Rows]:
        start, size = 0, 2**12
        while start < self.frame.n:
            stop = min(start + size, self.frame.n)
            part = self._design(self.frame.part(start, stop), [codes[..., start:stop] for codes in self.codes])
            yield part
            start = stop
            width = part.x.shape[1] + sum(len(z) for _, z in (*part.groups, *part.crossed)) + 4
            size = max(2**12, CHUNK // width, 2 * self.levels)


def _zeros(ref: np.ndarray, coefs: list[int], levels: list[int]) -> Sums:
    blocks, p = range(len(coefs)), len(ref)
    return Sums(
        ref,
        squares=np.zeros((1 + p, 1 + p)),
        cross=tuple(np.zeros((1 + p, coefs[b], levels[b])) for b in blocks),
        gram={(b, c): np.zeros((coefs[b], coefs[c], levels[b])) for b in blocks for c in blocks if c >= b},
    )


def _add(total: Sums, rows: _Rows, levels: list[int], e: Integrated) -> Sums:
    """With the products of some rows; arrays are added to in place."""
    n = 1 + rows.x.shape[1]  # behind stand crossed effects
    columns = np.concatenate([(rows.y - rows.x @ total.ref[: n - 1])[None], rows.x.T])
    total.squares[:n, :n] += (columns * rows.precision) @ columns.T
    for b, (codes, z) in enumerate(rows.groups):
        level = codes.astype(np.intp)  # what bincount would make of it each time
        for i, zi in enumerate(z):
            weighted = zi * rows.precision
            for j, column in enumerate(columns):
                total.cross[b][j, i] += np.bincount(level, weighted * column, levels[b])
            for c in range(b, len(levels)):
                for j, other in enumerate(rows.groups[c][1]):
                    total.gram[b, c][i, j] += np.bincount(level, weighted * other, levels[b])
    if rows.crossed:
        _add_crossed(total, rows, columns, e)
    return total._replace(log_sigma=total.log_sigma + rows.log_sigma, constant=total.constant + rows.constant)


def _add_crossed(total: Sums, rows: _Rows, columns: np.ndarray, e: Integrated) -> None:
    """The products of the columns of crossed effects, most of which are zeros."""
    n = len(columns)
    only = replace(e, curves=())
    for b, group in enumerate(rows.groups):
        total.cross[b][n:] += np.swapaxes(couplings_of(only, b, group, rows.crossed, rows.precision), 0, 1)
    total.squares[n:, n:] += squares_of(only, rows.crossed, rows.precision)
    sums = [[np.ravel(i.known_sums(x * rows.precision, b.shape[1])) for x in columns] for b, i in zip(e.crossed, rows.crossed, strict=True)]
    across = np.concatenate([np.array(s) for s in sums], axis=1)
    total.squares[:n, n:] += across
    total.squares[n:, :n] += across.T


def turned(sums: Sums, map_: np.ndarray) -> Sums:
    """With the last columns multiplied by a square matrix."""
    at = len(sums.squares) - len(map_)
    squares = sums.squares.copy()
    squares[at:] = map_.T @ squares[at:]
    squares[:, at:] = squares[:, at:] @ map_
    return sums._replace(squares=squares)


# --------------------------------------------------------------------------- the same sums in fewer levels


def rotated(sums: Sums, low: np.ndarray) -> tuple[Sums, np.ndarray]:
    """Sums of one block with one coefficient, its levels correlated by ``low low'``, as of independent levels.

    With ``low' G low = Q D Q'`` and ``z = Q s``: effects ``s`` have independent levels with ``gram`` D and ``cross`` Q' low' u.

    Returns
    -------
    The sums, and Q.
    """
    values, q = np.linalg.eigh(low.T @ (sums.gram[0, 0][0, 0][:, None] * low))
    back = q.T @ low.T
    return sums._replace(gram={(0, 0): np.maximum(values, 0.0)[None, None]}, cross=(sums.cross[0] @ back.T,)), q


def compressed(sums: Sums, by: np.ndarray) -> tuple[Sums, np.ndarray, np.ndarray]:
    """The sums of one block with levels of equal ``gram`` (and ``by``) put together.

    Of many such levels the integral sees only ``sum_j u_j u_j'``, which ``k (1 + p)`` levels made up for it give as well (the triangular
    factor of the levels' sums); in the determinant one of them counts for all. Balanced data, and random intercepts whatever the data,
    so cost the same for any number of levels.

    Returns
    -------
    The sums, ``by``, and how often each level counts in the determinant.
    """
    gram = sums.gram[0, 0]
    k, _, n = gram.shape
    cross = sums.cross[0].reshape(-1, n)
    flat = gram.reshape(k * k, n)
    scale = np.maximum(np.abs(flat).max(axis=1), 1e-300)
    key = np.concatenate([np.round(flat / scale[:, None], 11), by[None]])
    _, first, kind, size = np.unique(key, axis=1, return_index=True, return_inverse=True, return_counts=True)
    few = len(cross)
    if np.minimum(size, few).sum() > 0.7 * n:
        return sums, by, np.ones(n)
    order = np.argsort(np.ravel(kind), kind="stable")
    made, at, count = [], [], []
    for levels in np.split(order, np.cumsum(size)[:-1]):
        columns = cross[:, levels]
        if len(levels) > few:
            columns = np.asarray(np.linalg.qr(columns.T, mode="r")).T
        made.append(columns)
        at.append(np.full(columns.shape[1], first[kind.ravel()[levels[0]]]))
        count.append(np.r_[float(len(levels) - columns.shape[1] + 1), np.ones(columns.shape[1] - 1)])
    place = np.concatenate(at)
    out = sums._replace(gram={(0, 0): gram[..., place]}, cross=(np.concatenate(made, axis=1).reshape(-1, k, len(place)),))
    return out, by[place], np.concatenate(count)


def padded(sums: Sums, by: np.ndarray, count: np.ndarray) -> tuple[Sums, np.ndarray, np.ndarray]:
    """Levels without data added up to a round number, so that data of similar size share a compiled program."""
    n = len(count)
    unit = 2 ** max(3, n.bit_length() - 4)
    extra = -n % unit

    def pad(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, extra)])

    out = sums._replace(gram={key: pad(x) for key, x in sums.gram.items()}, cross=tuple(map(pad, sums.cross)))
    return out, pad(by), pad(count)
