"""Factorisations and solves of compiled programs: their numbers, their derivatives, and that no call waits for threads."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import brim
from brim.linalg import cholesky, root_of, solve, solve_lower
from on_two_threads import MODELS

ROOT = Path(__file__).parents[2]
SIZES = (1, 3, 20, 60)


def matrices(n, count=5):
    """Matrices, positive definite ones, their factors, right-hand sides."""
    rng = np.random.default_rng(n)
    a = rng.normal(size=(count, n, n)) + 2.0 * n * np.eye(n)
    k = a @ a.swapaxes(1, 2)
    return a, k, np.linalg.cholesky(k), rng.normal(size=(count, n, 2))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("through", [lambda f: f, jax.vmap, lambda f: jax.jit(jax.vmap(f))], ids=["batch", "vmap", "jit"])
def test_numbers(n, through):
    a, k, low, b = matrices(n)
    back = through(lambda x, y: solve_lower(x, y, transposed=True))
    for mine, right in (
        (through(cholesky)(k), low),
        (through(solve)(a, b), np.linalg.solve(a, b)),
        (through(solve_lower)(low, b), np.linalg.solve(low, b)),
        (back(low, b), np.linalg.solve(low.swapaxes(1, 2), b)),
    ):
        np.testing.assert_allclose(mine, right, rtol=1e-9, atol=1e-12)


def test_numbers_of_batches_in_batches_and_of_one_matrix_for_many_sides():
    _, k, low, b = matrices(20)
    twice = np.stack([k, 2 * k, 3 * k])
    np.testing.assert_allclose(jax.vmap(jax.vmap(cholesky))(twice), np.linalg.cholesky(twice), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(solve_lower(low[:1], b), np.linalg.solve(low[:1], b), rtol=1e-12)
    np.testing.assert_allclose(solve(k[0], b), np.linalg.solve(k[:1], b), rtol=1e-9)
    np.testing.assert_allclose(jax.vmap(solve_lower, in_axes=(None, 0))(low[0], b), np.linalg.solve(low[:1], b), rtol=1e-12)


def test_derivatives():
    a, k, low, b = matrices(6, 2)
    for f in (solve, lambda x, y: solve_lower(jnp.tril(x), y), lambda x, y: solve_lower(jnp.tril(x), y, transposed=True)):
        check_grads(jax.jit(f), (a if f is solve else low, b), 1, modes=["fwd", "rev"])
    check_grads(jax.jit(lambda x: cholesky(0.5 * (x + x.swapaxes(1, 2)))), (k,), 1, modes=["fwd", "rev"])


def test_roots_of_what_is_not_quite_a_covariance():
    """The factor where there is one, else the root without the eigenvalues below zero; ``NaN`` stays where it was."""
    a, k, low, _ = matrices(20)
    thin = a[2][:, :10]
    k[2] = thin @ thin.T - 1e-9 * np.eye(20)
    k[1, 3, 3] = np.nan
    root = np.asarray(jax.vmap(root_of)(k))
    np.testing.assert_allclose(root[[0, 3, 4]], low[[0, 3, 4]], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(root[2] @ root[2].T, k[2], atol=2e-9)
    assert np.isnan(root[1]).any()
    assert np.isfinite(root[[0, 2, 3, 4]]).all()


def _shared(program):
    """Calls of LAPACK whose matrices jaxlib would share among threads: more than one, of 200,000 multiplications together."""
    out = []
    for call in re.findall(r"custom_call @((?:lapack|blas)_\w+).*? : \((.*?)\) ->", program):
        shapes = [[int(s) for s in t.split("x")[:-1]] for t in re.findall(r"tensor<([^>]*)>", call[1])]
        batch = int(np.prod(shapes[0][:-2]))
        if batch > 1 and batch * shapes[0][-2] ** 2 * shapes[-1][-1] >= 200_000:
            out.append(call)
    return out


@pytest.mark.parametrize("routine", [cholesky, root_of, lambda k: solve(k, k[..., :1]), lambda k: solve_lower(k, k)])
@pytest.mark.parametrize(("n", "count"), [(5, 4000), (30, 200), (94, 8)])
def test_no_call_is_shared_among_threads(routine, n, count):
    k = np.broadcast_to(np.eye(n), (count, n, n))
    assert not _shared(jax.jit(jax.vmap(routine)).lower(k).as_text())
    assert not _shared(jax.jit(routine).lower(k).as_text())
    assert not _shared(jax.jit(jax.vmap(jax.grad(lambda x: jnp.sum(cholesky(x))))).lower(k).as_text())
    assert _shared(jax.jit(jax.vmap(jnp.linalg.cholesky)).lower(k).as_text())  # the text still says what is sought in it


def test_nothing_else_calls_lapack():
    """``linalg`` is the one place: a call beside it would be shared among threads."""
    calls = r"(jnp|jax\.numpy|jax\.scipy|jsp|lax)\.linalg\.(?!block_diag|norm)\w+"
    sought = re.compile(calls + r"|from jax\.\S*linalg import (?!block_diag\n)|MultivariateNormal")
    room = Path(brim.__file__).parent
    allowed = {"linalg/lapack.py", "compile/cache.py"}  # the cache lowers a factorisation of one matrix, and does not run it
    files = [f for f in room.rglob("*.py") if str(f.relative_to(room)) not in allowed]
    assert [(f.name, m.group()) for f in files for m in sought.finditer(f.read_text())] == []


@pytest.mark.skipif(not hasattr(__import__("os"), "sched_setaffinity"), reason="cores cannot be chosen here")
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        pytest.param("two gp", 30),
        *(pytest.param(name, rows, marks=pytest.mark.slow) for name in MODELS for rows in (60, 200)),
    ],
)
def test_models_with_matrices_come_back(name, rows):
    """Fitted and predicted on two cores, under a watchdog."""
    script = ROOT / "tests" / "on_two_threads.py"
    done = subprocess.run([sys.executable, script, name, str(rows), "240"], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "finished", done.stderr
