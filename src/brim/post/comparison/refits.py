"""Cross-validation that fits again: exact leave-one-out for some observations, and K folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, cast, final

import numpy as np

from brim.arguments import drawn_seed, named, one_of, whole
from brim.errors import BrimError, suggest
from brim.executors import ordered
from brim.parameters.prior import Priors
from brim.post.comparison.pointwise import Pointwise, log_mean_exp
from brim.post.predictions import log_lik

if TYPE_CHECKING:
    from brim.fit.record import FitRecord
    from brim.frames.frame import Frame
    from brim.post.comparison.elpd import Elpd

__all__ = ["folds_of", "kfold", "refitted"]

_FOLDS = ("random", "stratified", "grouped", "loo")
_JOINT = ("fold", "group")


def refitted(rows: Pointwise, result: Elpd, seed: int | None, arguments: Mapping[str, Any]) -> Elpd:
    """PSIS-LOO with the terms of its bad observations replaced by those of fits without them."""
    from brim.post.comparison.elpd import total

    if rows.newdata is not None:
        raise BrimError("reloo fits again without each observation: it takes the training rows, not newdata")
    frame = _frame(rows)
    elpd, p, k = (np.array(a) for a in (result.elpd_i, result.p_i, result.pareto_k))
    lpd = elpd + p
    again = Again.of(rows, frame, seed, arguments)
    outs = [np.arange(frame.n) == i for i in result.bad]
    for i, found in zip(result.bad, again.left_out(outs, "refit"), strict=True):
        elpd[i] = log_mean_exp(found)[0]
        p[i], k[i] = lpd[i] - elpd[i], 0.0
    return total(
        "loo",
        elpd,
        p,
        result.n_samples,
        result.response,
        rows.dim,
        pareto_k=k,
        good_k=result.good_k,
        warning=bool((k > result.good_k).any()),
    )


def _frame(rows: Pointwise) -> Frame:
    """The training rows, those that the response keeps."""
    model = rows.fit.model
    response = model.responses[0] if rows.resp is None else model.response(rows.resp)
    return response.response.kept(rows.fit.frame.every("cross-validation"))


class _Updatable(Protocol):
    """The user's face of a record: it can be fitted again."""

    def update(self, formula: Any = None, *, newdata: Any = None, **kwargs: Any) -> FitRecord: ...


@final
@dataclass(frozen=True)
class Again:
    """Fits of the model with its priors, default ones too, on some of its rows; a program compiled for one serves all that have as many.

    ``fit`` has no draws, so that little is sent to a worker.
    """

    fit: FitRecord
    frame: Frame
    resp: str | None
    seed: int | None
    arguments: Mapping[str, Any]
    executor: Any = field(default=None, repr=False)

    @staticmethod
    def of(rows: Pointwise, frame: Frame, seed: int | None, arguments: Mapping[str, Any]) -> Again:
        """The refits that ``arguments`` of ``brm`` ask for, ``executor`` among them."""
        priors = Priors(tuple(row for row in rows.fit.model.rows if row.prior))
        executor = arguments.get("executor")
        own = {name: value for name, value in arguments.items() if name != "executor"}
        given = {"prior": priors, **({} if seed is None else {"seed": seed}), **({} if executor is None else {"cores": 1}), **own}
        bare = replace(rows.fit, posterior=None, stats={}, info={}, criteria={})
        return Again(bare, frame, rows.resp, seed, {"progress": False, **given}, executor)

    def left_out(self, outs: Sequence[np.ndarray], what: str) -> list[np.ndarray]:
        """Log likelihood ``(draws, rows)`` of the rows of each mask, given the others; by the executor, a fit a call."""
        here = replace(self, executor=None)
        return ordered(self.executor, _without, [(here, out) for out in outs], what)


def _without(again: Again, out: np.ndarray) -> np.ndarray:
    """Fit without these rows: their log likelihood."""
    refit = cast("_Updatable", again.fit).update(newdata=again.frame.take(~out), **again.arguments)
    return _held_out(refit, again.frame.take(out), again.resp, again.seed)


def _held_out(fit: FitRecord, frame: Frame, resp: str | None, seed: int | None) -> np.ndarray:
    """Log likelihood ``(draws, rows)`` of rows that a fit has not seen; their new groups come from the estimated law."""
    found = log_lik(
        fit, frame, resp=resp, allow_new_levels=True, sample_new_levels="gaussian", seed=drawn_seed(1 if seed is None else seed)
    )
    if np.isnan(found).any():
        raise BrimError("the log likelihood of left-out rows is missing", hint="responses that are estimated (mi()) have none")
    return found


