"""Quadratic forms in latent vectors, against the same matrices written out: integrals, their slopes, and laws of draws."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag

from brim.coordinates.quadratic.bordered import Bordered
from brim.coordinates.quadratic.nested_levels import Chain, Nothing, Rotated, Separate, integrate, parents_of
from brim.linalg import lower_cells

RNG = np.random.default_rng(5)
ROWS = 60


def triangle(k):
    return np.tril(RNG.normal(size=(k, k))) + np.eye(k)


class Nested:
    """Rows in levels of blocks that lie within each other, innermost first; every effect has its column ``Z``."""

    def __init__(self, sizes, coefficients, by_level=False):
        self.sizes, self.k = sizes, coefficients
        level = RNG.permutation(np.arange(ROWS) % sizes[0])
        self.levels = [level]
        for n in sizes[1:]:
            self.levels.append((self.levels[-1] * n) // self.levels[-1].max().clip(n) % n)
        self.z = [RNG.normal(size=(k, ROWS)) for k in coefficients]
        self.t = [triangle(k) for k in coefficients]
        if by_level:
            self.t[0] = np.stack([triangle(coefficients[0]) for _ in range(sizes[0])], axis=-1)
        self.weights, self.residual = RNG.uniform(0.5, 2.0, ROWS), RNG.normal(size=ROWS)

    def chain(self):
        blocks = range(len(self.sizes))
        gram = {
            (b, c): np.stack([[np.bincount(self.levels[b], x * y * self.weights, self.sizes[b]) for y in self.z[c]] for x in self.z[b]])
            for b in blocks
            for c in blocks
            if c >= b
        }
        cross = tuple(
            np.stack([np.bincount(self.levels[b], x * self.weights * self.residual, self.sizes[b]) for x in self.z[b]]) for b in blocks
        )
        parents = {(b, c): parents_of(self.levels[b], self.levels[c], self.sizes[b]) for b in blocks for c in blocks if c > b}
        cells = tuple(lower_cells(k, True) for k in self.k)
        return Chain(cells, tuple(self.t), gram, cross, parents, np.ones(self.sizes[-1]))

    def columns(self):
        """``Z T`` of all standardised effects, (rows, effects), coefficients within blocks, levels within coefficients."""
        return np.concatenate([self.spread(b) @ self.loading(b) for b in range(len(self.sizes))], axis=1)

    def spread(self, b):
        out = np.zeros((ROWS, self.k[b], self.sizes[b]))
        out[np.arange(ROWS), :, self.levels[b]] = self.z[b].T
        return out.reshape(ROWS, -1)

    def loading(self, b):
        k, n = self.k[b], self.sizes[b]
        wide = np.broadcast_to(self.t[b].reshape(k, k, -1), (k, k, n))
        return np.einsum("abj,ji->ajbi", wide, np.eye(n)).reshape(k * n, k * n)


def law(columns, weights, residual):
    """Precision ``A = I + X'WX`` and ``w = X'W residual`` of standardised effects."""
    return np.eye(columns.shape[1]) + (columns.T * weights) @ columns, columns.T @ (weights * residual)


def integral(a, w):
    return 0.5 * w @ np.linalg.solve(a, w) - 0.5 * np.linalg.slogdet(a)[1]


def check(quadratic, shapes, a, w):
    """The integral, and that draws are ``N(A^-1 w, A^-1)`` with the density that is told."""
    sizes, m = np.cumsum([0, *(int(np.prod(s)) for s in shapes)]), len(w)

    @jax.jit
    def run(e):
        def drawn(e):
            z, log_density = quadratic.draw(tuple(e[i:j].reshape(s) for i, j, s in zip(sizes, sizes[1:], shapes, strict=False)))
            return jnp.concatenate([jnp.ravel(x) for x in z]), log_density

        return quadratic.log_integral(), jax.vmap(drawn)(e)

    e = np.concatenate([np.zeros((1, m)), np.eye(m), RNG.normal(size=(1, m))])
    value, (z, log_density) = run(e)
    covariance = np.linalg.inv(a)
    root = (z[1:-1] - z[0]).T  # draws are linear in their normal numbers
    np.testing.assert_allclose(value, integral(a, w), rtol=1e-10)
    np.testing.assert_allclose(z[0], covariance @ w, atol=1e-10)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-10)
    np.testing.assert_allclose(log_density[-1], stats.multivariate_normal(covariance @ w, covariance).logpdf(z[-1]), rtol=1e-9)


CHAINS = {
    "one block": ((7,), (1,)),
    "slopes": ((7,), (2,)),
    "four coefficients": ((5,), (4,)),
    "nested": ((12, 4), (1, 1)),
    "nested with slopes": ((12, 4), (2, 1)),
    "three levels": ((12, 6, 2), (1, 2, 1)),
    "many coefficients": ((6, 2), (6, 2)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_the_dense_law(name):
    sizes, coefficients = CHAINS[name]
    case = Nested(sizes, coefficients)
    shapes = list(zip(coefficients, sizes, strict=True))
    check(case.chain(), shapes, *law(case.columns(), case.weights, case.residual))


def test_loadings_may_differ_by_level():
    case = Nested((8, 2), (2, 1), by_level=True)
    check(case.chain(), [(2, 8), (1, 2)], *law(case.columns(), case.weights, case.residual))


def test_levels_of_one_design_stand_for_each_other():
    """``count`` repeats a level's determinant: two levels of equal rows are one with count 2 and the sum of their squares."""
    case = Nested((6,), (2,))
    chain = case.chain()
    gram, cross = chain.gram[0, 0], chain.cross[0]
    value = integrate(chain.cells[0], chain.loadings[0], gram, cross, np.full(6, 3.0))
    once = integrate(chain.cells[0], chain.loadings[0], gram, cross, np.ones(6))
    nothing = integrate(chain.cells[0], chain.loadings[0], gram, np.zeros_like(cross), np.ones(6))
    np.testing.assert_allclose(value, once + 2 * nothing, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_slopes_of_the_integral_are_those_of_the_formula(k):
    """Fisher's identity in ``integrate`` against differentiating ``1/2 w'A^-1 w - 1/2 log det A`` itself."""
    case = Nested((6,), (k,))
    chain, count = case.chain(), RNG.uniform(1.0, 3.0, 6)

    def formula(t, gram, cross):
        gram = 0.5 * (gram + jnp.swapaxes(gram, 0, 1))
        total = 0.0
        for j in range(6):
            a, w = jnp.eye(k) + t.T @ gram[..., j] @ t, t.T @ cross[:, j]
            total += 0.5 * w @ jnp.linalg.solve(a, w) - 0.5 * count[j] * jnp.linalg.slogdet(a)[1]
        return total

    args = (chain.loadings[0], chain.gram[0, 0], chain.cross[0])
    value, slopes = jax.jit(jax.value_and_grad(lambda *x: integrate(chain.cells[0], *x, count), (0, 1, 2)))(*args)
    other, wanted = jax.jit(jax.value_and_grad(formula, (0, 1, 2)))(*args)
    np.testing.assert_allclose(value, other, rtol=1e-11)
    np.testing.assert_allclose(slopes[0], np.tril(wanted[0]), atol=1e-9)  # cells above the diagonal are no parameters
    np.testing.assert_allclose(slopes[1], wanted[1], atol=1e-9)
    np.testing.assert_allclose(slopes[2], wanted[2], atol=1e-9)


def test_a_rotated_vector_is_the_dense_law():
    x = RNG.normal(size=(ROWS, 9))
    gram, u, scale = x.T @ x, x.T @ RNG.normal(size=ROWS), 0.7
    values, vectors = np.linalg.eigh(gram)
    check(Rotated(scale, values, vectors, u[None]), [(1, 9)], np.eye(9) + scale**2 * gram, scale * u)


def test_separate_effects_are_independent():
    precision, cross = RNG.uniform(1.0, 4.0, 5), RNG.normal(size=5)
    check(Separate(precision, cross), [(5,)], np.diag(precision), cross)


def test_nothing_says_nothing():
    assert float(Nothing().log_integral()) == 0.0
    assert Nothing().draw(()) == ((), 0.0)


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize(("sizes", "coefficients"), [((7,), (1,)), ((12, 4), (2, 1)), ((6, 2), (5, 1))])
def test_a_border_is_integrated_with_its_chain(sizes, coefficients, diagonal):
    """Columns that belong to any rows beside the chain: a curve, say, or the levels of a crossed factor."""
    case, m = Nested(sizes, coefficients), 5
    s = RNG.normal(size=(ROWS, m))
    t = RNG.uniform(0.5, 2.0, m) if diagonal else triangle(m)
    couplings = tuple(
        np.stack([[np.bincount(case.levels[b], x * y * case.weights, n) for y in s.T] for x in case.z[b]]) for b, n in enumerate(sizes)
    )
    bordered = Bordered(case.chain(), t, (s.T * case.weights) @ s, s.T @ (case.weights * case.residual), couplings)
    columns = np.concatenate([case.columns(), s * t if diagonal else s @ t], axis=1)
    shapes = [*zip(coefficients, sizes, strict=True), (m,)]
    a, w = law(columns, case.weights, case.residual)
    check(bordered, shapes, a, w)
    # the chain given the border, and the border: two densities that make up the joint one
    e = tuple(RNG.normal(size=shape) for shape in shapes)
    (z, given, own), (_, both) = jax.jit(lambda e: (bordered.drawn(e), bordered.draw(e)))(e)
    border = stats.multivariate_normal(np.linalg.solve(a, w)[-m:], np.linalg.inv(a)[-m:, -m:])
    np.testing.assert_allclose(own, border.logpdf(z[-1]), rtol=1e-9)
    np.testing.assert_allclose(given + own, both, rtol=1e-12)


def test_the_slope_of_a_bordered_integral_is_that_of_finite_differences():
    case, m = Nested((12, 4), (1, 1)), 3
    s = RNG.normal(size=(ROWS, m))
    gram, cross = (s.T * case.weights) @ s, s.T @ (case.weights * case.residual)
    couplings = tuple(
        np.stack([[np.bincount(case.levels[b], case.z[b][0] * y * case.weights, n) for y in s.T]]) for b, n in enumerate(case.sizes)
    )

    own = case.chain()

    @jax.jit
    def f(x):
        chain = replace(own, loadings=tuple(jnp.reshape(x[b], (1, 1)) for b in range(2)))
        return Bordered(chain, x[2:], gram, cross * x[2], couplings).log_integral()

    x = RNG.uniform(0.5, 1.5, 2 + m)
    numeric = [(f(x + h) - f(x - h)) / 2e-5 for h in 1e-5 * np.eye(len(x))]
    np.testing.assert_allclose(jax.jit(jax.grad(f))(x), numeric, rtol=1e-6)


def test_parents_follow_the_rows():
    inner = np.array([0, 1, 1, 2, 3])
    outer = np.array([1, 0, 0, 1, 0])
    np.testing.assert_array_equal(parents_of(inner, outer, 4), [1, 0, 1, 0])


def test_blocks_apart_add_up():
    """Two chains of one block that meet in no row: the sum of their integrals."""
    one, two = Nested((5,), (2,)), Nested((4,), (1,))
    a = block_diag(law(one.columns(), one.weights, one.residual)[0], law(two.columns(), two.weights, two.residual)[0])
    w = np.concatenate([law(c.columns(), c.weights, c.residual)[1] for c in (one, two)])
    np.testing.assert_allclose(one.chain().log_integral() + two.chain().log_integral(), integral(a, w), rtol=1e-11)
