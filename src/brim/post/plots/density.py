"""Kernel densities, fast enough for thousands of draws."""

from __future__ import annotations

import numpy as np

__all__ = ["bandwidth", "density"]


def bandwidth(x: np.ndarray) -> float:
    """Silverman's rule, ``0.9 min(sd, IQR / 1.34) n^(-1/5)`` (R's ``bw.nrd0``), never 0.

    Examples
    --------
    >>> bandwidth(np.arange(32.0))
    4.22
    """
    x = np.asarray(x, float)
    sd = float(np.std(x, ddof=1)) if x.size > 1 else 0.0
    low, high = np.quantile(x, [0.25, 0.75])
    spread = min(sd, (high - low) / 1.34) or sd or abs(float(x[0])) or 1.0
    return float(0.9 * spread * x.size**-0.2)


def density(x: np.ndarray, at: np.ndarray, lower: float = -np.inf, upper: float = np.inf, bw: float | None = None) -> np.ndarray:
    """Gaussian kernel density estimate of the sample ``x`` at the evenly spaced points ``at``.

    The sample is binned linearly on a grid eight times finer than ``at`` and convolved by FFT: the error against the exact sum is
    of order ``(step / bw)^2``. Mass beyond ``lower`` and ``upper`` is reflected.

    Examples
    --------
    >>> at = np.linspace(-4, 4, 81)
    >>> float(density(np.zeros(1), at, bw=1.0)[40])
    0.3989
    """
    x, at = np.asarray(x, float), np.asarray(at, float)
    bw = bandwidth(x) if bw is None else bw
    step = min((at[-1] - at[0]) / (8 * (at.size - 1)), bw / 8)
    low, high = at[0] - 6 * bw, at[-1] + 6 * bw
    n = int(min(np.ceil((high - low) / step) + 1, 2**18))
    grid, width = np.linspace(low, high, n, retstep=True)
    step = float(width)
    mass = _binned(x[(x >= low) & (x <= high)], low, step, n)
    half = int(np.ceil(5 * bw / step))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * step / bw) ** 2)
    size = n + 2 * half
    smooth = np.fft.irfft(np.fft.rfft(mass, size) * np.fft.rfft(kernel, size), size)[half : half + n]
    smooth = np.maximum(smooth, 0.0) / (x.size * bw * np.sqrt(2 * np.pi))
    out = np.interp(at, grid, smooth)
    for bound, sign in ((lower, 1.0), (upper, -1.0)):
        if np.isfinite(bound):
            out = out + np.interp(2 * bound - at, grid, smooth, left=0.0, right=0.0)
            out = np.where(sign * (at - bound) >= 0, out, 0.0)
    return np.asarray(out)


def _binned(x: np.ndarray, low: float, step: float, n: int) -> np.ndarray:
    """The sample's mass on a grid, each point shared by its two neighbours."""
    place = (x - low) / step
    left = np.clip(np.floor(place).astype(int), 0, n - 2)
    share = place - left
    return np.bincount(left, 1 - share, n) + np.bincount(left + 1, share, n)
