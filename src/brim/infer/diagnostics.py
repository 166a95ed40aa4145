"""Convergence diagnostics of Markov chains (Vehtari, Gelman, Simpson, Carpenter & Buerkner 2021), for many parameters at once.

Draws come as ``(chains, draws, ...)`` and every function returns an array of the trailing shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

from brim.errors import BrimWarning

__all__ = ["check", "ebfmi", "ess_bulk", "ess_mean", "ess_tail", "mcse_mean", "relative_efficiency", "rhat"]

_BLOCK = 2**18  # numbers handled at once: what a cache holds


def rhat(draws: np.ndarray) -> np.ndarray:
    """Rank-normalised split R-hat: the larger of that of the draws (location) and of their distance to the median (scale).

    NaN for constant or non-finite draws, and for fewer than 4 iterations.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bool(rhat(rng.normal(size=(4, 500))) < 1.01)
    True
    >>> bool(rhat(rng.normal(size=(4, 500)) + np.arange(4)[:, None]) > 1.5)
    True
    """

    def one(x: np.ndarray) -> np.ndarray:
        x = _split(x)
        folded = np.abs(x - np.median(x, axis=(1, 2), keepdims=True))
        return np.maximum(_rhat(_normal_scores(x)), _rhat(_normal_scores(folded)))

    return _blockwise(one, draws)


def ess_bulk(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the centre of the distribution: that of the rank-normalised split chains.

    Examples
    --------
    >>> bool(1500 < ess_bulk(np.random.default_rng(0).normal(size=(4, 500))) < 2500)
    True
    """
    return _blockwise(lambda x: _ess(_normal_scores(_split(x))), draws)


def ess_tail(draws: np.ndarray) -> np.ndarray:
    """Effective sample size of the tails: the smaller of those of the 5 % and the 95 % quantile."""

    def one(x: np.ndarray) -> np.ndarray:
        low, high = np.quantile(x, [0.05, 0.95], axis=(1, 2), keepdims=True)
        return np.minimum(_ess(_split((x <= low) * 1.0)), _ess(_split((x <= high) * 1.0)))

    return _blockwise(one, draws)


def ess_mean(draws: np.ndarray) -> np.ndarray:
    """Effective sample size for the mean, from the split chains as they are."""
    return _blockwise(lambda x: _ess(_split(x)), draws)


def relative_efficiency(draws: np.ndarray) -> np.ndarray:
    """Effective sample size for the mean over the number of draws, from whole chains as R's package loo takes it; 1 where undefined."""
    ratio = _blockwise(lambda x: _ess(x) / (x.shape[1] * x.shape[2]), draws)
    return np.where(np.isnan(ratio), 1.0, ratio)


