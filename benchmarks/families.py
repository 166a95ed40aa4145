"""``python -m benchmarks.families [names]``: what the log likelihood of each family costs, and what its gradient does.

Both run as in a sampler: inside a compiled loop, the data as arguments, so that what no parameter enters is computed once.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import brim
from benchmarks import machine
from brim.compile.xla import options
from brim.distributions import observe
from brim.families import Seen, family
from brim.families.base import Dpar, Family
from brim.families.links import LINKS
from brim.families.registry import CONSTRUCTORS

__all__ = ["Case", "Cost", "case", "main", "markdown", "measure"]

Array = Any
Params = dict[str, Array]
Data = Mapping[str, Array]

#: What is measured without names: every family, links whose tails cost, and what is seen only in part.
NAMES = (
    *(name if name != "inverse_gaussian" else "inverse_gaussian:log" for name in CONSTRUCTORS),
    *(f"{name}:{link}" for name in ("bernoulli", "binomial", "cumulative", "sratio", "acat") for link in ("probit", "cloglog")),
    *(f"{name}+cens" for name in ("gaussian", "lognormal", "weibull", "gamma")),
    *(f"{name}+trunc" for name in ("gaussian", "poisson", "negbinomial")),
    "mixture",
)

_SHAPES = {"alpha": 1.5, "beta": 0.7, "bs": 1.5, "kappa": 2.0, "nu": 5.0, "phi": 6.0, "shape": 1.7, "sigma": 0.8, "xi": 0.1}
_SHARES = {"bias": 0.5, "coi": 0.4, "hu": 0.2, "ndt": 0.05, "quantile": 0.3, "zi": 0.2, "zoi": 0.2}
_THRESHOLDS = np.array([-1.5, -0.5, 0.5, 1.5])
#: What single families have besides, or in place of the above.
_OWN: dict[str, Params] = {
    "xbeta": {"kappa": 0.1},
    "logistic_normal": {"lncor": np.array([[1.0, 0.0], [0.6, 0.8]])},
    "cox": {"sbhaz": np.full(5, 0.2)},
}


@dataclass(frozen=True)
class Case:
    """A family with a response that it drew itself.

    Attributes
    ----------
    name
        ``family``, ``family:link``, ``family+cens`` (a fifth of the rows censored on each side) or ``family+trunc`` (above 1).
    family
        The family, bound to its response.
    params
        ``mu`` (or what stands for it) on its link's scale, one value a row; the others as numbers of their own.
    y
        The response.
    data
        What addition terms give.
    """

    name: str
    family: Family
    params: Params
    y: Array
    data: Data

    def log_lik(self, params: Params, y: Array, data: Data) -> Array:
        """The summed log likelihood."""
        return jnp.sum(observe.log_lik(_law(self.family, params, data), y, data))


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one evaluation of the log likelihood, and of it with its gradient."""

    name: str
    value: float
    gradient: float

    @property
    def ratio(self) -> float:
        """The gradient's cost in values."""
        return self.gradient / self.value


def case(name: str, rows: int = 20000, seed: int = 1) -> Case:
    """The case of that name."""
    plain, _, seen = name.partition("+")
    base, _, link = plain.partition(":")
    rng = np.random.default_rng(seed)
    eta = rng.normal(0.0, 0.7, rows)
    one = brim.mixture("gaussian", nmix=2) if base == "mixture" else _bound(family(base, **({"link": link} if link else {})), eta)
    data = {**_data(one, seen, rows, rng), **one.learned}
    params = {key: jnp.asarray(v, float) for key, v in _params(one, eta).items()}
    data = {key: jnp.asarray(v) for key, v in data.items()}
    return Case(name, one, params, _draw(one, params, data, eta), data)


def _bound(plain: Family, eta: Array) -> Family:
    """The family once it has seen three categories, five ordered ones, or (cox) times."""
    if plain.kind == "ordinal":
        return plain.learn(Seen(np.array([1.0, 5.0])))
    if plain.kind in ("simplex", "counts"):
        return plain.learn(Seen(np.full((1, 3), 1.0 / 3.0), ("a", "b", "c")))
    if plain.kind == "category":
        return plain.learn(Seen(np.array([1.0, 2.0, 3.0]), ("a", "b", "c")))
    return plain.learn(Seen(np.exp(eta)))


def _data(one: Family, seen: str, rows: int, rng: np.random.Generator) -> dict[str, Array]:
    out: dict[str, Array] = {}
    if "dec" in one.additions:
        out["dec"] = (rng.random(rows) < 0.5) * 1.0
    if "trials" in one.additions:
        out["trials"] = np.full(rows, 12.0)
    if seen == "cens":
        out["cens"] = rng.choice([-1.0, 0.0, 1.0], rows, p=[0.2, 0.6, 0.2])
    if seen == "trunc":
        out["lb"] = np.ones(rows)
    return out


