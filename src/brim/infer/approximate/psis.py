"""Pareto smoothed importance sampling (Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25): how far an approximation can be trusted."""

from __future__ import annotations

import numpy as np

__all__ = ["GOOD", "USABLE", "good_k", "psis", "smooth_weights", "verdict"]

GOOD, USABLE = 0.5, 0.7  # k-hat up to which the variance of the weights is finite, and up to which smoothed weights still converge
_EQUAL = 1e-8  # log ratios closer than this differ by rounding alone
_BLOCK = 2**18  # numbers handled at once: what a cache holds


def psis(log_ratios: np.ndarray) -> tuple[np.ndarray, float]:
    """Smooth the largest importance ratios.

    The largest ``min(S / 5, 3 sqrt(S))`` of ``S`` ratios are replaced by quantiles of the generalised Pareto law fitted to them.

    Parameters
    ----------
    log_ratios
        ``log p(q) - log approximation(q)`` of draws ``q`` from the approximation, ``(S,)``, up to a constant.

    Returns
    -------
    log_weights
        Normalised, ``(S,)``.
    k
        The shape of the Pareto law (k-hat): below 0.5 the approximation is good; above 0.7 neither it nor weights can be relied on.
        0 where all ratios are equal, ``inf`` where there are too few to tell.
    """
    size = len(log_ratios)
    tail = int(3.0 * np.sqrt(size)) if size > 225 else size // 5
    weights, k = _smooth(np.asarray(log_ratios, np.float64)[None], np.array([tail]))
    return weights[0], float(k[0])