def mcse_mean(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo standard error of the mean, ``sd / sqrt(ess_mean)``."""
    return _blockwise(lambda x: np.std(x, axis=(1, 2), ddof=1) / np.sqrt(_ess(_split(x))), draws)


def ebfmi(energy: np.ndarray) -> np.ndarray:
    """Energy Bayesian fraction of missing information of each chain (Betancourt 2016): ``E[(E_t - E_t-1)^2] / var(E)``."""
    energy = np.asarray(energy, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.square(np.diff(energy, axis=1)).mean(1) / energy.var(1, ddof=1)


def check(
    stats: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray] | None = None,
    *,
    max_treedepth: int = 10,
    adapt_delta: float = 0.85,
) -> list[BrimWarning]:
    """What is wrong with a sample, and what to do about it.

    Parameters
    ----------
    stats
        An engine's statistics ``(chains, draws)``: ``diverging``, ``tree_depth`` and ``energy`` are looked at where present.
    parameters
        Name -> draws ``(chains, draws, ...)`` of what R-hat and effective sample sizes are to hold for.
    max_treedepth, adapt_delta
        Settings of the sampler.

    Returns
    -------
    list of BrimWarning
        Empty when all is well; the caller shows them with ``warnings.warn``.
    """
    messages = [*_check_trajectories(stats, max_treedepth, adapt_delta), *_check_parameters(parameters or {})]
    return [BrimWarning(message) for message in messages]


def _check_trajectories(stats: Mapping[str, np.ndarray], max_treedepth: int, adapt_delta: float) -> Iterable[str]:
    diverging, depth, energy = stats.get("diverging"), stats.get("tree_depth"), stats.get("energy")
    if diverging is not None and (count := int(np.sum(diverging))):
        yield (
            f"{_transitions(count, 'divergent')} after warm-up: parts of the posterior may be missed. "
            f"Raise adapt_delta above {adapt_delta:g}, e.g. control={{'adapt_delta': {_raised(adapt_delta):g}}}; if that does not help, "
            "use tighter priors."
        )
    # a tree that stopped by itself at the limit is not told from a cut one, as in Stan
    if depth is not None and (count := int(np.sum(np.asarray(depth) >= max_treedepth))):
        yield (
            f"{_transitions(count, 'cut')} at the largest tree depth of {max_treedepth}: sampling is slow, not wrong. "
            f"Rescale the predictors, or set control={{'max_treedepth': {max_treedepth + 2}}}."
        )
    if energy is not None and np.shape(energy)[1] >= 4 and (count := int(np.sum(ebfmi(energy) < 0.2))):
        yield (
            f"{count} of {len(energy)} chains had an E-BFMI below 0.2: heavy tails of the posterior are explored slowly. "
            "Use tighter priors, or draw more iterations."
        )


def _check_parameters(parameters: Mapping[str, np.ndarray]) -> Iterable[str]:
    usable = {name: np.asarray(x) for name, x in parameters.items() if np.size(x) and np.shape(x)[1] >= 4}
    worst = _each(rhat, usable, np.fmax)
    high = sorted((name for name, r in worst.items() if r > 1.01), key=lambda name: -worst[name])
    if high:
        severe = worst[high[0]] > 1.05
        trouble = "the chains have not converged; be careful with the results" if severe else "the chains have not mixed fully"
        yield f"{_largest('R-hat', high, worst)}: {trouble}. Run more iterations, and use stronger priors if that does not help."
    for what, ess in (("bulk", ess_bulk), ("tail", ess_tail)):
        sizes = _each(ess, usable, np.fmin)
        chains = {name: x.shape[0] for name, x in usable.items()}
        low = sorted((name for name, e in sizes.items() if e < 100 * chains[name]), key=lambda name: sizes[name])
        if low:
            meaning = "means and medians" if what == "bulk" else "intervals"
            yield (
                f"{what} effective sample size is below 100 a chain for {_names(low)} (smallest {sizes[low[0]]:.0f}): "
                f"{meaning} may be off. Run more iterations."
            )


def _transitions(count: int, what: str) -> str:
    return f"{count} transition{'s were' if count > 1 else ' was'} {what}"


def _raised(adapt_delta: float) -> float:
    """The next target to try: 0.9, 0.95, 0.99, 0.999, ..."""
    return next((d for d in (0.9, 0.95, 0.99, 0.999) if d > adapt_delta + 1e-9), 1.0 - (1.0 - adapt_delta) / 10.0)


def _largest(what: str, names: list[str], values: Mapping[str, float]) -> str:
    return f"{what} is up to {values[names[0]]:.2f} ({_names(names)})"


def _names(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _each(statistic: Callable[[np.ndarray], np.ndarray], draws: Mapping[str, np.ndarray], reduce: Any) -> dict[str, float]:
    """The worst value of each name's draws; the statistic is computed for all of one shape at once."""
    out: dict[str, float] = {}
    for shape in {x.shape[:2] for x in draws.values()}:
        flat = {name: x.reshape(*shape, -1) for name, x in draws.items() if x.shape[:2] == shape}
        values = statistic(np.concatenate([*flat.values()], axis=2))
        ends = np.cumsum([x.shape[2] for x in flat.values()])[:-1]
        out |= {name: _worst(part, reduce) for name, part in zip(flat, np.split(values, ends), strict=True)}
    return {name: out[name] for name in draws}


def _worst(values: np.ndarray, reduce: Any) -> float:
    """The worst of the values that exist; constant parameters have none."""
    return float(reduce.reduce(np.ravel(values)))


def _blockwise(function: Callable[[np.ndarray], np.ndarray], draws: np.ndarray) -> np.ndarray:
    """Apply ``function: (parameters, chains, draws) -> (parameters,)`` in blocks; NaN for draws that are not finite or constant."""
    draws = np.asarray(draws, dtype=np.float64)
    chains, n = draws.shape[:2]
    flat = draws.reshape(chains, n, -1)
    out = np.full(flat.shape[2], np.nan)
    if n < 4:
        return out.reshape(draws.shape[2:])
    size = max(1, _BLOCK // (chains * n))
    for i in range(0, flat.shape[2], size):
        x = np.ascontiguousarray(np.moveaxis(flat[:, :, i : i + size], 2, 0))
        defined = np.isfinite(x).all((1, 2)) & (np.ptp(x, axis=(1, 2)) > 0.0)
        if defined.any():
            out[i : i + size][defined] = function(x[defined])
    return out.reshape(draws.shape[2:])


def _split(x: np.ndarray) -> np.ndarray:
    """Halves of the chains as chains of their own; the middle draw of an odd number is left out."""
    half = x.shape[2] // 2
    return np.concatenate([x[:, :, :half], x[:, :, -half:]], axis=1)


def _rhat(x: np.ndarray) -> np.ndarray:
    """Potential scale reduction of ``(parameters, chains, draws)``."""
    n = x.shape[2]
    within = x.var(2, ddof=1).mean(1)
    between = n * x.mean(2).var(1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt((between / within + n - 1.0) / n)


def _normal_scores(x: np.ndarray) -> np.ndarray:
    """Normal quantiles of the ranks (ties share their average): ``Phi^-1((rank - 3/8) / (S + 1/4))``."""
    flat = x.reshape(len(x), -1)
    size = flat.shape[1]
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, 1)
    new = np.concatenate([np.ones((len(x), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    position = np.arange(size)
    first = np.maximum.accumulate(np.where(new, position, 0), axis=1)
    ends = np.concatenate([new[:, 1:], np.ones((len(x), 1), bool)], axis=1)
    last = np.minimum.accumulate(np.where(ends, position, size)[:, ::-1], axis=1)[:, ::-1]
    z = np.empty_like(flat)
    np.put_along_axis(z, order, _scores(size)[first + last], 1)
    return z.reshape(x.shape)


@lru_cache(maxsize=4)
def _scores(size: int) -> np.ndarray:
    """Normal scores at the ranks 1, 1.5, 2, ..., ``size``."""
    quantile = NormalDist().inv_cdf  # as exact as SciPy's ndtri, whose import takes longer than a summary
    return np.array([quantile(p) for p in (np.arange(2.0, 2.0 * size + 1.0) / 2.0 - 0.375) / (size + 0.25)])


def _ess(x: np.ndarray) -> np.ndarray:
    """Effective sample size of ``(parameters, chains, draws)``: autocorrelations combined over chains, summed by Geyer's rules."""
    chains, n = x.shape[1:]
    total = chains * n
    acov = _autocovariance(x)
    within = acov[:, 0] * n / (n - 1.0)
    variance = acov[:, 0] + (x.mean(2).var(1, ddof=1) if chains > 1 else 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = 1.0 - (within[:, None] - acov) / variance[:, None]
    rho[:, 0] = 1.0
    tau = np.maximum(_geyer(rho), 1.0 / np.log10(total))
    constant = np.ptp(x, axis=(1, 2)) == 0.0  # an indicator of heavily tied draws: nothing to correlate
    return np.where(constant, float(total), total / tau)


def _geyer(rho: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation time from ``rho (parameters, lags)``: pairs of lags while their sum is positive, made monotone.

    The even lag after the last of these pairs counts once, which suits antithetic chains.
    """
    pairs = max((rho.shape[1] - 3) // 2, 0) + 1
    even = rho[:, 0 : 2 * pairs : 2]
    sums = even + rho[:, 1 : 2 * pairs : 2]
    failed = sums <= 0.0
    failed[:, -1] = True  # lags end here
    end = failed.argmax(1)
    monotone = np.where(np.arange(pairs) < end[:, None], np.minimum.accumulate(sums, axis=1), 0.0)
    last_even, last_sum = (np.take_along_axis(a, end[:, None], 1)[:, 0] for a in (even, sums))
    tail = np.where((last_even > 0.0) | (last_sum >= 0.0), last_even, 0.0)
    return -1.0 + 2.0 * monotone.sum(1) + tail


def _autocovariance(x: np.ndarray) -> np.ndarray:
    """Autocovariance at every lag of ``(parameters, chains, draws)``, averaged over chains, by FFT of the zero-padded series."""
    n = x.shape[-1]
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(x - x.mean(-1, keepdims=True), n=size)
    return np.fft.irfft((spectrum.real**2 + spectrum.imag**2).mean(1), n=size)[..., :n] / n  # the transform of the mean is that of each
