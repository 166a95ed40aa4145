"""Pareto smoothed importance sampling (Vehtari, Simpson, Gelman, Yao & Gabry 2024, JMLR 25): how far an approximation can be trusted."""

from __future__ import annotations

import numpy as np

__all__ = ["GOOD", "USABLE", "psis", "verdict"]

GOOD, USABLE = 0.5, 0.7  # k-hat up to which the variance of the weights is finite, and up to which smoothed weights still converge
_EQUAL = 1e-8  # log ratios closer than this differ by rounding alone


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
    x = np.where(np.isnan(log_ratios), -np.inf, np.asarray(log_ratios, np.float64))
    x = x - x.max()
    size, k = len(x), np.inf
    tail = int(3.0 * np.sqrt(size)) if size > 225 else size // 5
    order = np.argsort(x, kind="stable")
    largest = order[size - tail :]
    if tail >= 5:
        if x[largest[-1]] - x[largest[0]] < _EQUAL:
            k = 0.0
        else:
            cut = np.exp(x[order[size - tail - 1]])
            k, sigma = _fit_pareto(np.exp(x[largest]) - cut)
            if np.isfinite(k):
                p = np.arange(0.5, tail) / tail
                x[largest] = np.minimum(np.log(cut + _pareto_quantile(p, k, sigma)), 0.0)
    top = x.max()
    return x - top - np.log(np.exp(x - top).sum()), float(k)


def verdict(k: float) -> str:
    """What a k-hat says, in a word.

    Examples
    --------
    >>> verdict(0.32), verdict(0.65), verdict(0.9)
    ('good', 'usable', 'poor')
    """
    return "good" if k <= GOOD else "usable" if k <= USABLE else "poor"


def _fit_pareto(x: np.ndarray) -> tuple[float, float]:
    """Shape ``k`` and scale of a generalised Pareto law for sorted ``x >= 0``: posterior mean over a grid of ``k / sigma``.

    Zhang & Stephens (2009), Technometrics 51: the profile likelihood in ``b = -k / sigma`` weights a grid whose prior is centred at the
    first quartile. The shape is shrunk towards 0.5 as by ten more observations, as Vehtari et al. do.
    """
    n = len(x)
    if x[0] < 0.0 or x[-1] <= 0.0 or x[int(n / 4 + 0.5) - 1] <= 0.0:
        return np.inf, np.nan
    m = 30 + int(np.sqrt(n))
    b = 1.0 / x[-1] + (1.0 - np.sqrt(m / (np.arange(m) + 0.5))) / (3.0 * x[int(n / 4 + 0.5) - 1])
    k = np.log1p(-b[:, None] * x).mean(1)
    profile = n * (np.log(-b / k) - k - 1.0)
    weight = np.exp(profile - profile.max())
    b_mean = float((b * weight).sum() / weight.sum())
    k_mean = float(np.log1p(-b_mean * x).mean())
    return (n * k_mean + 10.0 * 0.5) / (n + 10.0), -k_mean / b_mean


def _pareto_quantile(p: np.ndarray, k: float, sigma: float) -> np.ndarray:
    return -sigma * np.log1p(-p) if abs(k) < 1e-12 else sigma * np.expm1(-k * np.log1p(-p)) / k