def smooth_weights(log_ratios: np.ndarray, r_eff: np.ndarray | float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Pareto smoothed weights of many sets of ratios, as R's package loo computes them.

    Of each set the largest ``ceil(min(S / 5, 3 sqrt(S / r_eff)))`` are smoothed; see ``psis``.

    Parameters
    ----------
    log_ratios
        ``(sets, S)``, each up to a constant.
    r_eff
        Relative efficiency of the draws (effective sample size over ``S``), one number or one a set.

    Returns
    -------
    log_weights
        ``(sets, S)``, each set normalised.
    k
        ``(sets,)``.

    Examples
    --------
    >>> weights, k = smooth_weights(np.random.default_rng(0).normal(size=(2, 1000)))
    >>> np.exp(weights).sum(axis=1), bool((k < 0.7).all())
    (array([1., 1.]), True)
    """
    log_ratios = np.asarray(log_ratios, np.float64)
    sets, size = log_ratios.shape
    r_eff = np.broadcast_to(np.where(np.isnan(r_eff), 1.0, r_eff), (sets,))
    tails = np.ceil(np.minimum(0.2 * size, 3.0 * np.sqrt(size / r_eff))).astype(int)
    weights, k = np.empty_like(log_ratios), np.empty(sets)
    step = max(1, _BLOCK // max(size, 1))
    for at in range(0, sets, step):
        here = slice(at, at + step)
        weights[here], k[here] = _smooth(log_ratios[here], tails[here])
    return weights, k


def good_k(size: int) -> float:
    """The k-hat up to which ``size`` draws give a usable estimate: ``min(1 - 1 / log10(S), 0.7)``.

    Examples
    --------
    >>> round(good_k(400), 3), good_k(4000)
    (0.616, 0.7)
    """
    return float(min(1.0 - 1.0 / np.log10(size), USABLE)) if size > 1 else 0.0


def verdict(k: float) -> str:
    """What a k-hat says, in a word.

    Examples
    --------
    >>> verdict(0.32), verdict(0.65), verdict(0.9)
    ('good', 'usable', 'poor')
    """
    return "good" if k <= GOOD else "usable" if k <= USABLE else "poor"


def _smooth(log_ratios: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised log weights ``(sets, S)`` and k-hat ``(sets,)``; ``tails`` says how many of each set are smoothed."""
    x = np.where(np.isnan(log_ratios), -np.inf, log_ratios)
    x = x - x.max(axis=1, keepdims=True)
    k = np.full(len(x), np.inf)
    enough = np.flatnonzero(tails >= 5)
    if enough.size:
        most = int(tails[enough].max())
        # the largest of each set in ascending order, one more than are smoothed: the cut
        mine = x[enough]
        first = max(mine.shape[1] - (most + 1), 0)
        places = np.argpartition(mine, first, axis=1)[:, first:]
        ascending = np.argsort(np.take_along_axis(mine, places, 1), axis=1, kind="stable")
        places = np.take_along_axis(places, ascending, 1)
        largest = np.take_along_axis(mine, places, 1)
        smoothed, k[enough] = _smooth_tails(largest, tails[enough])
        values = x[enough]
        np.put_along_axis(values, places, smoothed, 1)
        x[enough] = values
    top = x.max(axis=1, keepdims=True)
    return x - top - np.log(np.exp(x - top).sum(axis=1, keepdims=True)), k


def _smooth_tails(x: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last ``tails`` of each ascending row of log ratios ``x <= 0`` smoothed, and k-hat of each row."""
    position = np.arange(x.shape[1]) - (x.shape[1] - tails[:, None])  # from 0 in the tail
    mine = position >= 0
    first = np.take_along_axis(x, x.shape[1] - tails[:, None], 1)[:, 0]
    cut = np.exp(np.take_along_axis(x, x.shape[1] - tails[:, None] - 1, 1))
    above = np.where(mine, np.exp(x) - cut, 0.0)
    equal = x[:, -1] - first < _EQUAL
    with np.errstate(all="ignore"):
        k, sigma = _fit_pareto(above, tails)
        p = np.where(mine, (position + 0.5) / tails[:, None], 0.5)
        smoothed = np.minimum(np.log(cut + _pareto_quantile(p, k[:, None], sigma[:, None])), 0.0)
    k = np.where(equal, 0.0, k)
    fitted = mine & (np.isfinite(k) & ~equal)[:, None]
    return np.where(fitted, smoothed, x), k


def _fit_pareto(x: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shape ``k`` and scale of generalised Pareto laws for the last ``n`` of each ascending row ``x >= 0``: posterior mean over a grid.

    Zhang & Stephens (2009), Technometrics 51: the profile likelihood in ``b = -k / sigma`` weights a grid whose prior is centred at the
    first quartile. The shape is shrunk towards 0.5 as by ten more observations, as Vehtari et al. do. What precedes the last ``n`` is 0.
    """
    columns = x.shape[1] - n + (n / 4 + 0.5).astype(int) - 1
    quartile = np.take_along_axis(x, columns[:, None], 1)
    m = 30 + np.sqrt(n).astype(int)
    grid = np.arange(int(m.max()))
    b = 1.0 / x[:, -1:] + (1.0 - np.sqrt(m[:, None] / (grid + 0.5))) / (3.0 * quartile)
    k = np.stack([np.log1p(-b[:, [j]] * x).sum(1) for j in grid], axis=1) / n[:, None]
    profile = np.where(grid < m[:, None], n[:, None] * (np.log(-b / k) - k - 1.0), -np.inf)
    weight = np.exp(profile - profile.max(axis=1, keepdims=True))
    b_mean = (b * weight).sum(1) / weight.sum(1)
    k_mean = np.log1p(-b_mean[:, None] * x).sum(1) / n
    usable = (x[:, -1] > 0.0) & (quartile[:, 0] > 0.0)
    return np.where(usable & ~np.isnan(k_mean), (n * k_mean + 10.0 * 0.5) / (n + 10.0), np.inf), -k_mean / b_mean


def _pareto_quantile(p: np.ndarray, k: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    small = np.abs(k) < 1e-12
    return sigma * np.where(small, -np.log1p(-p), np.expm1(-k * np.log1p(-p)) / np.where(small, 1.0, k))
