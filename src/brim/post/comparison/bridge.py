"""Marginal likelihoods by bridge sampling, Bayes factors and posterior probabilities of models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from brim.arguments import drawn_seed, named, one_of
from brim.errors import BrimError, warn
from brim.infer.diagnostics import ess_mean
from brim.post.comparison.compare import name_models, same_data
from brim.post.unconstrained import Unconstrained

if TYPE_CHECKING:
    import pandas as pd

    from brim.fit.record import FitRecord

__all__ = ["BayesFactor", "Bridge", "bayes_factor", "bridge_sampler", "post_prob"]

_METHODS = ("normal", "warp3")
_TOLERANCE, _MOST, _SEED = 1e-10, 1000, 1


@final
@dataclass(frozen=True)
class Bridge:
    """A log marginal likelihood.

    Attributes
    ----------
    logml
        ``log p(y)``.
    error
        Approximate standard error of ``logml`` (Fruehwirth-Schnatter 2004).
    iterations
        How many the estimate took.
    method
        ``"normal"`` or ``"warp3"``.
    """

    logml: float
    error: float
    iterations: int
    method: str

    def __str__(self) -> str:
        steps = f"{self.iterations} iterations of bridge sampling ('{self.method}')"
        return f"log marginal likelihood: {self.logml:.5f} (standard error {self.error:.2g}), {steps}"


@final
@dataclass(frozen=True)
class BayesFactor:
    """The ratio of two marginal likelihoods: ``bf``, and its logarithm ``log_bf``."""

    bf: float
    log_bf: float

    def __float__(self) -> float:
        return self.bf

    def __str__(self) -> str:
        return f"Bayes factor in favour of the first model: {self.bf:.5g}"


@named
def bridge_sampler(fit: FitRecord, *, method: str = _METHODS[0], seed: int | None = _SEED) -> Bridge:
    """The log marginal likelihood ``log p(y)`` by bridge sampling (Meng & Wong 1996; Gronau et al. 2017).

    Half of the draws give a normal law on the unconstrained scale, the other half and as many draws from that law the estimate.
    ``"warp3"`` mirrors the posterior about its mean, which suits skewed ones.

    Parameters
    ----------
    method
        ``"normal"`` or ``"warp3"``.
    seed
        For the draws from the normal law. With both left as they are, what ``add_criterion("marglik")`` has kept is the result.

    Raises
    ------
    BrimError
        There are fewer draws than twice the number of parameters, a prior is flat, or parameters cannot be told from the draws.

    Examples
    --------
    >>> import brim
    >>> data = brim.load_data("sleepstudy")
    >>> fit = brim.brm("Reaction ~ Days", data, prior=brim.prior("normal(0, 20)"), chains=2, iter=2000, seed=1, progress=False)
    >>> round(fit.bridge_sampler().logml)
    -959
    """
    one_of("method", method, _METHODS, "methods")
    if "marglik" in fit.criteria and (method, seed) == (_METHODS[0], _SEED):
        kept: Bridge = fit.criteria["marglik"]
        return kept
    _check_proper(fit)
    space = Unconstrained(fit)
    chains = fit.draws.chains
    q = space.draws.reshape(chains, -1, space.draws.shape[1])
    half = q.shape[1] // 2
    if chains * half <= 2 * q.shape[2]:
        raise BrimError(f"{chains * q.shape[1]} draws are too few for {q.shape[2]} parameters", hint="draw more iterations")
    first, second = q[:, :half].reshape(-1, q.shape[2]), q[:, half:]
    mean, root = first.mean(axis=0), np.linalg.cholesky(np.cov(first.T, ddof=1).reshape(q.shape[2], q.shape[2]))
    z = np.random.default_rng(drawn_seed(seed)).normal(size=(second.shape[0] * second.shape[1], q.shape[2]))
    known = second.reshape(-1, q.shape[2])
    at_posterior = _log_ratio(space, known, mean, root, method)
    at_normal = _log_ratio(space, mean + z @ root.T, mean, root, method)
    if not np.isfinite(at_normal).any():
        raise BrimError("the normal law found no point of the posterior", hint="draw more iterations")
    return _estimate(at_posterior, at_normal, q.shape[0], method)


def _log_ratio(space: Unconstrained, q: np.ndarray, mean: np.ndarray, root: np.ndarray, method: str) -> np.ndarray:
    """Log of the unnormalised posterior over the normal law at ``q``, of the mirrored posterior for ``warp3``."""
    from scipy.linalg import solve_triangular

    z = solve_triangular(root, (q - mean).T, lower=True)
    log_normal = -0.5 * (z**2).sum(axis=0) - 0.5 * len(mean) * np.log(2 * np.pi) - np.log(np.diag(root)).sum()
    log_posterior = space.log_joint(q)
    if method == "warp3":
        log_posterior = np.logaddexp(log_posterior, space.log_joint(2.0 * mean - q)) - np.log(2.0)
    return np.where(np.isnan(log_posterior), -np.inf, log_posterior) - log_normal


def _estimate(at_posterior: np.ndarray, at_normal: np.ndarray, chains: int, method: str) -> Bridge:
    """Iterate ``r = mean(l2 / (s1 l2 + s2 r)) / mean(1 / (s1 l1 + s2 r))`` to its fixed point."""
    series = at_posterior.reshape(chains, -1)
    n1, n2 = len(at_posterior), len(at_normal)
    effective = float(ess_mean(series)) if series.shape[1] >= 4 else float(n1)
    effective = n1 if np.isnan(effective) else min(effective, n1)
    s1, s2 = effective / (effective + n2), n2 / (effective + n2)
    centre = float(np.median(at_posterior))
    l1, l2 = at_posterior - centre, at_normal - centre
    log_r, steps, moved = 0.0, 0, np.inf
    while moved > _TOLERANCE and steps < _MOST:
        above = _log_mean(l2 - np.logaddexp(np.log(s1) + l2, np.log(s2) + log_r))
        below = _log_mean(-np.logaddexp(np.log(s1) + l1, np.log(s2) + log_r))
        moved, log_r, steps = abs(above - below - log_r), above - below, steps + 1
    if moved > _TOLERANCE:
        warn("bridge sampling did not converge: the normal law is far from the posterior. Draw more iterations, or use method='warp3'")
    f1 = np.exp(-np.logaddexp(np.log(s1) + l1 - log_r, np.log(s2)))
    f2 = np.exp(l2 - log_r - np.logaddexp(np.log(s1) + l2 - log_r, np.log(s2)))
    relative = f2.var() / f2.mean() ** 2 / n2 + f1.var() / f1.mean() ** 2 / effective
    return Bridge(log_r + centre, float(np.sqrt(relative)), steps, method)


def _log_mean(values: np.ndarray) -> float:
    top = float(values.max())
    return float(np.log(np.exp(values - top).mean()) + top)


def _check_proper(fit: FitRecord) -> None:
    """A flat prior has no marginal likelihood."""
    for p in (p for p in fit.model.params if p.slots):
        with_prior = {i for piece in p.pieces for i in p.elements(piece)}
        if p.space == "real" and set(p.free) - with_prior and None in (p.lb, p.ub):
            raise BrimError(
                f"a prior of class '{p.slots[0].class_}' is flat: there is no marginal likelihood",
                hint="prior_summary() shows which; give it a proper prior, and fit again",
            )
    if fit.model.prior_only:
        raise BrimError("the model was fitted to its prior only", hint="fit it without sample_prior='only'")


@named
def bayes_factor(one: Any, other: Any, *, log: bool = False, **kwargs: Any) -> BayesFactor:
    """The Bayes factor ``p(y | one) / p(y | other)``, from fits or from results of ``bridge_sampler``; ``kwargs`` are its arguments.

    Its number is ``.bf`` (or ``float()``), its logarithm ``.log_bf``; ``log=True`` gives the logarithm in ``.bf`` too.

    Examples
    --------
    >>> import brim
    >>> data, run = brim.load_data("sleepstudy"), {"chains": 2, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.brm("Reaction ~ Days", data, prior=brim.prior("normal(0, 20)"), **run)
    >>> one = brim.brm("Reaction ~ 1", data, **run)
    >>> bool(fit.bayes_factor(one).bf > 1e3)
    True
    """
    models = _bridges({"model1": one, "model2": other}, kwargs)
    difference = models["model1"].logml - models["model2"].logml
    return BayesFactor(difference if log else float(np.exp(difference)), difference)


@named
def post_prob(
    *fits: Any, prior_prob: Iterable[float] | None = None, names: Iterable[str] | None = None, seed: int | None = 1, **named: Any
) -> pd.Series:
    """Posterior probabilities of models, ``p(y | m) p(m)`` normalised; ``prior_prob`` are the ``p(m)``, equal by default.

    Examples
    --------
    >>> import brim
    >>> data, run = brim.load_data("sleepstudy"), {"chains": 2, "iter": 400, "seed": 1, "progress": False}
    >>> fit = brim.brm("Reaction ~ Days", data, prior=brim.prior("normal(0, 20)"), **run)
    >>> one = brim.brm("Reaction ~ 1", data, **run)
    >>> len(fit.post_prob(one))
    2
    """
    import pandas as pd

    models = _bridges(name_models(fits, named, names), {"seed": seed})
    prior = np.full(len(models), 1.0 / len(models)) if prior_prob is None else np.asarray(list(prior_prob), float)
    if len(prior) != len(models) or (prior < 0).any() or not np.isclose(prior.sum(), 1.0):
        raise BrimError(f"prior_prob = {prior.tolist()}", hint=f"give {len(models)} probabilities that sum to 1")
    with np.errstate(divide="ignore"):
        log = np.array([b.logml for b in models.values()]) + np.log(prior)
    weights = np.exp(log - log.max())
    return pd.Series(weights / weights.sum(), index=pd.Index(list(models), name="model"), name="post_prob")


def _bridges(models: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Bridge]:
    same_data(models)
    return {name: m if isinstance(m, Bridge) else bridge_sampler(m, **kwargs) for name, m in models.items()}