def _params(one: Family, eta: Array) -> Params:
    """Values of every parameter: those of the first predictor by row, the others as numbers."""
    out: Params = {}
    for spec in one.dpars:
        stem = spec.name.rstrip("0123456789")
        if spec.name in one.mus:
            out[spec.name] = eta if not out else 1.0 - eta
        elif not spec.optional and spec.fixed is None:
            out[spec.name] = (_SHAPES | _SHARES).get(stem, _SHAPES["sigma"])
    if one.kind == "ordinal":
        out["thres"] = _THRESHOLDS
    if one.components:
        out |= {"theta1": 0.4, "theta2": 0.6}
    return out | _OWN.get(one.name, {})


def _law(one: Family, params: Params, data: Data) -> Any:
    """The law: predictors on their links' scales, other parameters as they are."""
    links = {name: one.link(name) if name in one.mus else LINKS["identity"] for name in params}
    return one.distribution({name: Dpar(value, links[name]) for name, value in params.items()}, data)


def _draw(one: Family, params: Params, data: Data, eta: Array) -> Array:
    if one.name == "cox":  # its baseline ends with the data
        return jnp.exp(jnp.asarray(eta))
    window = {name: data[name] for name in ("lb",) if name in data}
    return observe.truncated_sample(jax.random.key(1), _law(one, params, data), window)


def measure(given: Case, repeat: int = 20, steps: int = 20) -> Cost:
    """The least time of ``repeat`` runs of a loop of ``steps`` evaluations, by evaluation."""
    value = _time(_loop(given, lambda *args: (given.log_lik(*args), args[0]), steps), given, repeat)
    gradient = _time(_loop(given, jax.value_and_grad(given.log_lik), steps), given, repeat)
    return Cost(given.name, 1e3 * value / steps, 1e3 * gradient / steps)


def _loop(given: Case, evaluate: Callable[..., Any], steps: int) -> Callable[..., Any]:
    """``steps`` evaluations, each at parameters that the one before it moved a little."""

    def run(params: Params, y: Array, data: Data) -> Array:
        def step(_: int, state: tuple[Params, Array]) -> tuple[Params, Array]:
            at, total = state
            value, moves = evaluate(at, y, data)
            return jax.tree.map(lambda p, m: p + 1e-12 * (m + value), at, moves), total + value

        return jax.lax.fori_loop(0, steps, step, (params, jnp.zeros(())))[1]

    return jax.jit(run, compiler_options=options())


def _time(run: Callable[..., Any], given: Case, repeat: int) -> float:
    """Seconds of the quickest run; one first that compiles. What takes long is repeated less often."""
    args = given.params, given.y, given.data
    jax.block_until_ready(run(*args))
    best, spent = np.inf, 0.0
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(run(*args))
        seconds = time.perf_counter() - start
        best, spent = min(best, seconds), spent + seconds
        if spent > 5.0:
            break
    return float(best)


def markdown(costs: Sequence[Cost], rows: int) -> str:
    """The table."""
    about = machine.describe()
    lines = [
        f"{rows} rows, milliseconds of one evaluation; {about['cpu']}, {about['cores']} cores, load {about['load']}, jax {jax.__version__}",
        "",
        "| family | value | with gradient | ratio |",
        "|---|---|---|---|",
        *(f"| {c.name} | {c.value:.3f} | {c.gradient:.3f} | {c.ratio:.2f} |" for c in costs),
    ]
    return "\n".join(lines) + "\n"


def _costs(names: Sequence[str], rows: int, repeat: int) -> Iterator[Cost]:
    for name in names:
        cost = measure(case(name, rows), repeat)
        print(f"{name:28} {cost.value:9.3f} {cost.gradient:9.3f} {cost.ratio:6.2f}", file=sys.stderr, flush=True)
        yield cost


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the table (to standard error what is known so far)."""
    p = argparse.ArgumentParser("python -m benchmarks.families", description="Time log likelihoods and their gradients.")
    p.add_argument("names", nargs="*", help="family, family:link, family+cens, family+trunc, mixture (all by default)")
    p.add_argument("--rows", type=int, default=20000)
    p.add_argument("--repeat", type=int, default=20, help="the least of so many runs counts (20)")
    given = p.parse_args(arguments)
    with jax.enable_x64(True):
        costs = list(_costs(given.names or NAMES, given.rows, given.repeat))
    print(markdown(costs, given.rows), end="")


if __name__ == "__main__":
    main()
