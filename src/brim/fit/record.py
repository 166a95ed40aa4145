"""A fit as a value: what was asked for, the learned model and its rows, the draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import numpy as np

from brim.arguments import flag, one_of, whole
from brim.arguments import seed as checked_seed
from brim.coordinates.integrated.which import check_marginalize
from brim.design.splines.knots import read_knots
from brim.errors import BrimError
from brim.fit.draws import Posterior
from brim.frames.frame import Frame
from brim.infer.engines import check_algorithm
from brim.infer.info import Info
from brim.infer.nuts.control import Control
from brim.language.brms import Formula, MvFormula
from brim.model.build import build, read_data2
from brim.model.model import Model
from brim.parameters.prior import Priors

__all__ = ["FitRecord", "Request", "Settings"]

SAMPLE_PRIOR = ("no", "yes", "only")
KEEP = ("all", "parameters")


@dataclass(frozen=True)
class Settings:
    """How a model is to be sampled: the arguments of ``brm`` besides formula, data and priors that a refit needs.

    A new argument of this kind is a field here and a name in the signature of ``brm``; ``update``, ``save`` and ``load`` follow.
    """

    chains: int = 4
    iter: int = 2000
    warmup: int = 1000
    thin: int = 1
    seed: int | None = None
    algorithm: str = "sampling"
    sample_prior: str = "no"
    control: Mapping[str, Any] = field(default_factory=dict)
    marginalize: bool | str = "auto"
    drop_unused_levels: bool = True
    knots: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)
    keep: str | tuple[str, ...] = "all"

    @staticmethod
    def read(
        *,
        chains: int,
        iter: int,
        warmup: int | None,
        thin: int,
        seed: int | None,
        algorithm: str,
        sample_prior: str | bool,
        control: Mapping[str, Any] | None,
        marginalize: bool | str,
        drop_unused_levels: bool = True,
        knots: Mapping[str, Any] | None = None,
        keep: str | Iterable[str] = "all",
    ) -> Settings:
        """From what the user gave, checked; ``warmup=None`` is half of ``iter``."""
        iter = whole("iter", iter, least=1)
        counts = {"chains": whole("chains", chains, least=1), "iter": iter, "thin": whole("thin", thin, least=1)}
        warmup = counts["warmup"] = iter // 2 if warmup is None else whole("warmup", warmup, least=0)
        if warmup >= iter:
            raise BrimError(
                f"warmup = {warmup} leaves none of iter = {iter} iterations", hint="iter counts the warm-up: give iter > warmup"
            )
        if isinstance(sample_prior, bool):  # R's TRUE and FALSE
            sample_prior = "yes" if sample_prior else "no"
        one_of("sample_prior", sample_prior, SAMPLE_PRIOR)
        Control.read(control)
        check_algorithm(algorithm)
        wish, number = check_marginalize(marginalize), checked_seed(seed)
        return Settings(
            **counts,
            seed=number,
            algorithm=algorithm,
            sample_prior=sample_prior,
            control=dict(control or {}),
            marginalize=wish,
            drop_unused_levels=flag("drop_unused_levels", drop_unused_levels),
            knots=read_knots(knots),
            keep=_kept(keep),
        )

    @property
    def draws(self) -> int:
        """Draws a chain that are kept."""
        return -(-(self.iter - self.warmup) // self.thin)


def _kept(keep: Any) -> str | tuple[str, ...]:
    """The argument of ``brm``: one of ``KEEP``, or names."""
    if isinstance(keep, str) and keep in KEEP:
        return keep
    if isinstance(keep, str) or not isinstance(keep, Iterable) or not all(isinstance(name, str) for name in keep):
        raise BrimError(f"keep = {keep!r}", hint="use 'all', 'parameters', or a list of what is kept besides: ['r_g']")
    return tuple(keep)


@dataclass(frozen=True)
class Request:
    """What ``brm`` was asked for, besides the data: what a refit, ``update`` and a saved fit need.

    Attributes
    ----------
    formula, family
        As given.
    priors
        The user's priors.
    data2
        Matrices that terms refer to.
    settings
        How sampling was asked for.
    data_name
        What the summary calls the data.
    """

    formula: Formula | MvFormula
    family: Any
    priors: Priors
    data2: Mapping[str, Any] = field(repr=False)
    settings: Settings
    data_name: str = "data"

    def built(self, frame: Frame) -> tuple[Model, Frame]:
        """The model of these data, learned, and the rows it was learned on."""
        return build(
            self.formula,
            frame.with_levels(not self.settings.drop_unused_levels),
            self.family,
            self.priors,
            read_data2(self.data2),
            self.settings.knots,
        )

    def arguments(self) -> dict[str, Any]:
        """The same as arguments of ``brm``, without formula and data."""
        own = {"family": self.family, "prior": self.priors, "data2": self.data2, "data_name": self.data_name}
        return {**own, **asdict(self.settings)}


@dataclass(frozen=True)
class FitRecord:
    """A model with its draws, as everything in ``post`` takes it.

    Attributes
    ----------
    request
        What ``brm`` was asked for.
    model
        The learned model.
    frame
        The rows it was learned on.
    posterior
        The draws; ``None`` for ``empty=True``.
    stats
        Sampler statistics, each ``(chains, draws)``.
    info
        What the engine tells: times, steps, seed, engine.
    criteria
        What ``add_criterion`` computed: ``loo``, ``waic``, ``kfold``.
    """

    request: Request
    model: Model = field(repr=False)
    frame: Frame = field(repr=False)
    posterior: Posterior | None = field(default=None, repr=False)
    stats: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    info: Info = field(default_factory=Info, repr=False)
    criteria: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """For ``pickle``: the model is built anew from what it was built from, as when a file is loaded; its functions have no names."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("model", "posterior")}
        drawn = None if self.posterior is None else (dict(self.posterior.arrays), dict(self.posterior.extra))
        return _rebuilt, (type(self), kept, self.model.prior_only, drawn)

    @property
    def formula(self) -> Formula | MvFormula:
        """The formula, as ``bf()`` makes it."""
        return self.request.formula

    @property
    def family(self) -> Any:
        """The family, as given."""
        return self.request.family

    @property
    def priors(self) -> Priors:
        """The user's priors."""
        return self.request.priors

    @property
    def data2(self) -> Mapping[str, Any]:
        """Matrices that terms refer to."""
        return self.request.data2

    @property
    def settings(self) -> Settings:
        """How sampling was asked for."""
        return self.request.settings

    @property
    def data_name(self) -> str:
        """What the summary calls the data."""
        return self.request.data_name

    @property
    def draws(self) -> Posterior:
        """The posterior draws, or an error when there are none."""
        if self.posterior is None:
            raise BrimError(
                "the model has no draws",
                hint="it was built with empty=True: sample it with fit.update(empty=False), or put draws in with with_draws(df)",
            )
        return self.posterior

    @property
    def engine(self) -> str:
        """One line on what drew the sample."""
        return str(self.info.get("engine", "none"))

    @property
    def algorithm(self) -> str:
        """What drew the sample: that which was asked for, or what ``"auto"`` came to."""
        return str(self.info.get("algorithm", self.settings.algorithm))

    def variables(self) -> list[str]:
        """Names of all variables as brms names them, ``lprior`` and ``lp__`` last.

        Examples
        --------
        >>> import brim
        >>> fit = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit.variables()
        ['b_Intercept', 'b_Days', 'sigma', 'lprior', 'lp__']
        """
        if self.posterior is not None:
            return list(self.posterior.variables)
        return [*(str(n) for q in self.model.reported() for n in np.ravel(q.names)), "lprior", "lp__"]

    def nobs(self, resp: str | None = None) -> int:
        """Number of observations the model was fitted to.

        Examples
        --------
        >>> import brim
        >>> brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True).nobs()
        180
        """
        response = self.model.responses[0] if resp is None else self.model.response(resp)
        return response.response.kept(self.frame).total

    def ngrps(self) -> dict[str, int]:
        """Number of levels of each grouping factor.

        Examples
        --------
        >>> import brim
        >>> brim.brm("Reaction ~ Days + (1 | Subject)", data=brim.load_data("sleepstudy"), empty=True).ngrps()
        {'Subject': 18}
        """
        return {b.grouping.label: len(b.grouping.levels) for b in self.model.blocks}

    def with_draws(self, draws: Any, chains: int = 1) -> Self:
        """The same model with draws from a data frame (any library's, or a dict) whose columns have brms' names, such as exported from R.

        Parameters
        ----------
        draws
            One row a draw; columns ``.chain``, ``.iteration``, ``.draw`` are ignored.
        chains
            How many chains the rows hold, one after the other.

        Raises
        ------
        BrimError
            When a variable of the model has no column or one without numbers, or the rows do not divide into chains.

        Examples
        --------
        >>> import brim
        >>> import pandas as pd
        >>> empty = brim.brm("Reaction ~ Days", data=brim.load_data("sleepstudy"), empty=True)
        >>> fit = empty.with_draws(pd.DataFrame({"b_Intercept": [250.0, 252.0], "b_Days": [10.0, 11.0], "sigma": [50.0, 48.0]}))
        >>> fit.posterior_epred({"Days": [2]})
        array([[270.],
               [274.]])
        """
        columns = draw_columns(draws)
        n, chains = len(next(iter(columns.values()), ())), whole("chains", chains, least=1)
        if n == 0 or n % chains:
            raise BrimError(f"{n} draws do not divide into {chains} chains")
        shapes = self._shapes()
        posterior = Posterior.read(self.model.reported(), shapes, columns, chains)
        return replace(self, posterior=posterior, stats={}, info={"engine": "draws given by the user"}, criteria={})

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each reported array."""
        shapes: dict[str, tuple[int, ...]] = {}
        for q in self.model.reported():
            shape = q.names.shape
            if q.rows is not None:
                shape = (max(q.rows[1], shapes.get(q.key, (0,))[0]), *shape[1:])
            shapes[q.key] = shape
        return shapes


def draw_columns(draws: Any) -> dict[str, np.ndarray]:
    """The columns of a table of draws as numbers; what ``posterior`` puts beside draws (``.chain``, ``.draw``) is left out."""
    import pandas as pd

    table: Any = draws if isinstance(draws, pd.DataFrame) else Frame.read(draws)
    columns = {}
    for name in draws.columns if isinstance(draws, pd.DataFrame) else table.names:
        if not str(name).startswith("."):
            try:
                columns[str(name)] = np.asarray(table[name], float)
            except (TypeError, ValueError):
                raise BrimError(f"column '{name}' of the draws is not numeric") from None
    return columns


def _rebuilt(
    cls: type[FitRecord], kept: dict[str, Any], prior_only: bool, drawn: tuple[dict[str, Any], dict[str, Any]] | None
) -> FitRecord:
    """A record from what ``pickle`` keeps of it."""
    asked: Request = kept["request"]
    model, frame = asked.built(kept["frame"])
    model = replace(model, prior_only=prior_only)
    posterior = None if drawn is None else Posterior(model.reported(), *drawn)
    return cls(**{**kept, "frame": frame, "model": model, "posterior": posterior})
