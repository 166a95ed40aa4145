"""What every engine must satisfy, checked on a normal posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from brim.infer.diagnostics import mcse_mean, rhat
from brim.infer.nuts.control import Control
from brim.infer.target import Draws, Target

__all__ = ["check_engine", "normal_target"]

MEAN = np.array([1.0, -50.0, 0.0])
COVARIANCE = np.array([[1.0, 0.8, 0.0], [0.8, 4.0, -0.5], [0.0, -0.5, 0.51]])
_KINDS = {"lp": "f", "acceptance_rate": "f", "n_steps": "i", "diverging": "b", "tree_depth": "i", "step_size": "f", "energy": "f"}


def check_engine(run: Callable[..., Draws], *, kind: str = "exact", variance: np.ndarray | None = None) -> Draws:
    """Check an engine against the protocol, on a correlated normal posterior of three dimensions.

    Parameters
    ----------
    run
        The engine.
    kind
        ``"exact"``: a Markov chain, whose means and variances are those of the posterior; ``"approximate"``: independent draws from an
        approximation that tells its k-hat; ``"mode"``: one draw.
    variance
        Variances of the approximation, where they are not the posterior's.

    Returns
    -------
    The draws of the first run.

    Raises
    ------
    AssertionError
        The message names the rule.

    Examples
    --------
    >>> from brim.infer.engines import engine
    >>> from brim.testing import check_engine
    >>> draws = check_engine(engine("laplace"), kind="approximate")
    """
    options = {"chains": 4, "warmup": 400, "draws": 1000, "thin": 1, "cores": 2, "seed": 5, "control": Control(), "progress": False}
    target = normal_target()
    first = run(target, **options)
    _check_form(first, (1, 1) if kind == "mode" else (4, 1000), target.dim)
    np.testing.assert_allclose(first.stats["lp"], _lp(first.q), rtol=1e-9, atol=1e-9, err_msg="lp is not the log density of the draws")
    again = run(target, **{**options, "cores": 1})
    np.testing.assert_array_equal(first.q, again.q, err_msg="the same seed gives other draws, or they depend on cores")
    if kind == "mode":
        np.testing.assert_allclose(first.q[0, 0], MEAN, atol=1e-6, err_msg="the mode is not the mean of a normal density")
        return first
    other = run(target, **{**options, "seed": 6})
    assert not np.any(first.q == other.q), "another seed gives the same draws"
    thinned = run(target, **{**options, "draws": 40, "thin": 3})
    assert thinned.q.shape == (4, 14, target.dim), "thin = 3 must keep ceil(draws / 3) draws"
    assert thinned.info["thin"] == 3, "info['thin'] must say how draws were thinned"
    _check_moments(first.q, np.diag(COVARIANCE) if variance is None else variance)
    assert np.shape(first.info["last_q"]) == (4, target.dim), "info['last_q'] must be the last draws (chains, dim)"
    if kind == "approximate":
        assert first.info["khat"] == first.info["khat"], "an approximation tells its k-hat"
        assert f"{first.info['khat']:.2f}" in first.info["verdict"], "the verdict tells the k-hat"
    else:
        _check_chain(first)
    return first


def _check_form(draws: Draws, shape: tuple[int, int], dim: int) -> None:
    assert draws.q.shape == (*shape, dim), f"q has shape {draws.q.shape}, not {(*shape, dim)}"
    assert draws.q.dtype == np.float64, "q is not float64"
    assert np.isfinite(draws.q).all(), "q is not finite"
    assert "lp" in draws.stats, "stats must have lp"
    for name, values in draws.stats.items():
        assert values.shape == shape, f"stats['{name}'] has shape {values.shape}, not {shape}"
        assert values.dtype.kind == _KINDS.get(name, "f"), f"stats['{name}'] is of kind '{values.dtype.kind}'"
    assert {"engine", "seed", "thin"} <= set(draws.info), "info must have engine, seed and thin"


def _check_moments(q: np.ndarray, variance: np.ndarray) -> None:
    assert np.all(rhat(q) < 1.02), "R-hat above 1.02"
    square = (q - MEAN) ** 2
    assert np.all(np.abs(q.mean((0, 1)) - MEAN) < 4 * mcse_mean(q)), "means are off by more than four Monte Carlo errors"
    assert np.all(np.abs(square.mean((0, 1)) - variance) < 4 * mcse_mean(square)), "variances are off by more than four Monte Carlo errors"


def _check_chain(draws: Draws) -> None:
    stats = draws.stats
    assert set(stats) >= set(_KINDS), f"stats lack {sorted(set(_KINDS) - set(stats))}"
    assert not stats["diverging"].any(), "divergent transitions on a normal density"
    assert np.all((stats["acceptance_rate"] > 0.0) & (stats["acceptance_rate"] <= 1.0)), "acceptance rates must be in (0, 1]"
    assert np.all(stats["n_steps"] < 2 ** stats["tree_depth"]), "more steps than a tree of this depth has"
    assert np.all(stats["step_size"] > 0.0), "step sizes must be positive"
    kinetic = stats["energy"] + stats["lp"]
    assert np.all(kinetic > 0.0), "energy + lp must be a kinetic energy"
    assert np.all(np.abs(kinetic.mean() - len(MEAN) / 2) < 4 * mcse_mean(kinetic)), "the mean kinetic energy is not dim / 2"
    assert np.shape(draws.info["inv_mass"]) == (4, len(MEAN)), "info['inv_mass'] must be the metric's diagonals (chains, dim)"


def normal_target() -> Target:
    """The posterior that engines are checked on: N(MEAN, COVARIANCE)."""
    data = {"mean": MEAN, "precision": np.linalg.inv(COVARIANCE)}
    return Target(len(MEAN), _log_prob, data, lambda rng: rng.uniform(-2, 2, len(MEAN)), lambda q, _: {"q": q})


def _log_prob(q: Any, data: Any) -> Any:
    x = q - data["mean"]
    return -0.5 * x @ (data["precision"] @ x)


def _lp(q: np.ndarray) -> np.ndarray:
    x = q - MEAN
    return -0.5 * np.einsum("cdi,ij,cdj->cd", x, np.linalg.inv(COVARIANCE), x)
