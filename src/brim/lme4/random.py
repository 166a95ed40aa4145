"""Group effects: their covariances, conditional modes, coefficients of levels, principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brim.lme4.design import Varying
from brim.lme4.variances import TermCovariance, VarCorr

if TYPE_CHECKING:
    import pandas as pd

    from brim.lme4.mer import AbstractMer

__all__ = ["coef", "is_singular", "ranef", "ranef_frame", "rePCA", "term_covariances", "varcorr"]

Array = np.ndarray


def term_covariances(fit: AbstractMer) -> list[TermCovariance]:
    """Those of all terms, in lme4's order."""
    groups, theta, seen = fit.observed.groups, fit.theta, dict[str, int]()
    out = []
    for v, t, s in zip(groups.design.varying, groups.covariances.terms, groups.covariances.slots, strict=True):
        low = fit.sigma * t.structure.loading(theta[s], t.k)
        sd = np.sqrt(np.einsum("ij,ij->i", low, low))
        unit = low / np.where(sd > 0, sd, 1.0)[:, None]
        cor = np.clip(unit @ unit.T, -1.0, 1.0)
        cor[sd == 0, :] = cor[:, sd == 0] = np.nan if t.k > 1 else 1.0
        np.fill_diagonal(cor, 1.0)
        label = groups.design.groupings[v.grouping].label
        again = seen.get(label, 0)
        seen[label] = again + 1
        name = f"{label}.{again}" if again else label
        tied = v.bar.structure if t.structure.tied and t.k > 1 else ""
        out.append(TermCovariance(name, label, v.names, sd, cor, v.bar.structure != "diag", tied))
    return out


def varcorr(fit: AbstractMer) -> VarCorr:
    """Standard deviations and correlations of the group effects, a mapping that prints lme4's table.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.VarCorr()["Subject"]["sd"]["Estimate"].round(2).to_dict()
    {'(Intercept)': 24.74, 'Days': 5.92}
    """
    return VarCorr(term_covariances(fit), fit.sigma if fit.has_sigma else None)


# ---- effects ---------------------------------------------------------------------------------------------------------------


def _coefs(fit: AbstractMer, grouping: int) -> list[str]:
    return [name for v in fit.observed.design.terms_of(grouping) for name in v.names]


def ranef(fit: AbstractMer, condVar: bool = True) -> dict[str, pd.DataFrame]:
    """Group effects given the response (conditional modes): for each grouping factor a data frame of levels x coefficients.

    With ``condVar``, ``.attrs["postVar"]`` holds their conditional covariances, ``(levels, k, k)``.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> effects = m.ranef()["Subject"]
    >>> print(effects.head(2).round(2))
         (Intercept)  Days
    308         2.26  9.20
    309       -40.40 -8.62
    >>> effects.attrs["postVar"].shape
    (18, 2, 2)
    """
    import pandas as pd

    out = {}
    for i, g in enumerate(fit.observed.design.groupings):
        frame = pd.DataFrame(fit.effects[i], index=list(g.levels), columns=_coefs(fit, i))
        if condVar:
            frame.attrs["postVar"] = fit.conditional[i]
        out[g.label] = frame
    return out


def ranef_frame(fit: AbstractMer) -> pd.DataFrame:
    """The group effects as one table: ``grpvar term grp condval condsd``, a row an effect.

    ``condval`` is the effect, ``condsd`` its standard deviation given the response.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(m.ranef_frame().head(2).round(2))
        grpvar         term  grp  condval  condsd
    0  Subject  (Intercept)  308     2.26   12.07
    1  Subject  (Intercept)  309   -40.40   12.07
    """
    import pandas as pd

    rows = []
    for i, g in enumerate(fit.observed.design.groupings):
        sd = np.sqrt(np.einsum("lkk->lk", fit.conditional[i]))
        for j, name in enumerate(_coefs(fit, i)):
            part = {"grpvar": g.label, "term": name, "grp": list(g.levels), "condval": fit.effects[i][:, j], "condsd": sd[:, j]}
            rows.append(pd.DataFrame(part))
    return pd.concat(rows, ignore_index=True)


def coef(fit: AbstractMer) -> dict[str, pd.DataFrame]:
    """Coefficients of each level, population-level coefficients plus the level's effects: for each grouping factor levels x coefficients.

    Effects without a population-level coefficient stand for themselves.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> print(m.coef()["Subject"].head(2).round(2))
         (Intercept)   Days
    308       253.66  19.67
    309       211.01   1.85
    """
    import pandas as pd

    out = {}
    fixed = dict(zip(fit.names, fit.beta, strict=True))
    for i, g in enumerate(fit.observed.design.groupings):
        names = _coefs(fit, i)
        alone = dict.fromkeys(name for name in names if name not in fixed)  # these stand first, as in lme4
        frame = pd.DataFrame({n: np.full(len(g.levels), fixed.get(n, 0.0)) for n in (*alone, *fixed)}, index=list(g.levels))
        for j, name in enumerate(names):
            frame[name] += fit.effects[i][:, j]
        out[g.label] = frame
    return out


# ---- covariances that are singular -------------------------------------------------------------------------------------------


def _loadings(fit: AbstractMer) -> list[tuple[Varying, Array]]:
    groups, theta = fit.observed.groups, fit.theta
    parts = zip(groups.design.varying, groups.covariances.terms, groups.covariances.slots, strict=True)
    return [(v, t.structure.loading(theta[s], t.k)) for v, t, s in parts]


def is_singular(fit: AbstractMer, tol: float = 1e-4) -> bool:
    """Whether the fit lies on the boundary: a standard deviation of zero, or effects of a term that determine one another.

    That is, whether an element of ``theta`` on the diagonal of a covariance factor is below ``tol``.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.isSingular()
    False
    """
    groups = fit.observed.groups
    return bool((np.abs(fit.theta[list(groups.covariances.sds())]) < tol).any())


def rePCA(fit: AbstractMer) -> dict[str, dict[str, Array]]:
    """Principal components of the group effects, for each grouping factor.

    Singular values (``sdev``, over ``sigma``) and vectors (``rotation``) of the relative covariance factor: one that is zero says that an
    effect too many is asked for.

    Examples
    --------
    >>> import brim
    >>> m = brim.lmer("Reaction ~ Days + (Days | Subject)", brim.load_data("sleepstudy"))
    >>> m.rePCA()['Subject']['sdev'].round(2)
    array([0.97, 0.23])
    """
    out: dict[str, dict[str, Array]] = {}
    for i, g in enumerate(fit.observed.design.groupings):
        blocks = [low for v, low in _loadings(fit) if v.grouping == i]
        k = sum(len(b) for b in blocks)
        whole, at = np.zeros((k, k)), 0
        for b in blocks:
            whole[at : at + len(b), at : at + len(b)] = b
            at += len(b)
        u, d, _ = np.linalg.svd(whole)
        out[g.label] = {"sdev": d, "rotation": u}
    return out
