"""The likelihood of a joint model's subjects, and cross-validation that leaves subjects out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError
from brim.post.comparison.importance import importance_loo, waic_of
from brim.post.comparison.loo import warn_of_k
from brim.rstanarm.joint.marginal import Subjectwise, conditional
from brim.rstanarm.joint.marginal import marginal as integrated

if TYPE_CHECKING:
    from brim.post.comparison.elpd import Elpd
    from brim.rstanarm.joint.jm import JmFit

__all__ = ["log_lik", "loo", "waic"]


def log_lik(fit: JmFit, newdata: Any = None, *, marginal: bool = False, nodes: int | None = None, **unsupported: Any) -> np.ndarray:
    """The log likelihood of each subject, of its markers' rows and its event: ``(draws, subjects)``.

    Parameters
    ----------
    marginal
        ``False``: given the subject's effects, as rstanarm's. ``True``: with these integrated out by adaptive Gauss-Hermite quadrature.
    nodes
        Its nodes for each effect: 11 for one, 7 for two, 5 for three, 3 for four, 1 (Laplace's approximation) for more.
    """
    if newdata is not None or unsupported:
        raise BrimError("log_lik() of a joint model takes no new data", hint="posterior_survfit() and posterior_traj() do")
    return integrated(fit, nodes) if marginal else conditional(fit)


def loo(fit: JmFit, *, marginal: bool = True, k_threshold: float | None = None, save_psis: bool = False) -> Elpd:
    """Leave-one-subject-out cross-validation: the density of a subject's markers and event given all other subjects.

    Parameters
    ----------
    marginal
        Weigh the likelihood with the subject's effects integrated out (``log_lik(marginal=True)``): given the effects, which belong to
        the subject alone, importance sampling fails. ``False``: as rstanarm's.
    k_threshold, save_psis
        As in ``Fit.loo``.

    Returns
    -------
    Elpd
    """
    result = importance_loo(Subjectwise(fit, options={"marginal": marginal}), k_threshold, save_psis)
    warn_of_k(result, moment_match=True, reloo=True)
    return result


def waic(fit: JmFit, *, marginal: bool = True) -> Elpd:
    """The widely applicable information criterion over subjects; arguments as for ``loo``, which tells when it fails."""
    return waic_of(Subjectwise(fit, options={"marginal": marginal}))
