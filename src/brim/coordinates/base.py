"""Coordinates that a model is sampled in, and the way back to its own; the posterior is the same in all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias, final

import jax
import numpy as np
from jax import lax

from brim.compile.compiled import Compiled, compiled
from brim.compile.placed import Placed
from brim.compile.session import float64
from brim.coordinates.adapted.expansion import Rows, rows_of
from brim.coordinates.adapted.law import Working, with_more_rows
from brim.coordinates.adapted.nested import nested_laplace, nested_mode
from brim.coordinates.adapted.search import adapted
from brim.coordinates.adapted.sums import no_working
from brim.coordinates.integrated.density import Integral, integral_of
from brim.coordinates.measured import Around, values_of
from brim.coordinates.mode import complete_mode
from brim.coordinates.nested.run import nested_draws
from brim.coordinates.plan import Plan, log_density_function
from brim.coordinates.whitened import Map
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.infer.approximate.laplace import best_start, laplace_start
from brim.infer.engines import engine
from brim.infer.info import Info
from brim.infer.nuts.checkpoint import Checkpoint
from brim.infer.nuts.control import Control
from brim.infer.nuts.program import precompile
from brim.infer.nuts.sampling import fresh_seed, sample
from brim.infer.nuts.stopping import StopWhen
from brim.infer.nuts.warmup import Start
from brim.infer.target import Draws, Target, UnsuitedError
from brim.model.model import Model, log_jacobian_function
from brim.terms.latent import AbstractLatent

__all__ = ["Block", "Coordinates", "Elsewhere", "Learned", "ends", "model_target", "sample_in"]

_NESTED: dict[str, Callable[..., tuple[Working, Draws]]] = {"map": nested_mode, "laplace": nested_laplace}
_NUMBERS = 2**19  # of completed draws held at once: some MB
_MOST = 1000  # draws completed at once
_FEW = 250  # draws that tell variances
_IMPORTANCE = 50  # dimensions that importance samples are drawn in


@final
@dataclass(frozen=True)
class Block:
    """Some draws in all coordinates of the model.

    Attributes
    ----------
    rows
        Which draws, chains in order.
    q
        The draws ``(size, dim)``: as many in each block, the last one repeated behind the end.
    gain
        What the log density of each gains: the sum is the log joint density of all parameters.
    seconds
        What completing them took.
    """

    rows: slice
    q: np.ndarray
    gain: np.ndarray
    seconds: float

    @property
    def kept(self) -> int:
        """How many draws it has without the repeated ones."""
        return int(self.rows.stop - self.rows.start)


class Learned(NamedTuple):
    """What coordinates take from the data: all that the density reads besides the model's own, and where chains start if not as usual."""

    data: dict[str, Any]
    init: Callable[[np.random.Generator], np.ndarray] | None


#: Draws by the chains in other places: ``(coordinates, start, chains, other arguments of sample) -> draws``.
Elsewhere: TypeAlias = "Callable[[Coordinates, Start | None, int, dict[str, Any]], Draws]"