@named
def kfold(
    fit: FitRecord,
    K: int | None = None,
    *,
    folds: str | Sequence[int] | None = None,
    group: str | None = None,
    Ksub: int | Sequence[int] | None = None,
    joint: bool | str = False,
    resp: str | None = None,
    seed: int | None = 1,
    executor: Any = None,
    **kwargs: Any,
) -> Elpd:
    """K-fold cross-validation: the density of each observation given the other folds, from ``K`` fits.

    Groups that only the left-out rows have get effects from the estimated law.

    Parameters
    ----------
    K
        Number of folds, 10 by default; with ``group`` and no ``K`` each group is a fold.
    folds
        ``"random"``; ``"stratified"``: levels of ``group`` spread evenly; ``"grouped"``: rows of a group stay together;
        ``"loo"``: leave one group out; or the fold of every row, numbers from 1.
    group
        The column of these groups.
    Ksub
        Evaluate only that many folds, or the folds with these numbers (from 1).
    joint
        ``"fold"`` or ``"group"``: one joint density for all rows of a fold or group; ``False``: one a row.
    resp
        The response, in a multivariate model.
    seed
        For the split, the fits, and effects of new groups.
    executor
        Where the fits run, one a fold: see ``brm``.
    kwargs
        Arguments of ``brm`` for the fits (``chains``, ``iter``, ``cores``, ...).

    Returns
    -------
    Elpd
        ArviZ's ``ELPDData`` with ``n_folds``, as ``loo`` gives it.

    Examples
    --------
    >>> import brim
    >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), chains=1, iter=300, seed=1, progress=False)
    >>> bool(-970 < fit.kfold(3).elpd < -945)
    True
    """
    from brim.post.comparison.elpd import total

    rows = Pointwise(fit, None, resp)
    frame = _frame(rows)
    if joint is not False:
        one_of("joint", joint, _JOINT)
    members = _members(frame, group)
    fold = folds_of(frame.n, K, folds, members, seed)
    asked = _asked(int(fold.max()), Ksub)
    full = np.concatenate([log_mean_exp(block) for _, block in rows.blocks()])
    elpd = []
    units = fold if joint == "fold" else members if joint == "group" else np.arange(frame.n)
    if joint == "group" and members is None:
        raise BrimError("joint='group' needs the column of the groups", hint="say group=")
    again = Again.of(rows, frame, seed, {**kwargs, "executor": executor})
    outs = [fold == k for k in asked]
    for out, found in zip(outs, again.left_out(outs, "fold"), strict=True):
        labels = units[out]  # type: ignore[index]
        for unit in dict.fromkeys(labels.tolist()):
            mine = labels == unit
            elpd.append((unit, float(log_mean_exp(found[:, mine].sum(axis=1))), float(full[np.flatnonzero(out)[mine]].sum())))
    order = np.argsort([unit for unit, _, _ in elpd], kind="stable")
    density = np.array([elpd[i][1] for i in order])
    p = np.array([elpd[i][2] for i in order]) - density
    samples = fit.draws.chains * fit.draws.draws
    return total("loo_kfold", density, p, samples, rows.response, rows.dim, n_folds=len(asked))


def _members(frame: Frame, group: str | None) -> np.ndarray | None:
    """The group of every row, as numbers."""
    if group is None:
        return None
    if group not in frame:
        raise BrimError(f"group: there is no column '{group}'", hint=suggest(group, frame.names, "columns"))
    return np.asarray(frame[group].as_factor().codes)


def _asked(K: int, Ksub: int | Sequence[int] | None) -> list[int]:
    if Ksub is None:
        return list(range(1, K + 1))
    if isinstance(Ksub, int | np.integer):
        return list(range(1, whole("Ksub", Ksub, least=1, most=K) + 1))
    return [whole("Ksub", k, least=1, most=K) for k in Ksub]


def folds_of(n: int, K: int | None, folds: str | Sequence[int] | None, members: np.ndarray | None, seed: int | None) -> np.ndarray:
    """The fold of every row, from 1.

    Examples
    --------
    >>> np.bincount(folds_of(10, 3, None, None, 1))[1:].tolist()
    [4, 3, 3]
    >>> folds_of(4, None, "loo", np.array([1, 0, 1, 0]), 1).tolist()
    [2, 1, 2, 1]
    """
    if folds is not None and not isinstance(folds, str):
        given = np.asarray(folds)
        numbers = np.unique(given)
        if (
            given.shape != (n,)
            or given.dtype.kind not in "iu"
            or not np.array_equal(numbers, np.arange(1, len(numbers) + 1))
            or len(numbers) < 2
        ):
            raise BrimError(f"folds must be {n} whole numbers from 1 to the number of folds")
        return given
    how = folds or ("random" if members is None else "loo" if K is None else "grouped")
    one_of("folds", how, _FOLDS, "ways")
    if how != "random" and members is None:
        raise BrimError(f"folds='{how}' needs the column of the groups", hint="say group=")
    if how == "loo":
        return _numbered(members) + 1
    rng = np.random.default_rng(seed)
    units = n if how != "grouped" else int(_numbered(members).max()) + 1
    K = whole("K", 10 if K is None else K, least=2, most=units)
    order = rng.permutation(units)
    if how == "stratified":
        order = order[np.argsort(np.asarray(members)[order], kind="stable")]
    fold = np.empty(units, int)
    fold[order] = np.arange(units) % K + 1
    return fold if how != "grouped" else fold[_numbered(members)]


def _numbered(members: Any) -> np.ndarray:
    """Groups as numbers from 0 without gaps."""
    return np.asarray(np.unique(np.asarray(members), return_inverse=True)[1])
