"""What the data leave undetermined under flat priors: designs without full rank, and responses that a predictor separates.

Coefficients with a flat prior have a proper posterior only if no direction of them leaves the likelihood as it is, or lets it rise for
ever (Albert & Anderson 1984; Gelman et al. 2008). Both can be told from the design and the response before anything is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from brim.errors import name_list
from brim.families.kinds import Kind
from brim.frames.frame import Frame
from brim.model.model import Model, Predictor, ResponseModel
from brim.parameters.param import Param

__all__ = ["free_columns", "informative", "separated", "undetermined"]

ALIKE = 1e-7  # relative size of what is left of a column without the others, below which it is one of them (as in R's lm)
CONSTANT = 2e-14  # of a centred column, in units of the column: rounding
SHARE = 1e-6  # of a column in another, in units of their lengths, that counts
MOST = 5e9  # operations that the check may take
STEPS = 30  # of Newton's method, after which responses may be separated
FINITE = 1e-6  # Newton decrement at which the maximum is reached
CURVED = 1e-3  # curvature there, a row, that tells it from the way to infinity; the linear program decides about what has less
SHOWN = 5  # sentences


@dataclass(frozen=True)
class _Free:
    """The columns of one predictor whose coefficients have a flat prior: (rows, columns), their lengths as they are, and their names."""

    x: np.ndarray
    size: np.ndarray
    names: tuple[str, ...]


def undetermined(model: Model, frame: Frame) -> tuple[str, ...]:
    """What is wrong with the columns whose coefficients have a flat prior, a sentence for each predictor; empty if they are independent.

    Parameters
    ----------
    model, frame
        The model and its training rows.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("y ~ x + one", {"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 5.0], "one": [1.0, 1.0, 1.0]}, empty=True)
    >>> undetermined(fit.model, fit.frame)
    ("'one' is constant",)
    """
    found = []
    for response, predictor in _predictors(model):
        rows = informative(response, frame)
        free = _free(predictor, response, {p.name: p for p in model.params}, frame, rows)
        n, k = free.x.shape
        if k and not n:
            found.append(f"no row of {response.name} has a response and a weight above 0")
        elif k and n * k * min(n, k) < MOST:
            said = _dependent(free)
            few = f"there are {n} rows for {k} coefficients: " if n < k else ""
            label = "" if predictor.name == "mu" else f"in the predictor of {predictor.name}, "
            said = said if len(said) <= SHOWN else [*said[:SHOWN], f"{len(said) - SHOWN} more are"]
            found += [label + few + "; ".join(said)] if said else []
    return tuple(found)


def separated(model: Model, frame: Frame) -> tuple[str, ...]:
    """What separates responses at the ends of their range from the others, a sentence for each predictor; empty if nothing does.

    Looked at are coefficients with flat priors in models of binary, ordinal and count responses: their likelihood rises for ever where
    all rows with ``sum x b > 0`` have the largest possible response, and all with ``sum x b < 0`` the smallest.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("y ~ x", {"y": [0, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0]}, family="bernoulli", empty=True)
    >>> separated(fit.model, fit.frame)
    ("'x' separates the responses",)
    """
    found = []
    for response, predictor in _predictors(model):
        if predictor.name != "mu" or response.family.kind not in (Kind.BINARY, Kind.COUNT, Kind.ORDINAL):
            continue
        rows = informative(response, frame)
        free = _free(predictor, response, {p.name: p for p in model.params}, frame, rows)
        if free.x.shape[1]:
            ends = _ends(response, frame)[rows]
            names = _separating(free, ends)
            said = f"{name_list(names)} separate{'s' * (len(names) == 1)} the responses"
            alike = "every response is the smallest" if ends.max(initial=-1.0) < 0 else "every response is the largest"
            found += [alike if abs(ends.sum()) == len(ends) else said] if names else []
    return tuple(found)


# --------------------------------------------------------------------------- columns


def _predictors(model: Model) -> Iterator[tuple[ResponseModel, Predictor]]:
    return ((r, p) for r in model.responses for p in r.predictors)


def informative(response: ResponseModel, frame: Frame) -> np.ndarray:
    """Mask of the rows that enter the likelihood: with a response and a weight."""
    mine = response.response.kept(frame)
    data = response.response.design(mine, response.family)
    y = np.asarray(data["y"], float)
    known = ~np.isnan(y.reshape(len(y), -1)).any(axis=1)
    return known & (np.broadcast_to(data.get("weights", 1.0), len(y)) > 0) & (np.broadcast_to(data.get("trials", 1), len(y)) > 0)


def free_columns(model: Model, response: ResponseModel, predictor: Predictor, frame: Frame, rows: np.ndarray) -> np.ndarray:
    """The columns (rows, columns) whose coefficients have a flat prior, each up to a factor; centred where there is an intercept."""
    return _free(predictor, response, {p.name: p for p in model.params}, frame, rows).x


def _free(predictor: Predictor, response: ResponseModel, params: dict[str, Param], frame: Frame, rows: np.ndarray) -> _Free:
    """The columns with flat priors; centred where an intercept takes up what is constant."""
    mine = response.response.kept(frame)
    parts, sizes, names = [np.zeros((int(rows.sum()), 0))], [np.zeros(0)], []
    for term in predictor.terms:
        for key, columns, centred in term.unpenalised(mine):
            p = params.get(key)
            if p is None or not p.slots:  # a shrinkage prior took its place
                continue
            flat = _flat(p, columns.shape[1])
            part = columns[rows][:, flat]
            largest = np.abs(part).max(axis=0, initial=0.0)
            part = part / np.where(largest > 0.0, largest, 1.0)  # squares stay finite
            parts.append(part - part.mean(0) if centred and len(part) else part)
            sizes.append(np.linalg.norm(part, axis=0))
            names += [p.slots[i * len(p.slots) // len(flat)].coef or p.slots[0].class_ for i in np.flatnonzero(flat)]
    return _Free(np.concatenate(parts, axis=1), np.concatenate(sizes), tuple(names))


def _flat(param: Param, columns: int) -> np.ndarray:
    """Mask of the columns of which some coefficient has a flat prior and no bound (``columns`` divides the size of the parameter)."""
    flat = np.full(param.size, param.lb is None and param.ub is None)
    for piece in param.pieces:
        if piece.law != "flat":
            flat[list(param.elements(piece))] = False
    flat[list(param.constants)] = False
    return np.asarray(flat.reshape(columns, -1).any(axis=1))


# --------------------------------------------------------------------------- rank


def _dependent(free: _Free) -> list[str]:
    """What each column is that the ones before it make up."""
    length = np.linalg.norm(free.x, axis=0)
    empty = length <= CONSTANT * free.size
    said = [f"'{n}' is {'constant' if s > 0 else '0 in every row'}" for n, s, e in zip(free.names, free.size, empty, strict=True) if e]
    left = np.flatnonzero(~empty)
    x = free.x[:, left] / length[left]
    if np.linalg.eigvalsh(x.T @ x).min(initial=1.0) > 1e-9:
        return said
    r = np.asarray(np.linalg.qr(x, mode="r"))
    kept: list[int] = []
    basis = np.zeros((len(r), 0))
    for j, column in enumerate(r.T):
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        if np.linalg.norm(rest) > ALIKE:
            kept.append(j)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
        else:
            shares = np.linalg.lstsq(r[:, kept], column, rcond=None)[0]
            of = name_list([free.names[left[k]] for k, share in zip(kept, shares, strict=True) if abs(share) > SHARE])
            said.append(f"'{free.names[left[j]]}' is a linear combination of {of}")
    return said


# --------------------------------------------------------------------------- separation


def _ends(response: ResponseModel, frame: Frame) -> np.ndarray:
    """1 for a response at the upper end of its range, -1 at the lower end, 0 between them."""
    data = response.response.design(response.response.kept(frame), response.family)
    y = np.asarray(data["y"], float)
    if any(name in data for name in ("cens", "lb", "ub")):
        return np.zeros(len(y))
    ends = {Kind.BINARY: (0, 1), Kind.ORDINAL: (1, len(response.family.categories)), Kind.COUNT: (0, data.get("trials", np.inf))}
    low, high = ends[response.family.kind]
    return np.where(y <= low, -1.0, np.where(y >= high, 1.0, 0.0))


def _separating(free: _Free, ends: np.ndarray) -> list[str]:
    """The columns with a direction along which no row at an end goes inwards, and no other row moves; empty if there is none."""
    length = np.linalg.norm(free.x, axis=0)
    moving = length > CONSTANT * free.size
    x = np.column_stack([np.ones(len(ends)), free.x[:, moving] * (np.sqrt(len(ends)) / length[moving])])
    names = [n for n, m in zip(free.names, moving, strict=True) if m]
    still = x[ends == 0.0]
    values, vectors = np.linalg.eigh(still.T @ still)
    ways = vectors[:, values <= 1e-9 * max(len(ends), 1)]
    at_ends = x[ends != 0.0] * ends[ends != 0.0, None]
    if not names or not len(at_ends) or not ways.shape[1] or _finite(at_ends @ ways):
        return []
    return _direction(np.unique(at_ends, axis=0), np.unique(still, axis=0), names)


def _finite(z: np.ndarray) -> bool:
    """Whether ``sum log(1 + exp(-z b))`` has a finite minimum: then no ``b`` has ``z b >= 0`` in all rows and ``> 0`` in some."""
    b, loss = np.zeros(z.shape[1]), len(z) * np.log(2.0)
    for _ in range(STEPS):
        weight = 1.0 / (1.0 + np.exp(np.clip(z @ b, -500, 500)))
        slope, bend = z.T @ weight, (z.T * (weight * (1.0 - weight))) @ z
        step = np.linalg.lstsq(bend, slope, rcond=1e-14)[0]
        if slope @ step < FINITE:
            return bool(np.linalg.eigvalsh(bend)[0] > CURVED * len(z))
        for _halving in range(20):
            new = float(np.logaddexp(0.0, -(z @ (b + step))).sum())
            if new < loss:
                break
            step = 0.5 * step
        b, loss = b + step, new
    return False


def _direction(at_ends: np.ndarray, still: np.ndarray, names: list[str]) -> list[str]:
    """The columns of the direction with the fewest, by a linear program."""
    from scipy.optimize import linprog

    k = len(names)
    price = np.r_[0.0, 0.0, np.ones(2 * k)]  # intercept and slopes, each as a difference of two positive numbers

    def both(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x[:, :1], -x[:, :1], x[:, 1:], -x[:, 1:]])

    equal = np.vstack([both(still), both(at_ends.sum(axis=0, keepdims=True))])
    right = np.r_[np.zeros(len(still)), float(len(at_ends))]
    found = linprog(price, A_ub=-both(at_ends), b_ub=np.zeros(len(at_ends)), A_eq=equal, b_eq=right, method="highs")
    if found.status != 0:
        return []
    slopes = found.x[2 : 2 + k] - found.x[2 + k :]
    return [n for n, b in zip(names, slopes, strict=True) if abs(b) > 1e-7] or names