@final
@dataclass(frozen=True)
class Coordinates:
    """What an engine samples of a model, and the way from its draws to draws of all coordinates of the model.

    Attributes
    ----------
    plan
        What is done with each latent vector.
    frame
        The training rows.
    target
        What an engine samples.
    data
        What the report of the whole model takes besides the draws.
    integral
        What is integrated out, with its data.
    rows
        What expanding the likelihood takes.
    starts
        Points that chains may start from, of which the one with the highest summit nearby is taken for all; if there are none, they start
        at random.
    """

    plan: Plan
    frame: Frame
    target: Target
    data: Any
    integral: Integral | None = None
    rows: Rows | None = None
    starts: tuple[np.ndarray, ...] = ()

    @staticmethod
    def of(plan: Plan, frame: Frame, spread: float = 1.0, maps: tuple[Map, ...] = ()) -> Coordinates:
        """The coordinates of a plan; chains start within ``spread`` of the parameters' centres. ``maps``: those of ``plan.whitened``."""
        integral = None if plan.integrated is None else integral_of(plan.integrated, frame)
        if (
            frame.whole is not None
            and not plan.model.prior_only
            and (integral is None or integral.which.likelihood != "sums" or plan.moves)
        ):
            raise _needs_rows(plan, frame)
        if integral is not None and integral.effects is not None:
            from brim.coordinates.crossed.settle import settled  # what other models do without

            integral = settled(integral, _target(plan, integral.data, spread))
        rows = None if plan.adapted is None else rows_of(plan.adapted, frame)
        inner = plan.model.data(frame) if integral is None else integral.data
        data = inner if not plan.moves else {**_moving_data(plan, frame, inner, integral, rows), "whitened": maps}
        return Coordinates(plan, frame, _target(plan, data, spread), inner if integral is None else integral.inputs, integral, rows)

    @property
    def dim(self) -> int:
        """Number of coordinates of the model."""
        return self.plan.model.layout.dim

    # ------------------------------------------------------------------ what suits the target

    @property
    def note(self) -> str:
        """One line on what is sampled, for the summary's footer."""
        surface = "" if self.integral is None or self.integral.effects is None else self.integral.effects.note
        plan = ", ".join(part for part in (str(self.plan), surface, self._rows) if part)
        return f"{plan} ({self._counted} dimensions sampled)" if plan else f"{self._counted} dimensions sampled"

    @property
    def _rows(self) -> str:
        """What stands for the rows, where it is not they."""
        return f"{self.frame.total:,} rows as {self.frame.reduction}" if self.frame.reduced else ""

    @property
    def _counted(self) -> str:
        return str(self.dim) if self.dim == self.target.dim else f"{self.target.dim} of {self.dim}"

    @property
    def regular(self) -> bool:
        """Whether what is left are population effects and hyperparameters alone, whose posterior is near a normal one as a rule."""
        return self.integral is not None and self.plan.regular

    @property
    def advised(self) -> dict[str, Any]:
        """Settings of the sampler that suit the target, where the user gives none."""
        plan = self.plan
        if plan.adapted is not None:
            # trees are short: a little more caution costs nothing, and chains leave standard deviations near 0 again;
            # of nonlinear predictors the working model tells only the slopes
            return {"metric": "split", "adapt_delta": 0.95 if plan.adapted.nonlinear or self._ridge(plan.adapted.latents) else 0.9}
        if plan.integrated is None or plan.moves:
            return {}
        return ({"metric": "dense"} if self.regular else {}) | ({"adapt_delta": 0.95} if self._ridge(plan.integrated.curves) else {})

    def _ridge(self, vectors: Iterable[AbstractLatent]) -> bool:
        """Whether there are length scales, which trade off against standard deviations along a curved ridge."""
        scales = {name for v in vectors for name in v.scales}
        return any(slot.class_ == "lscale" for p in self.plan.inner.params if p.name in scales for slot in p.slots)

    @property
    def adaptation(self) -> int:
        """Warm-up iterations that chains from ``approach`` need at most: where they are cheap, enough to learn a better metric."""
        if self.plan.adapted is not None:
            return 300
        return 400 if self.plan.integrated is not None and self.plan.integrated.likelihood == "sums" else 150

    def approach(self, control: Control, chains: int, seed: int) -> tuple[Coordinates, Start | None]:
        """The coordinates adapted to the data, and first points and metric of the chains; ``None``: the usual warm-up is the way."""
        if self.starts:
            init = best_start(self.target, self.starts, control, seed)
            return (self if init is None else replace(self, target=replace(self.target, init=init, center=None))), None
        if self.rows is None:
            return self, laplace_start(self.target, control, chains, seed) if self.regular else None
        working, start = adapted(self.plan, self.rows, self.target, control, chains, seed)
        return self if working is None else self.with_working(working), start

    def with_working(self, working: Working) -> Coordinates:
        """The same with the likelihood expanded elsewhere."""
        return replace(self, target=replace(self.target, data={**self.target.data, "working": working}))

    @property
    def learned(self) -> Learned:
        """What ``approach`` found from the data, as plain arrays: with it the same model has the same coordinates in another process."""
        data = self.target.data if self.plan.moves else {}
        own = {name: jax.tree.map(np.asarray, value) for name, value in data.items() if name != "inner"}
        return Learned(own, self.target.init if self.target.center is None else None)

    def with_learned(self, learned: Learned) -> Coordinates:
        """The coordinates that ``approach`` made elsewhere."""
        data = {**self.target.data, **learned.data} if self.plan.moves else self.target.data
        out = replace(self, target=replace(self.target, data=data))
        return out if learned.init is None else replace(out, target=replace(out.target, init=learned.init, center=None))

    def on(self, wide: Coordinates) -> Target:
        """What is sampled, in these coordinates, with the rows of others that are of the same model: some of weight 0 behind its own."""
        data, more = wide.target.data, wide.frame.n - self.frame.n
        if (self.plan.adapted is None) != (wide.plan.adapted is None) or self.plan.whitened != wide.plan.whitened:
            hint = "give a number of devices that divides the rows, or control={'adapted_effects': False}"
            raise BrimError("devices: with rows of weight 0 behind its own the model has other coordinates", hint=hint)
        if self.plan.adapted is not None:
            data = {**data, "working": with_more_rows(self.target.data["working"], more)}
        if self.plan.whitened is not None:
            data = {**data, "whitened": self.target.data["whitened"]}
        return replace(self.target, data=data, log_prob=wide.target.log_prob)

    def run(self, algorithm: str, *, start: Start | None, **arguments: Any) -> tuple[Coordinates, Draws]:
        """What an algorithm other than ``sample_in`` gives: the coordinates it worked in, and draws in them.

        Raises
        ------
        UnsuitedError
            By ``"nested_laplace"`` where too much is left to sample.
        """
        if algorithm == "nested_laplace":
            self._check_few()
        if self.rows is not None and algorithm == "nested_laplace":
            found = nested_draws(self.plan, self.rows, self.frame, self.target, **arguments)
            return Coordinates.of(Plan(self.plan.model), self.frame), found
        if self.rows is not None and algorithm in _NESTED:
            working, draws = _NESTED[algorithm](self.plan, self.rows, self.target, **arguments)
            return self.with_working(working), draws
        draws = engine(algorithm)(self.target, start=start, **arguments)
        if algorithm != "map" or self.plan.integrated is None:
            return self, draws
        own = Coordinates.of(Plan(self.plan.model), self.frame)
        return own, complete_mode(own.target, self.complete(draws), self.plan.model.layout, self.plan.inner.layout)

    def _check_few(self) -> None:
        """Importance is for few parameters."""
        left = self.plan.head if self.rows is not None else self.target.dim
        if left <= _IMPORTANCE:
            return
        vectors = "; ".join(str(t) for t in self.plan.treatments if t.how == "sampled")
        raise UnsuitedError(
            f"algorithm='nested_laplace' samples {_IMPORTANCE} parameters at most, these are {left}" + (f" ({vectors})" if vectors else ""),
            hint="use algorithm='sampling'",
        )

    # ------------------------------------------------------------------ the way back

    def size(self, draws: int) -> int:
        """How many of that number of draws in all are completed at once."""
        return min(draws, _MOST, max(1, _NUMBERS // self.dim))

    def prepare(self, size: int) -> None:
        """Start compiling what ``whole`` runs on this number of draws at once."""
        if self.plan.moves:
            self._program(size)
        if self.integral is not None and self.integral.which.shapes:
            self.integral.program(size)

    def _program(self, size: int) -> Future[Compiled]:
        args = (np.empty((size, self.target.dim)), self.target.data)
        return compiled(("way back", self.plan), lambda: _way_back(self.plan), args, lambda found: found, short=True)

    def inner(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draws in coordinates that do not follow the data, and ``log |dz / de|`` of each."""
        if not self.plan.moves:
            return q, np.zeros(len(q))
        with float64():
            own, log_scale = self._program(len(q)).result().run(q, self.target.data)
        return np.asarray(own), np.asarray(log_scale)

    def whole(self, q: np.ndarray, numbers: np.ndarray, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
        """Draws ``q`` of the target, with their flat ``numbers`` in ``draws``, in all coordinates of the model, and each ``Block.gain``.

        What is integrated out is drawn given the rest: with the marginal density its log density makes the joint one, brms' ``lp__``.
        """
        own, log_scale = self.inner(q)
        if self.integral is None:
            return own, -log_scale
        whole, gain = self.integral.drawn(own, numbers, draws)
        return whole, gain - log_scale

    def blocks(self, draws: Draws) -> Iterator[Block]:
        """All draws in all coordinates of the model, which are never in memory together."""
        flat = draws.q.reshape(-1, draws.q.shape[-1])
        size = self.size(len(flat))
        for at in range(0, len(flat), size):
            clock = time.perf_counter()
            numbers = np.minimum(np.arange(at, at + size), len(flat) - 1)
            q, gain = self.whole(flat[numbers], numbers, draws)
            yield Block(slice(at, min(at + size, len(flat))), q, gain, time.perf_counter() - clock)

    def complete(self, draws: Draws) -> Draws:
        """All draws in all coordinates of the model; ``stats["lp"]`` becomes their log joint density, as brms' ``lp__``."""
        shape = draws.q.shape[:2]
        blocks = [(b.q[: b.kept], b.gain[: b.kept]) for b in self.blocks(draws)]
        q, gain = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return replace(draws, q=q.reshape(*shape, -1), stats={**draws.stats, "lp": draws.stats["lp"] + gain.reshape(shape)})

    def told(self, draws: Draws) -> Info:
        """What a fit keeps of ``draws.info``: where another may start, in coordinates that do not depend on these data.

        Population coefficients are among them: whether they are integrated out depends on the data, too.
        """
        drawn = self.plan.integrated is not None and bool(self.plan.integrated.coefficients)
        if not (self.plan.moves or drawn):
            return draws.info
        size = self.size(draws.q.shape[0] * draws.q.shape[1])
        move = (lambda q, numbers: self.whole(q, numbers, draws)[0]) if drawn else (lambda q, _: self.inner(q)[0])
        return {**draws.info, **ends(draws, size, move)}


def _needs_rows(plan: Plan, frame: Frame) -> BrimError:
    """The density of a model is not a function of sums, and the rows are not in memory."""
    why = f" ({plan.integrated.information})" if plan.integrated is not None else ""
    return BrimError(
        f"the density of this model needs each of {frame.total:,} rows{why}, which are not in memory",
        hint="sums are enough for gaussian models with one sigma, sampled, whose terms are linear and whose groups lie within each other "
        "or, crossed, are few; "
        "for others take some of the rows, round or cut predictors so that few rows are distinct, or read all: "
        "brim.limits.set_limits(values=...)",
    )


def _target(plan: Plan, data: Any, spread: float) -> Target:
    """The density of what is sampled; ``e`` are on the whole line, so that they do not count in the Jacobian of the parameters."""
    center, layout, jacobian = plan.center(), plan.inner.layout, log_jacobian_function(plan.first)

    def init(rng: np.random.Generator) -> np.ndarray:
        return center + rng.uniform(-spread, spread, len(center))

    def constrain(q: Any, data: Any) -> dict[str, Any]:
        own, inner = (plan.own(q, data)[0], data["inner"]) if plan.moves else (q, data)
        return layout.constrain(own, inner["fixed"])[0]

    return Target(
        plan.dim,
        log_density_function(plan),
        data,
        init,
        constrain,
        head=plan.head,
        log_jacobian=(lambda q, d: jacobian(q[: plan.first.dim], d["inner"])) if plan.moves else jacobian,
        nonlinear=plan.first.nonlinear(),
        center=center,
    )


def _moving_data(plan: Plan, frame: Frame, inner: Any, integral: Integral | None, rows: Rows | None) -> dict[str, Any]:
    """What the density takes where coordinates follow the data."""
    data = {"inner": inner}
    if plan.measured is not None:
        around = _around(plan, inner, integral, rows)
        data["measured"] = {"values": values_of(plan.measured, frame, inner["design"]), "around": around}
    if plan.adapted is not None and rows is not None:
        data["working"] = no_working(plan.adapted, rows)
    return data


def _around(plan: Plan, inner: Any, integral: Integral | None, rows: Rows | None) -> tuple[Around, ...]:
    """What is known of the parts of other vectors in the means of responses, in the order of ``around_of``."""
    out: list[Around] = []
    if integral is not None:
        out += [Around(i, design) for i, design in integral.incidences(inner["design"])]
    if plan.adapted is not None and rows is not None:
        t = plan.adapted
        for v, seats, incidences in zip(t.latents, t.seats, rows.seats, strict=True):
            own_design = {"by": np.zeros(v.shape[1], np.int32), **inner["design"][v.key]}
            out += [Around(i, own_design) for s, i in zip(seats, incidences, strict=True) if t.at(s).name == "mu"]
    return tuple(out)


def _way_back(plan: Plan) -> Any:
    """``(q (draws, dim), data) ->`` coordinates of ``plan.inner`` and ``log |dz / de|`` of each draw."""

    def run(q: Any, data: Any) -> Any:
        return lax.map(lambda one: plan.own(one, data), q)

    return run


def ends(draws: Draws, size: int, move: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Info:
    """Where another fit may start, in other coordinates: each chain's last draw there, and variances of draws spread over all.

    ``move: (draws (size, dim), their flat numbers) -> (size, dim)``.
    """
    chains, n, _ = draws.q.shape
    flat = draws.q.reshape(chains * n, -1)
    spread = np.linspace(0, len(flat) - 1, -(-max(_FEW, 2 * chains) // size) * size).astype(int)
    spread[:chains] = n * np.arange(1, chains + 1) - 1  # the last draws
    moved = np.concatenate([move(flat[part], part) for part in spread.reshape(-1, size)])
    return {"last_q": moved[:chains], "covariance": moved.var(0)}


def model_target(model: Model, frame: Frame, spread: float = 1.0) -> Target:
    """The log density of a model on its own unconstrained coordinates, as engines take it."""
    return Coordinates.of(Plan(model), frame, spread).target


def _measured(coordinates: Coordinates, measure: Callable[[Coordinates, Draws], np.ndarray], seed: int, q: np.ndarray) -> np.ndarray:
    """What is looked at of draws ``q`` of chains that still run."""
    return measure(coordinates, Draws(q, {"lp": np.zeros(q.shape[:2])}, {"seed": seed}))


def sample_in(
    coordinates: Coordinates,
    *,
    chains: int,
    warmup: int,
    draws: int,
    thin: int,
    cores: int | None,
    seed: int | None,
    control: Control,
    progress: bool,
    near: bool,
    stop: StopWhen | None = None,
    measure: Callable[[Coordinates, Draws], np.ndarray] | None = None,
    checkpoint: Checkpoint | None = None,
    elsewhere: Elsewhere | None = None,
    placed: Placed | None = None,
    wide: Coordinates | None = None,
    points: np.ndarray | None = None,
) -> tuple[Coordinates, Draws]:
    """``sample`` with chains that start from an approximation of the posterior where there is one (and ``near``), with its metric.

    Then at most ``adaptation`` iterations of warm-up are made: see ``FromStart`` for what is learned in them. ``elsewhere`` runs the chains
    in other places; ``placed``: devices that they run on as one program,
    with the rows of ``wide``. ``points`` are first points of the chains, (chains, dim).

    Returns
    -------
    The coordinates that were sampled, and draws in them; ``info`` has ``start`` (``"laplace"`` or ``"random"``) and ``start_seconds``
    besides what ``sample`` gives; ``warmup`` there is the number of iterations made.
    """
    seed = fresh_seed() if seed is None else int(seed)
    clock = time.perf_counter()
    compiling = precompile(coordinates.target, control)
    reused = compiling.done()
    start = None if points is None else Start(points, None)
    if near and warmup:
        coordinates, start = coordinates.approach(control, chains, seed)
    program = compiling.result()
    seconds = time.perf_counter() - clock
    made = warmup if start is None or points is not None else min(warmup, coordinates.adaptation)
    plan: dict[str, Any] = {"warmup": made, "draws": draws, "thin": thin, "seed": seed, "control": control}
    if elsewhere is not None:
        out = elsewhere(coordinates, start, chains, plan)
    else:
        measured = None if measure is None else partial(_measured, coordinates, measure, seed)
        run: dict[str, Any] = {
            "cores": cores,
            "progress": progress,
            "stop": stop,
            "measure": measured,
            "checkpoint": checkpoint,
            "placed": placed,
        }
        target = coordinates.target if wide is None else coordinates.on(wide)
        out = sample(target, chains=chains, start=start, **plan, **run)
    compiled = 0.0 if reused else program.seconds
    found: Info = {
        "start": "random" if start is None else "laplace" if points is None else "given",
        "start_seconds": float(np.maximum(seconds - compiled, 0.0)),
        "compile_seconds": compiled,
    }
    return coordinates, replace(out, info={**out.info, **found})
