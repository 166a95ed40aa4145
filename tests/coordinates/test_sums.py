"""Sums over rows that the integrals and the adapted laws read, against products of the matrices written out."""

import numpy as np
import pytest

import brim
from brim.coordinates.adapted import sums as working_sums
from brim.coordinates.adapted.expansion import rows_of
from brim.coordinates.adapted.which import find as find_adapted
from brim.coordinates.integrated import sums as row_sums
from brim.coordinates.integrated.which import find as find_integrated
from brim.coordinates.quadratic.meetings import between, flat
from brim.terms.latent import Incidence
from references import data

SIM = data("sim")
RNG = np.random.default_rng(11)
ROWS, W = 50, np.random.default_rng(12).uniform(0.5, 2.0, 50)

N = {"group": 6, "slopes": 4, "memberships": 5, "curve": 7}
INCIDENCES = {
    "group": Incidence(RNG.integers(0, 6, ROWS), np.ones((1, ROWS))),
    "slopes": Incidence(RNG.integers(0, 4, ROWS), RNG.normal(size=(2, ROWS))),
    "memberships": Incidence(RNG.integers(0, 5, (2, ROWS)), RNG.uniform(size=(1, 2, ROWS))),
    "curve": Incidence(None, RNG.normal(size=(7, ROWS))),
}


def written_out(incidence, n):
    """The columns of all effects, (rows, coefficients levels), levels within coefficients."""
    level, z = incidence
    if level is None:
        return z.T
    level, z = (level[None], z[:, None]) if level.ndim == 1 else (level, z)
    out = np.zeros((z.shape[-1], len(z), n))
    for m, of in enumerate(level):
        for c, column in enumerate(z[:, m]):
            out[np.arange(len(of)), c, of] += column
    return out.reshape(len(out), -1)


@pytest.mark.parametrize("name", INCIDENCES)
def test_sums_by_level(name):
    incidence, n, y = INCIDENCES[name], N[name], RNG.normal(size=ROWS)
    wanted = written_out(incidence, n).T @ y
    np.testing.assert_allclose(np.ravel(incidence.known_sums(y, n)), wanted, atol=1e-12)
    np.testing.assert_allclose(np.ravel(incidence.sums(y, n)), wanted, atol=1e-12)
    effects = RNG.normal(size=(1 if name == "curve" else len(incidence.columns), n))
    np.testing.assert_allclose(incidence.added(effects), written_out(incidence, n) @ np.ravel(effects), atol=1e-12)


@pytest.mark.parametrize("left", INCIDENCES)
@pytest.mark.parametrize("right", INCIDENCES)
def test_effects_of_two_vectors_meet(left, right):
    one, other = INCIDENCES[left], INCIDENCES[right]
    mine = flat(between(one, other, W, N[left], N[right]))
    np.testing.assert_allclose(mine, (written_out(one, N[left]).T * W) @ written_out(other, N[right]), atol=1e-12)


def blocks_of(vectors, codes, columns):
    return [written_out(Incidence(c, z), v.shape[1]) for v, c, z in zip(vectors, codes, columns, strict=True)]


def test_sums_of_a_gaussian_model_are_products_of_its_matrices():
    """``V'WV``, ``Z'WV`` and ``Z'WZ`` with ``V = (y - X ref, X)`` of nested groups with weights."""
    fit = brim.brm("y | weights(w) ~ x + z + (1 + x | g2) + (1 | g2:f3)", SIM, empty=True)
    e = find_integrated(fit.model, fit.frame)
    assert e.likelihood == "sums"
    sums = row_sums.row_sums(e, fit.frame)
    w, y = SIM["w"].to_numpy(), SIM["y"].to_numpy()
    x, z = SIM["x"].to_numpy(), SIM["z"].to_numpy()
    design = np.stack([np.ones(len(x)), x - x.mean(), z - z.mean()], axis=1)
    np.testing.assert_allclose(sums.ref, np.linalg.solve((design.T * w) @ design, design.T @ (w * y)), rtol=1e-9)
    v = np.concatenate([(y - design @ sums.ref)[:, None], design], axis=1)
    np.testing.assert_allclose(sums.squares, (v.T * w) @ v, atol=1e-9)
    assert sums.log_sigma == pytest.approx(w.sum())
    assert sums.constant == pytest.approx(-0.5 * np.log(2 * np.pi) * w.sum())
    codes = [b.grouping.codes(fit.frame) for b in e.blocks]
    effects = [np.stack([np.ones(len(x)), x][: len(b.coefs)]) for b in e.blocks]
    wide = blocks_of(e.blocks, codes, effects)
    for b, block in enumerate(e.blocks):
        k, n = block.shape
        np.testing.assert_allclose(sums.cross[b], ((v.T * w) @ wide[b]).reshape(len(v.T), k, n), atol=1e-9)
        full = ((wide[b].T * w) @ wide[b]).reshape(k, n, k, n)
        np.testing.assert_allclose(sums.gram[b, b], np.einsum("aibi->abi", full), atol=1e-9)
    inner, outer = wide
    (k, n), (other, m) = (b.shape for b in e.blocks)
    parents = np.zeros(n, int)
    parents[codes[0]] = codes[1]
    across = ((inner.T * w) @ outer).reshape(k, n, other, m)
    np.testing.assert_allclose(sums.gram[0, 1], np.stack([across[:, j, :, parents[j]] for j in range(n)], axis=-1), atol=1e-9)


