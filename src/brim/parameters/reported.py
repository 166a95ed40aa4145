"""What the user sees of a model: arrays of draws under brms' names, of which kind each is, and where a summary lists it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "COEFFICIENT",
    "FAMILY",
    "FIXED",
    "INTERCEPT",
    "LATENT",
    "ReportKind",
    "Reported",
    "Section",
    "called",
    "in_order",
    "population_name",
]


@dataclass(frozen=True)
class Section:
    """A table of a summary: its name there (``summary.splines``), brms' title, and its place among the others."""

    name: str
    title: str
    place: float


@dataclass(frozen=True)
class ReportKind:
    """A kind of what is reported. What is true of it stands here, and nowhere else: a term brings its own.

    Attributes
    ----------
    name
        What it is.
    section
        Where a summary lists it, ``None``: nowhere.
    called
        What a variable is called there, from its name.
    inner
        Whether it is a long vector below other parameters (effects of groups, coefficients of curves, latent values), which checks of
        convergence, first plots and tables of parameters leave out.
    each
        Whether it has an element for each level or row, so that ``keep`` can leave it out of the draws.
    """

    name: str
    section: Section | None = None
    called: Callable[[str], str] = str
    inner: bool = False
    each: bool = False


def called(name: str) -> str:
    """``sds_sx_1`` as ``sds(sx_1)``, ``rescor__y__z`` as ``rescor(y,z)``."""
    function, _, rest = name.partition("_")
    return f"{function}({rest.removeprefix('_').replace('__', ',')})"


def population_name(variable: str) -> str:
    """The coefficient of a population-level variable.

    Examples
    --------
    >>> [population_name(v) for v in ("b_sigma_x", "bs_sx_1", "bsp_mox")]
    ['sigma_x', 'sx_1', 'mox']
    """
    return re.sub(r"^b(s|sp|cs)?_", "", variable)


FIXED = Section("fixed", "Population-Level Effects: ", 4)
#: Population-level effects; intercepts come first.
INTERCEPT = ReportKind("intercept", FIXED, population_name)
COEFFICIENT = ReportKind("coefficient", FIXED, population_name)
#: Parameters of the family.
FAMILY = ReportKind("family", Section("spec_pars", "Family Specific Parameters: ", 6))
#: Values of rows or levels that are estimated.
LATENT = ReportKind("latent", inner=True, each=True)


@dataclass(frozen=True)
class Reported:
    """An array of draws as brms reports it.

    Attributes
    ----------
    key
        Its key in the dict of transformed parameters.
    names
        brms' names of its elements, in the array's shape; draws are listed in C order.
    kind
        What it is.
    dims, coords
        Names and labels of its axes for ArviZ; ``label`` is the variable's name there.
    rows
        The part of the array's first axis that this is, ``None`` for all of it.
    """

    key: str
    names: np.ndarray
    kind: ReportKind
    label: str
    dims: tuple[str, ...] = ()
    coords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rows: tuple[int, int] | None = None


_BEFORE = "b bs bsp bcs ar ma sderr lagsar errorsar car rhocar sdcar cosy cortime sd cor df sds sdgp lscale".split()
_AFTER = "rescor delta lasso simo r s zgp rcar sbhaz R2D2 Ymi Yl meanme sdme corme Xme err".split()


def in_order(reported: Iterable[Reported], dpars: Iterable[str]) -> tuple[Reported, ...]:
    """In brms' order of variables: by class, intercepts before other coefficients; ``dpars`` are the families', in their order.

    Classes that brms has not come with those of families, or at the end where they are long vectors.
    """
    classes = list(dict.fromkeys([*_BEFORE, *dpars, "", *_AFTER]))
    place = {name: i for i, name in enumerate(classes)}

    def key(q: Reported) -> tuple[int, bool]:
        class_ = re.split(r"[_\[]", str(np.ravel(q.names)[0]) if q.names.size else q.label, maxsplit=1)[0]
        return place.get(class_, len(classes) if q.kind.inner else place[""]), q.kind != INTERCEPT

    return tuple(sorted(reported, key=key))
