"""Sums over the rows that hold all the data say about a linear Gaussian model: one pass, in chunks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from brim.coordinates.integrated.coefficients import Basis, basis, normal_priors
from brim.coordinates.integrated.which import Integrated
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.infer.target import NowhereError
from brim.language.expand import deparse
from brim.terms.base import AbstractTerm

__all__ = [
    "Known",
    "Sums",
    "basis_of",
    "coefficient_columns",
    "compressed",
    "curve_columns",
    "group_columns",
    "known_rows",
    "padded",
    "rotated",
    "row_sums",
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
        Reference coefficients (p,), 0 of population coefficients that are integrated out.
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
        ``S'WS`` of the curves' columns, and ``Z_b'WS`` of every level, (k, width, levels).
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
    """Sums over rows of products of residual, columns (the curves' last) and group design, weighted with the known precision of each row.

    The residual ``y - X ref`` is that of (penalised) least-squares coefficients ``ref`` from some of the rows. With these taken off
    first, no large numbers cancel in the quadratic form, however large the mean of ``y`` or good the fit.
    """
    if frame.whole is not None:
        return _from_answer(frame.whole.ask(_question(e), lambda blocks: _answer(_sums(e, frame, blocks))), len(e.blocks))
    return _sums(e, frame, iter([frame]), own)


def _sums(e: Integrated, frame: Frame, blocks: Iterator[Frame], own: Basis | None = None) -> Sums:
    """The sums over the rows of ``blocks``, the reference from some of ``frame``."""
    ref = _reference(_Chunks.of(e, frame, own).some(), e)
    levels = [len(b.grouping.levels) for b in e.blocks]
    total = _zeros(ref, [len(b.coefs) for b in e.blocks], levels)
    for block in blocks:
        if frame.whole is not None:
            e.response.response.check(block, e.response.family)
        for part in _Chunks.of(e, block, own):
            total = _add(total, part, levels)
    return total


def _question(e: Integrated) -> str:
    """What tells the sums of one model of some data from those of another: the response, the columns, and what varies by group."""
    mu = e.response.predictor("mu")
    assert mu is not None
    left = "|".join([deparse(e.response.response.node), *(deparse(call) for call in e.response.response.additions)])
    columns = [f"{t.key}({', '.join(slot.coef for p in t.params() for slot in p.slots)})" for t in mu.terms]
    return f"the sums of {left} by {'; '.join(columns)}; {'; '.join(f'{b.grouping.label}({chr(44).join(b.coefs)})' for b in e.blocks)}"


def _answer(sums: Sums) -> dict[str, np.ndarray]:
    """The sums as named arrays."""
    out = {"ref": sums.ref, "squares": sums.squares, "numbers": np.array([sums.log_sigma, sums.constant])}
    out |= {f"cross {b}": a for b, a in enumerate(sums.cross)}
    return out | {f"gram {b} {c}": a for (b, c), a in sums.gram.items()}


def _from_answer(found: Mapping[str, np.ndarray], blocks: int) -> Sums:
    gram = {(b, c): found[f"gram {b} {c}"] for b in range(blocks) for c in range(b, blocks)}
    log_sigma, constant = found["numbers"].tolist()
    return Sums(found["ref"], found["squares"], tuple(found[f"cross {b}"] for b in range(blocks)), gram, log_sigma, constant)


def _reference(rows: _Rows, e: Integrated) -> np.ndarray:
    """Coefficients of least squares; those of the last columns, the curves', with a penalty, 0 of population coefficients there.

    Columns of curves may be nearly collinear. Coefficients of 1e8 that cancel each other would cost all digits, since the curves'
    coefficients, unlike the others, are not measured from the reference: here they stay below some hundred times what they explain.
    """
    root = np.sqrt(rows.precision)
    width, apart = (0, e.width) if e.coefficients else (e.width, 0)
    x = rows.x[:, : rows.x.shape[1] - apart] * root[:, None]
    free = x.shape[1] - width
    penalty = np.diag(_RIDGE * np.linalg.norm(x, axis=0))[free:]
    found = np.linalg.lstsq(np.concatenate([x, penalty]), np.append(rows.y * root, np.zeros(width)), rcond=None)[0]
    return np.concatenate([found, np.zeros(apart)])


class _Rows:
    """Some rows of a linear Gaussian model: response, columns, precisions, and (level, columns) of each block."""

    def __init__(self, e: Integrated, design: Mapping[str, Any], own: Basis | None) -> None:
        data = design[e.response.data_key]
        self.y = data["y"] if own is None else data["y"] - coefficient_columns(e, design) @ own.ref
        self.x = np.concatenate([_other_columns(e, design), curve_columns(e, design, own)], axis=1)
        self.precision, self.log_sigma, self.constant = known_precision(data, len(self.y))
        self.groups = [group_columns(e, b, design) for b in range(len(e.blocks))]


def curve_columns(e: Integrated, design: Mapping[str, Any], own: Basis | None = None) -> np.ndarray:
    """What the coefficients of the curves, or ``e`` of population coefficients, multiply, (rows, width)."""
    if own is not None:
        return np.asarray(coefficient_columns(e, design) @ own.map)
    parts = [c.basis(design[c.key]) for c in e.curves]
    return np.concatenate(parts, axis=1) if parts else np.zeros((len(design[e.response.data_key]["y"]), 0))


def coefficient_columns(e: Integrated, design: Mapping[str, Any]) -> np.ndarray:
    """What population coefficients that are integrated out multiply, (rows, m)."""
    terms = {t.key: t for t in _terms(e)}
    return np.concatenate([terms[c.term].columns(design[c.term])[:, list(c.columns)] for c in e.coefficients], axis=1)


def _other_columns(e: Integrated, design: Mapping[str, Any]) -> np.ndarray:
    """What coefficients that are sampled multiply, (rows, p)."""
    parts = [np.delete(t.columns(design[t.key]), e.apart(t), axis=1) for t in _terms(e)]
    return np.concatenate([np.zeros((len(design[e.response.data_key]["y"]), 0)), *parts], axis=1)


def _terms(e: Integrated) -> tuple[AbstractTerm, ...]:
    """The terms of the mean besides what is integrated out."""
    mu = e.response.predictor("mu")
    assert mu is not None
    return mu.terms


def group_columns(e: Integrated, b: int, design: Mapping[str, Any]) -> tuple[Any, Any]:
    """Level of each row in block ``b`` and what its effects multiply, (k, rows)."""
    parts = [effect.parts(design[effect.key]) for effect in e.effects(e.blocks[b])]
    return parts[0][0], np.concatenate([z for _, z in parts])


def known_rows(e: Integrated, groups: list[tuple[Any, Any]], s: np.ndarray, data: Mapping[str, Any]) -> Known:
    """The products of columns of blocks (``groups``) and curves (``s``) that do not depend on parameters."""
    precision, log_sigma, constant = known_precision(data, len(s))
    pairs = [(b, c) for b in range(len(groups)) for c in range(b, len(groups))]
    gram = {(b, c): _by_level(e, b, groups[b], groups[c][1] * precision) for b, c in pairs}
    weighted = s.T * precision
    couplings = tuple(_by_level(e, b, group, weighted) for b, group in enumerate(groups))
    return Known(precision, log_sigma, constant, gram, weighted @ s, couplings)


def _by_level(e: Integrated, b: int, group: tuple[Any, Any], others: np.ndarray) -> np.ndarray:
    """Sums over the rows of each level of block ``b`` of the products of its columns and ``others``: (k, len(others), levels)."""
    (level, z), n = group, e.blocks[b].grouping.n_levels
    cells = [np.bincount(level, zi * other, n) for zi in z for other in others]
    return np.reshape(cells, (len(z), len(others), n))


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
        """The largest number of levels: sums by level of fewer rows would take longer to add up than to make."""
        return max((b.grouping.n_levels for b in self.e.blocks), default=0)

    @staticmethod
    def of(e: Integrated, frame: Frame, own: Basis | None = None) -> _Chunks:
        """The rows that the response keeps."""
        frame = e.response.response.kept(frame)
        return _Chunks(e, frame, tuple(b.grouping.codes(frame) for b in e.blocks), own)

    def some(self) -> _Rows:
        """About ``REFERENCE`` rows, evenly spread."""
        rows = self._spread(REFERENCE)
        return self._design(self.frame.take(rows), [codes[rows] for codes in self.codes])

    def designs(self, most: float) -> Iterator[dict[str, Any]]:
        """Designs of all else than blocks, of about ``most`` rows, evenly spread."""
        rows = self._spread(most)
        gone = frozenset(effect.key for b in self.e.blocks for effect in self.e.effects(b))
        size = max(2**12, CHUNK // (self.e.width + 4))
        for start in range(0, len(rows), size):
            yield self.e.model.design(self.frame.take(rows[start : start + size]), skip=gone)

    def _spread(self, most: float) -> np.ndarray:
        return np.arange(0, self.frame.n, max(1, int(self.frame.n // most)))

    def _design(self, part: Frame, codes: Iterable[np.ndarray]) -> _Rows:
        effects = [(effect, level) for b, level in zip(self.e.blocks, codes, strict=True) for effect in self.e.effects(b)]
        design = self.e.model.design(part, skip=frozenset(effect.key for effect, _ in effects))
        return _Rows(self.e, {**design, **{effect.key: effect.design(part, level) for effect, level in effects}}, self.own)

    def __iter__(self) -> Iterator[_Rows]:
        start, size = 0, 2**12
        while start < self.frame.n:
            stop = min(start + size, self.frame.n)
            part = self._design(self.frame.part(start, stop), [codes[start:stop] for codes in self.codes])
            yield part
            start = stop
            width = part.x.shape[1] + sum(len(z) for _, z in part.groups) + 4
            size = max(2**12, CHUNK // width, 2 * self.levels)


def _zeros(ref: np.ndarray, coefs: list[int], levels: list[int]) -> Sums:
    blocks, p = range(len(coefs)), len(ref)
    return Sums(
        ref,
        squares=np.zeros((1 + p, 1 + p)),
        cross=tuple(np.zeros((1 + p, coefs[b], levels[b])) for b in blocks),
        gram={(b, c): np.zeros((coefs[b], coefs[c], levels[b])) for b in blocks for c in blocks if c >= b},
    )


def _add(total: Sums, rows: _Rows, levels: list[int]) -> Sums:
    """With the products of some rows; arrays are added to in place."""
    columns = np.concatenate([(rows.y - rows.x @ total.ref)[None], rows.x.T])
    total.squares[...] += (columns * rows.precision) @ columns.T
    for b, (codes, z) in enumerate(rows.groups):
        level = codes.astype(np.intp)  # what bincount would make of it each time
        for i, zi in enumerate(z):
            weighted = zi * rows.precision
            for j, column in enumerate(columns):
                total.cross[b][j, i] += np.bincount(level, weighted * column, levels[b])
            for c in range(b, len(levels)):
                for j, other in enumerate(rows.groups[c][1]):
                    total.gram[b, c][i, j] += np.bincount(level, weighted * other, levels[b])
    return total._replace(log_sigma=total.log_sigma + rows.log_sigma, constant=total.constant + rows.constant)


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