def test_known_errors_are_precisions():
    se, w = SIM["se"].to_numpy(), SIM["w"].to_numpy()
    precision, log_sigma, constant = row_sums.known_precision({"se": se, "weights": w}, len(se))
    np.testing.assert_allclose(precision, w / se**2)
    assert log_sigma == 0.0
    assert constant == pytest.approx(-0.5 * np.log(2 * np.pi) * w.sum() - w @ np.log(se))


def test_correlated_levels_are_turned_into_independent_ones():
    """``exp(u'r - r'Gr / 2)`` with ``r = low z`` in ``s``, ``z = Q s``: its gram is diagonal, and nothing else changes."""
    low, gram = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(range(6), range(6)))), RNG.uniform(1.0, 5.0, 6)
    u = RNG.normal(size=(3, 1, 6))
    sums = row_sums.Sums(np.zeros(2), np.eye(3), (u,), {(0, 0): gram[None, None]})
    turned, q = row_sums.rotated(sums, low)
    s = RNG.normal(size=6)
    r = low @ q @ s
    assert u[0, 0] @ r - 0.5 * gram @ r**2 == pytest.approx(turned.cross[0][0, 0] @ s - 0.5 * turned.gram[0, 0][0, 0] @ s**2)
    np.testing.assert_allclose(q @ q.T, np.eye(6), atol=1e-12)


def test_columns_of_sums_are_turned():
    v, map_ = RNG.normal(size=(ROWS, 5)), RNG.normal(size=(2, 2))
    sums = row_sums.turned(row_sums.Sums(np.zeros(4), v.T @ v, (), {}), map_)
    new = np.concatenate([v[:, :3], v[:, 3:] @ map_], axis=1)
    np.testing.assert_allclose(sums.squares, new.T @ new, atol=1e-11)


@pytest.mark.parametrize(
    "formula",
    ["ycount ~ x + (1 + x | g)", "ycount ~ x + (1 | g2 / f3)", "ycount ~ x + (1 | g) + (1 | g2)", "ycount ~ s(x, k = 5) + (1 | g)"],
)
def test_products_of_a_working_model(formula):
    """``Z'WZ`` of vectors that share a law, from the precisions of the rows, whatever these are."""
    fit = brim.brm(formula, SIM, family="poisson", empty=True)
    t = find_adapted(fit.model, fit.frame, None)
    rows = rows_of(t, fit.frame)
    w = RNG.uniform(0.5, 2.0, len(SIM))
    precision = (w[None, None],)
    wide = [written_out(seats[0], n) for seats, (_, n) in zip(rows.seats, t.shapes, strict=True)]
    singles, border, chain = t.parts
    for b in (*singles, *chain):
        k, n = t.shapes[b]
        full = ((wide[b].T * w) @ wide[b]).reshape(k, n, k, n)
        np.testing.assert_allclose(working_sums.gram(t, rows.seats, precision, b, b), np.einsum("aibi->abi", full), atol=1e-9)
    if border:
        found = working_sums.border_of(t, rows.seats, precision)
        columns = np.concatenate([wide[i] for i in border], axis=1)
        np.testing.assert_allclose(found.gram, (columns.T * w) @ columns, atol=1e-9)
        for b, coupling in zip(chain, found.couplings, strict=True):
            k, n = t.shapes[b]
            np.testing.assert_allclose(coupling, np.moveaxis(((wide[b].T * w) @ columns).reshape(k, n, -1), 1, 2), atol=1e-9)
