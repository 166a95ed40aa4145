"""The places that radial functions stand around: given ones, all distinct covariates, or a sample of them as mgcv draws it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from brim.errors import BrimError, warn
from brim.frames.columns import format_number

__all__ = ["DENSE", "MAX_KNOTS", "Eigen", "distances", "largest", "monomials", "places", "reduced", "sampled", "turned"]

Eigen = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]

#: Knots at most: beyond it, a sample of the distinct covariates.
MAX_KNOTS = 2000
#: Up to this number of knots all eigenvectors are computed, beyond it only those that are kept.
DENSE = 300


def places(x: np.ndarray, given: tuple[np.ndarray, ...], most: int, seed: int, least: int) -> np.ndarray:
    """The knots ``(n, d)`` of covariates ``x``; a basis needs at ``least`` so many."""
    if given:
        if len({len(k) for k in given}) > 1:
            raise BrimError(
                f"the covariates of a smooth have {' and '.join(str(len(k)) for k in given)} knots", hint="give as many of each"
            )
        knots = np.column_stack(given)
        if len(np.unique(knots, axis=0)) < len(knots):
            raise BrimError("two knots of a smooth are the same", hint="leave one out")
        if len(knots) > len(x):
            warn(f"{len(knots)} knots of a smooth are more than its {len(x)} observations, and are left out")
        elif len(knots) < least:
            raise BrimError(f"a smooth of this k needs {least} knots, and there are {len(knots)}", hint="give a smaller k, or more knots")
        else:
            return knots
    distinct = np.unique(x, axis=0)
    if len(distinct) <= most:
        return distinct
    if most < least:
        raise BrimError(f"a smooth of this k needs {least} knots, and max.knots = {most}", hint="give a smaller k, or more knots")
    return distinct[np.sort(sampled(_order(distinct), most, seed))]


def _order(distinct: np.ndarray) -> np.ndarray:
    """The order in which mgcv lists distinct covariates: that of their numbers, or of their text where there are several."""
    if distinct.shape[1] == 1:
        return np.arange(len(distinct))
    text = ["*".join(format_number(v) for v in row) for row in distinct]
    return np.array(sorted(range(len(text)), key=lambda i: text[i].encode()))


def sampled(items: np.ndarray, n: int, seed: int) -> np.ndarray:
    """What ``set.seed(seed); sample(items, n)`` gives in R (3.6 and later): the Mersenne twister, with rejection sampling."""
    state, keys = seed & 0xFFFFFFFF, []
    for i in range(50 + 625):
        state = (69069 * state + 1) & 0xFFFFFFFF
        if i > 50:
            keys.append(state)
    twister = np.random.RandomState()
    twister.set_state(("MT19937", np.array(keys, np.uint32), 624, 0, 0.0))
    pool, out = items.copy(), []
    left = len(pool)
    for _ in range(n):
        j = _below(twister, left)
        out.append(pool[j])
        left -= 1
        pool[j] = pool[left]
    return np.array(out)


def _below(twister: np.random.RandomState, n: int) -> int:
    """A whole number below ``n``: random bits, 16 at a time, until they are in range."""
    bits = int(n - 1).bit_length()
    while True:
        value = 0
        for _ in range(0, bits + 1, 16):
            word = int(twister.randint(0, 2**32, dtype=np.uint32))
            value = 65536 * value + (word >> 16)
        value &= (1 << bits) - 1
        if value < n:
            return value


def reduced(matrix: np.ndarray, k: int, eigen: Eigen | None = None) -> tuple[np.ndarray, np.ndarray]:
    """``k`` directions ``U``, and ``U' A U`` or its diagonal: eigenvectors of ``A``, values ascending; of all, the knots backwards."""
    if k == len(matrix):
        return np.eye(k)[:, ::-1], matrix[::-1, ::-1]
    values, vectors = (eigen or largest)(matrix, k)
    return vectors, values


def turned(rough: np.ndarray, by: np.ndarray) -> np.ndarray:
    """``B' R B`` of a matrix ``R``, or of its diagonal."""
    return np.asarray(by.T @ (rough[:, None] * by if rough.ndim == 1 else rough @ by))


def largest(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` eigenvalues largest in size, ascending, with their eigenvectors."""
    n = len(matrix)
    if n <= DENSE or k > n // 15:  # of 2,000, 100 take 3 s of Lanczos' iteration, 300 take 18 s, and all take 5 s of LAPACK
        values, vectors = np.linalg.eigh(matrix)
        keep = np.sort(np.argsort(-np.abs(values), kind="stable")[:k])
        return values[keep], vectors[:, keep]
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(1).normal(size=n)  # ARPACK's own start is random
    values, vectors = eigsh(matrix, k, which="LM", v0=start)
    order = np.argsort(values)
    return values[order], vectors[:, order]


def distances(at: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Euclidean distances, ``(places, knots)``."""
    squares = sum((a[:, None] - b[None, :]) ** 2 for a, b in zip(at.T, knots.T, strict=True))
    return np.asarray(np.sqrt(squares))


def monomials(at: np.ndarray, order: int) -> np.ndarray:
    """Monomials of degree below ``order``, the power of the first covariate running fastest."""
    powers = [p[::-1] for p in itertools.product(range(order), repeat=at.shape[1]) if sum(p) < order]
    return np.stack([np.prod(at ** np.array(p), axis=1) for p in powers], axis=1)
