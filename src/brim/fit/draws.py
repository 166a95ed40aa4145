"""Posterior draws: arrays by parameter, brms' flat names, data frames in and out, the ArviZ object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.errors import BrimError, suggest
from brim.parameters.reported import Reported

if TYPE_CHECKING:
    import pandas as pd

    from brim.frames.frame import Frame
    from brim.model.model import Model

__all__ = ["Posterior"]

#: Variables every fit has besides the model's own.
EXTRA = ("lprior", "lp__")
#: The axes of all draws.
AXES = ("chain", "draw")


@dataclass(frozen=True)
class Posterior:
    """Draws of everything a model reports.

    Attributes
    ----------
    reported
        What the model reports, in brms' order.
    arrays
        ``key -> (chains, draws, *shape)`` for the keys of ``reported``, and ``lprior``, ``lp__``.
    extra
        Further variables by their flat name, ``(chains, draws)`` (draws from priors).
    """

    reported: tuple[Reported, ...] = field(repr=False)
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    extra: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """What was not kept is not reported."""
        object.__setattr__(self, "reported", tuple(q for q in self.reported if q.key in self.arrays))

    @property
    def chains(self) -> int:
        """Number of chains."""
        return len(next(iter(self.arrays.values())))

    @property
    def draws(self) -> int:
        """Draws a chain."""
        return next(iter(self.arrays.values())).shape[1]

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """All flat names, in brms' order."""
        names = [str(n) for q in self.reported for n in np.ravel(q.names)]
        return (*names, *self.extra, *(e for e in EXTRA if e in self.arrays))

    def array(self, q: Reported) -> np.ndarray:
        """The draws of one reported array, ``(chains, draws, *shape)``."""
        if q.key not in self.arrays:
            raise BrimError(f"the draws of {q.label} were not kept", hint=f"fit with keep='all', or keep=['{q.label}']")
        a = self.arrays[q.key]
        return a if q.rows is None else a[:, :, q.rows[0] : q.rows[1]]

    @cached_property
    def _places(self) -> dict[str, tuple[Reported, int]]:
        return {str(n): (q, i) for q in self.reported for i, n in enumerate(np.ravel(q.names))}

    def __getitem__(self, name: str) -> np.ndarray:
        """Draws of one variable by its flat name, ``(chains, draws)``."""
        if name in self.extra:
            return self.extra[name]
        if name in EXTRA and name in self.arrays:
            return self.arrays[name]
        if name not in self._places:
            raise BrimError(f"the fit has no variable '{name}'", hint=suggest(name, self.variables, "variables"))
        q, i = self._places[name]
        a = self.array(q)
        return a.reshape(*a.shape[:2], -1)[:, :, i]

    def expand(self, variable: str | Iterable[str], regex: bool = False) -> tuple[str, ...]:
        """Flat names of variables: each by its own, by what stands before its index (``simo_moincome1``), or by a beginning (``b_*``).

        ``regex``: names are regular expressions, found anywhere in a name.
        """
        out: list[str] = []
        for name in (variable,) if isinstance(variable, str) else variable:
            found = self._matching(name, regex)
            if not found:
                raise BrimError(f"the fit has no variable '{name}'", hint=suggest(str(name).rstrip("*"), self.variables, "variables"))
            out += [v for v in found if v not in out]
        return tuple(out)

    def _matching(self, name: str, regex: bool) -> list[str]:
        if regex:
            try:
                return [v for v in self.variables if re.search(name, v)]
            except re.error as error:
                raise BrimError(f"variable = {name!r} is no regular expression: {error}", hint="'^b_' matches all that begin so") from None
        if name in self.variables:
            return [name]
        return [v for v in self.variables if v.startswith(name[:-1] if name.endswith("*") else f"{name}[")]

    def matrix(self, names: tuple[str, ...] | None = None) -> np.ndarray:
        """``(chains, draws, variables)`` of the named variables (all by default)."""
        if names is None or names == self.variables:
            columns = self._columns()
        elif not names:
            return np.zeros((self.chains, self.draws, 0))
        else:
            columns = np.empty((len(names), self.chains, self.draws))
            for i, name in enumerate(names):
                columns[i] = self[name]
        return np.moveaxis(columns, 0, -1)

    def _columns(self) -> np.ndarray:
        """All variables, ``(variables, chains, draws)``: array by array, the only copy of the draws."""
        out = np.empty((len(self.variables), self.chains, self.draws))
        at = 0
        for q in self.reported:
            values = self.array(q)
            size = q.names.size
            out[at : at + size] = np.moveaxis(values.reshape(*values.shape[:2], size), -1, 0)
            at += size
        for name in (*self.extra, *(e for e in EXTRA if e in self.arrays)):
            out[at] = self[name]
            at += 1
        return out

    def frame(self, variable: str | Iterable[str] | None = None, regex: bool = False) -> pd.DataFrame:
        """One row a draw (chains in order), one column a variable, then ``.chain``, ``.iteration``, ``.draw`` from 1."""
        import pandas as pd

        names = self.variables if variable is None else self.expand(variable, regex)
        flat = self.matrix(names).reshape(self.chains * self.draws, len(names))
        out = pd.DataFrame(flat, columns=list(names), copy=False)
        n = np.arange(self.chains * self.draws)
        out[".chain"], out[".iteration"], out[".draw"] = n // self.draws + 1, n % self.draws + 1, n + 1
        return out

    def flat(self, keep: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """``key -> (draws, *shape)`` with chains in order; ``keep`` selects draws."""
        out = {}
        for key, a in self.arrays.items():
            whole = a.reshape(-1, *a.shape[2:])
            out[key] = whole if keep is None else whole[keep]
        return out

    @staticmethod
    def read(
        reported: tuple[Reported, ...], shapes: Mapping[str, tuple[int, ...]], columns: Mapping[str, np.ndarray], chains: int = 1
    ) -> Posterior:
        """Draws from columns under brms' names.

        Raises
        ------
        BrimError
            When a variable of the model is missing.
        """
        n = len(next(iter(columns.values())))
        arrays = {key: np.full((n, *shape), np.nan) for key, shape in shapes.items()}
        for q in reported:
            target = arrays[q.key] if q.rows is None else arrays[q.key][:, q.rows[0] : q.rows[1]]
            for at in np.ndindex(q.names.shape):
                name = str(q.names[at])
                if name not in columns:
                    raise BrimError(f"the draws have no column '{name}'", hint=suggest(name, columns, "columns"))
                target[(slice(None), *at)] = columns[name]
        for name in EXTRA:
            if name in columns:
                arrays[name] = np.asarray(columns[name], float)
        return Posterior(reported, {k: a.reshape(chains, n // chains, *a.shape[1:]) for k, a in arrays.items()})


@dataclass(frozen=True)
class Labelled:
    """Draws by variable with named axes: what ArviZ and the file of a fit hold.

    ``dims`` are those after chain and draw (of variables that have any), ``coords`` the labels of each dim.
    """

    values: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, tuple[str, ...]]


def safe_name(name: str) -> str:
    """A name that trees of data sets and netCDF take: in them ``/`` opens a group."""
    return name.replace("/", "\u2215")


def labelled(posterior: Posterior) -> Labelled:
    """The draws with named axes.

    A dim that is called as a variable or as the axes of all draws (a grouping factor ``b`` or ``chain``) gets the suffix ``_dim``;
    one whose name stands for other labels already (a grouping factor ``coef``) an underscore.
    """
    single = {name: posterior[name] for name in (*posterior.extra, *(e for e in EXTRA if e in posterior.arrays))}
    taken = {*single, *(q.label for q in posterior.reported), *AXES}
    coords: dict[str, tuple[str, ...]] = {}

    def dim(name: str, labels: tuple[str, ...] | None) -> str:
        found = safe_name(f"{name}_dim" if name in taken else name)
        while labels is not None and coords.setdefault(found, labels) != labels:
            found += "_"
        return found

    dims = {safe_name(q.label): tuple(dim(d, _labels_of(q, d)) for d in q.dims) for q in posterior.reported}
    values = {safe_name(name): a for name, a in [*((q.label, posterior.array(q)) for q in posterior.reported), *single.items()]}
    return Labelled(values, dims, coords)


def _labels_of(q: Reported, dim: str) -> tuple[str, ...] | None:
    return tuple(q.coords[dim]) if dim in q.coords else None


def observed(model: Model, frame: Frame) -> dict[str, np.ndarray]:
    """The responses of these rows by name."""
    return {r.name: model.design(frame, only=r.name)[r.data_key]["y"] for r in model.responses}


def dataset(posterior: Posterior, stats: Mapping[str, np.ndarray], responses: Mapping[str, np.ndarray]) -> Any:
    """The ArviZ ``DataTree``: ``posterior`` with named dims and coords, ``sample_stats``, ``observed_data``."""
    from arviz_base import from_dict

    draws = labelled(posterior)
    groups: dict[str, Mapping[str, np.ndarray]] = {"posterior": draws.values}
    if stats:
        groups["sample_stats"] = stats
    groups["observed_data"] = responses
    dims = {name: list(d) for name, d in draws.dims.items()}
    return from_dict(groups, dims=dims, coords={name: list(labels) for name, labels in draws.coords.items()})
