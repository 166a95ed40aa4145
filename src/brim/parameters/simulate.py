"""All parameters of a model drawn at once from their priors, independently: what a simulated data set begins with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from brim.parameters.draws import between_bounds
from brim.parameters.param import Param

__all__ = ["flat_slots", "prior_params"]

_TRIES = 200  # rounds in which draws that are not in order are made again


def flat_slots(params: Iterable[Param]) -> list[tuple[Param, int]]:
    """Elements whose prior is flat on an unbounded range, each as its parameter and flat position: they cannot be drawn from."""
    out = []
    for p in (p for p in params if p.slots):
        drawn = {i for piece in p.pieces if piece.law != "flat" for i in p.elements(piece)}
        bounded = p.lb is not None and p.ub is not None
        out += [(p, i) for i in range(p.size) if i not in drawn and i not in p.constants and not bounded]
    return out


def prior_params(params: Iterable[Param], n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """``n`` draws of every parameter that has a law of its own, ``name -> (n, *shape)``.

    Examples
    --------
    >>> import brim
    >>> prior = brim.prior("normal(0, 5)") + brim.prior("lkj(2)", class_="cor")
    >>> fit = brim.brm("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"), prior=prior, empty=True)
    >>> draws = prior_params(fit.model.params, 2000, np.random.default_rng(1))
    >>> draws["b"].shape, draws["L_1"].shape, draws["z_1"].shape
    ((2000, 1), (2000, 2, 2), (2000, 2, 18))
    >>> bool(abs(draws["b"].std() / 5 - 1) < 0.05)
    True
    """
    out = {}
    for p in params:
        drawn = _drawn(p, n, rng)
        if drawn is not None:
            out[p.name] = drawn
    return out


def _drawn(p: Param, n: int, rng: np.random.Generator) -> np.ndarray | None:
    if p.space in ("cholesky_corr", "simplex"):
        return _joint(p, n, rng)
    out = np.full((n, p.size), np.nan)
    if p.lb is not None and p.ub is not None:
        out = rng.uniform(p.lb, p.ub, out.shape)
    for piece in (piece for piece in p.pieces if piece.law != "flat"):
        at = list(p.elements(piece))
        out[:, at] = between_bounds(piece, p, n * len(at), rng).reshape(n, len(at))
    out[:, list(p.constants)] = p.constant_values
    if np.isnan(out).any():
        return None
    whole = out.reshape(n, *p.shape)
    return whole if p.space != "ordered" or p.constants else _in_order(p, whole, rng)


def _in_order(p: Param, values: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Values given that they ascend along the last axis: sorted where their laws are the same, else drawn until they do."""
    laws = {(piece.law, piece.args) for piece in p.pieces}
    if len(laws) == 1:
        return np.sort(values, axis=-1)
    free = Param(p.name, p.shape, pieces=p.pieces)
    for _ in range(_TRIES):
        wrong = (np.diff(values, axis=-1) <= 0).reshape(len(values), -1).any(axis=1)
        if not wrong.any():
            return values
        values[wrong] = _drawn(free, int(wrong.sum()), rng)
    return None


def _joint(p: Param, n: int, rng: np.random.Generator) -> np.ndarray | None:
    """Cholesky factors of LKJ matrices, or Dirichlet vectors."""
    if len(p.constants) == p.size and p.size:
        return np.broadcast_to(np.reshape(p.constant_values, p.shape), (n, *p.shape))
    if p.shape[-1] == 1:
        return np.ones((n, *p.shape))
    law = next((piece for piece in p.pieces if piece.index is None), None)
    if law is None or law.law == "flat":
        return None
    if p.space == "simplex":
        return rng.dirichlet(law.args, (n, *p.outer))
    return _lkj_cholesky(p.shape[-1], law.args[0], (n, *p.outer), rng)


def _lkj_cholesky(k: int, eta: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Row by row by the onion method (Lewandowski, Kurowicka & Joe 2009): squared length ~ beta, direction uniform."""
    out = np.zeros((*shape, k, k))
    out[..., 0, 0] = 1.0
    b = eta + 0.5 * (k - 2)
    for i in range(1, k):
        squared = rng.beta(0.5 * i, b - 0.5 * (i - 1), shape)
        way = rng.normal(size=(*shape, i))
        out[..., i, :i] = np.sqrt(squared)[..., None] * way / np.linalg.norm(way, axis=-1, keepdims=True)
        out[..., i, i] = np.sqrt(1.0 - squared)
    return out
