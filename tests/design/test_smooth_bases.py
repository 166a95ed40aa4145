"""The bases of smooths against mgcv, by the way that brms takes, and knots.

reference/smooths_more.json.gz holds by basis ``Zs`` and ``Xs`` of ``standata(fit)``, the first 12 rows, then of ``standata(fit, newdata =
new, internal = TRUE)``, with ``fit = brm(y ~ <smooth>, data, knots = <knots>, empty = TRUE)`` (brms 2.18.0, mgcv 1.8-41), ``r`` and ``o``
factors. The regions' neighbours are p-q, q-s, s-t, t-u, p-s. ``many`` has ``Zs`` of four new rows after 2,300 distinct covariates.

Columns are determined up to sign, and unpenalised ones up to a linear map: compared are kernels and spaces.
"""

import numpy as np
import pandas as pd
import pytest

import brim
from brim.design.splines.bspline import BSplines
from brim.design.splines.knots import read_knots
from brim.design.splines.places import sampled
from brim.frames.frame import Frame
from references import reference
from smooth_columns import columns

REFERENCE = reference("smooths_more")
REGIONS = list("pqstu")
ADJACENT = pd.DataFrame(np.zeros((5, 5)), REGIONS, REGIONS)
for a, b in ("pq", "qs", "st", "tu", "ps"):
    ADJACENT.loc[a, b] = ADJACENT.loc[b, a] = 1.0
CORNERS = {"p": (0, 0), "q": (1, 0), "s": (2, 0), "t": (2, 1), "u": (3, 2)}
DATA2 = {
    "P": np.diag(ADJACENT.sum()) - ADJACENT,
    "nb": {r: [other for other in REGIONS if ADJACENT.loc[r, other]] for r in REGIONS},
    "polys": {r: np.array([[a, b], [a + 1, b], [a + 1, b + 1], [a, b + 1], [a, b]]) for r, (a, b) in CORNERS.items()},
    "few": ADJACENT.iloc[:4, :4],
    "other": ADJACENT.rename(index={"u": "v"}),
    "half": np.triu(ADJACENT),
}


def frame_of(columns):
    frame = pd.DataFrame(columns)
    return frame.assign(g=frame.r, o=pd.Categorical(frame.o, list("klm"), ordered=True))


DATA, NEW = frame_of(REFERENCE["data"]), frame_of(REFERENCE["new"])


def smooth(text, **more):
    fit = brim.brm(f"y ~ {text}", data=DATA, data2=DATA2, empty=True, **more)
    (term,) = [t for t in fit.model.responses[0].predictor("mu").terms if t.key.startswith("smooth")]
    return term


def rows_of(term):
    """As the reference lists them."""
    (x, z), (x_new, z_new) = columns(term, DATA), columns(term, NEW)
    return np.vstack([x[:12], x_new]), np.vstack([z[:12], z_new])


def close(mine, theirs, tolerance=1e-6):
    assert mine.shape == theirs.shape
    scale = np.abs(theirs).max() if theirs.size else 1.0
    np.testing.assert_allclose(mine / scale, theirs / scale, rtol=0, atol=tolerance)


def matrix(values):
    values = np.array(values, dtype=float)
    return values if values.ndim == 2 else values.reshape(len(values), -1)


COMPARED = ("places", "pc", "knots", "bs", "ds", "gp", "sos", "mrf", "ad")
CASES = [(case["text"], i, key) for key in COMPARED for i, case in enumerate(REFERENCE[key])]


@pytest.mark.filterwarnings("ignore:m = c")
@pytest.mark.parametrize(("text", "i", "key"), CASES, ids=[f"{text}-{i}" for text, i, _ in CASES])
def test_basis_and_penalty_are_those_of_mgcv(text, i, key):
    case = REFERENCE[key][i]
    x, z = rows_of(smooth(text, knots=case["knots"] or None))
    parts = [matrix(part) for part in case["Zs"]]
    ends = np.cumsum([0, *(part.shape[1] for part in parts)])
    assert z.shape[1] == ends[-1]
    for start, stop, part in zip(ends[:-1], ends[1:], parts, strict=True):
        close(z[:, start:stop] @ z[:, start:stop].T, part @ part.T)
    theirs = matrix(case["Xs"])
    assert x.shape == theirs.shape
    if theirs.size:
        close(x @ np.linalg.lstsq(x, theirs, rcond=None)[0], theirs)


# ---------------------------------------------------------------------------------------------------------------------
# Many distinct covariates


MANY = ["s(x, k = 6)", "s(x, z, k = 8)", 's(x, bs = "ds", k = 6)', 's(x, z, bs = "gp", k = 8)']


@pytest.mark.parametrize("text", MANY)
def test_many_distinct_covariates_have_the_knots_of_mgcv(text):
    """2,000 of 2,300, drawn as R draws them."""
    i = np.arange(1, 2301)
    x, z = np.round(i * 0.6180339887498949 % 1, 6), np.round(i * 0.7548776662466927 % 1 * 20 - 10, 5)
    fit = brim.brm(f"y ~ {text}", data={"x": x, "z": z, "y": np.sin(i)}, empty=True)
    (term,) = [t for t in fit.model.responses[0].predictor("mu").terms if t.key.startswith("smooth")]
    _, mine = columns(term, {"x": [0.05, 0.3, 0.77, 0.99], "z": [-9, -1, 4.5, 8]})
    theirs = matrix(next(case["Zs"] for case in REFERENCE["many"] if case["text"] == text))
    close(mine @ mine.T, theirs @ theirs.T)


def test_samples_are_those_of_r():
    """set.seed(1); sample(1:2100, 8)."""
    assert sampled(np.arange(1, 2101), 8, 1).tolist() == [1017, 679, 930, 1533, 471, 270, 1211, 597]


# ---------------------------------------------------------------------------------------------------------------------
# Knots, and points


def test_knots_are_kept_by_update_save_and_pickle(tmp_path):
    fit = brim.brm("y ~ s(x, bs = 'cr', k = 4)", DATA, knots={"x": [1, 0, 0.3, 0.5]}, chains=1, iter=20, seed=1, progress=False)
    fit.save(tmp_path / "fit.nc")
    for other in (fit.update(newdata=DATA, chains=1), brim.load(tmp_path / "fit.nc")):
        assert other.settings.knots == {"x": (1.0, 0.0, 0.3, 0.5)}
        (term,) = [t for t in other.model.responses[0].predictor("mu").terms if t.key.startswith("smooth")]
        np.testing.assert_array_equal(term.smooth.basis.knots, [0, 0.3, 0.5, 1])


@pytest.mark.parametrize(
    ("text", "knots", "what"),
    [
        ("s(x)", {"q": [0, 1]}, "knots are given for 'q', which is no covariate of a smooth"),
        ("s(log(w), bs = 'cr')", {"w": [0, 1]}, "knots are given for 'w'"),
        ("x", {"x": [0, 1]}, "knots are given for 'x'"),
        ("s(x, bs = 'cr', k = 6)", {"x": [0, 0.5, 1]}, "there are 3 knots of x, and .* takes 6"),
        ("s(x, k = 9)", {"x": [0, 0.2, 0.3, 0.5, 0.8]}, "needs 9 knots, and there are 5"),
        ("s(x, k = 3)", {"x": [0, 0.2, 0.2, 0.5, 0.8]}, "two knots of a smooth are the same"),
        ("s(x, z, k = 7)", {"x": [0, 0.5, 1]}, "knots are given for x and not for z"),
        ("s(x, z, k = 7)", {"x": [0, 0.5, 1], "z": [0, 1]}, "have 3 and 2 knots"),
        ("s(x, k = 9, xt = list(max.knots = 5))", None, "needs 9 knots, and max.knots = 5"),
        ("s(x, bs = 'ps', k = 6)", {"x": [0.2, 0.8]}, "do not hold its covariate"),
        ("s(x, bs = 'cp', k = 6)", {"x": [0.2, 0.8]}, "do not hold its covariate"),
        ("s(x)", {"x": ["a", "b"]}, "the knots of x are no numbers"),
        ("s(x)", {"x": [0, np.nan]}, "a knot of 'x' is not finite"),
        ("s(x)", {"x": 3}, "knots of 'x' are a list"),
        ("s(x)", [0, 1], "knots are given by covariate"),
        ("s(g, bs = 're')", {"g": ["p", "q"]}, "knots are given for g, which is a factor"),
        ("s(x, g, bs = 're')", {"x": [0, 1]}, "knots are given for x, and"),
    ],
)
def test_knots_that_do_not_fit(text, knots, what):
    with pytest.raises(brim.BrimError, match=what):
        smooth(text, knots=knots)


def test_more_knots_than_observations_are_left_out():
    with pytest.warns(brim.BrimWarning, match="60 knots of a smooth are more than its 40 observations"):
        given = smooth("s(x, k = 5)", knots={"x": np.linspace(0, 1, 60)})
    for mine, same in zip(columns(given, DATA), columns(smooth("s(x, k = 5)"), DATA), strict=True):
        np.testing.assert_array_equal(mine, same)


def test_names_of_knots_are_read_as_formulas():
    assert read_knots({"log( w )": [1, 2]}) == {"log(w)": (1.0, 2.0)}


@pytest.mark.parametrize("pc", ["c(0.4, 0.1)", "list(0.4, 0.1)", "list(z = 0.1, x = 0.4)"])
def test_a_smooth_is_zero_at_its_point(pc):
    term = smooth(f"s(x, z, pc = {pc}, k = 8)")
    for part in columns(term, {"x": [0.4], "z": [0.1]}):
        np.testing.assert_allclose(part, 0, atol=1e-10)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("t2(NA)", "NA has no value"),
        ("s(x, pc = c(1, 2))", "pc is one number for each of 1 covariate"),
        ("s(x, z, pc = 1)", "pc is one number for each of 2 covariate"),
        ('s(x, g, bs = "fs", pc = 1)', 'pc has no meaning for bs = "fs"'),
        ("t2(x, z, pc = c(0, 0))", r"t2\(\) has no pc, in brms neither"),
        ('s(x, bs = "sz", k = 5)', 'bs = "sz" is not built: .* a penalty for each'),
        ('s(x, z, bs = "so")', 'bs = "so" is not built: soap films have two penalties'),
        ("s(x, bs = 'bs', m = c(3, 2, 1))", 'bs = "bs" with several penalties has no form'),
        ("s(x, bs = 'bs', m = c(2, 3))", "splines of degree 2 have no derivative of order 3"),
        ("s(x, bs = 'bs', k = 3)", "k = 3 is too small for splines of degree 3"),
        ("s(x, z, bs = 'bs')", 'bs = "bs" is for one covariate'),
        ("s(x, z, bs = 'ds', m = c(1, 0.5, 3))", r"m of bs = \"ds\" is c\(m, s\)"),
        ("s(x, g, bs = 'ds')", "g is a factor"),
        ("s(x, bs = 'gp', m = 6)", "begins with a type from 1 to 5, not 6"),
        ("s(x, bs = 'gp', m = c(2, 1, 3))", "the power in m of .* is above 0 and at most 2, not 3"),
        ("s(x, bs = 'sos')", "has two covariates, latitude and longitude"),
        ("s(lat, lon, bs = 'sos', m = 5)", 'm of bs = "sos" is from -2 to 4, not 5'),
        ("s(r, bs = 'mrf', xt = list(nb = 5))", "nb in xt is the name of a matrix in data2"),
        ("s(r, bs = 'mrf')", "needs neighbours or a penalty matrix"),
        ("s(x, bs = 'mrf', xt = list(nb = nb))", "is for one factor, the regions"),
        ("s(r, bs = 'mrf', xt = list(nb = W))", "'W' is not in data2"),
        ("s(r, bs = 'mrf', xt = list(nb = few))", "nb is 4 x 4, and there are 5 regions"),
        ("s(r, bs = 'mrf', xt = list(nb = other))", "nb has no row 'u'"),
        ("s(r, bs = 'mrf', xt = list(nb = nb), k = 6)", "k = 6 exceeds the number of regions, 5"),
        ("s(r, bs = 'mrf', xt = list(penalty = half))", "penalty is not symmetric"),
        ("s(x, bs = 'ad')", "has several penalties, which have no form in which brms samples"),
        ("s(x, xt = list(max.knot = 5))", "max.knot in xt has no meaning"),
        ('s(x, bs = "ps", m = c(1, 2, 3))', "m of a P-spline"),
    ],
)
def test_errors(text, what):
    with pytest.raises(brim.BrimError, match=what) as error:
        smooth(text)
    assert "^" in str(error.value)  # the token is marked


@pytest.mark.parametrize(("degree", "derivative", "size"), [(3, 2, 4.0), (3, 1, 4 / 3), (2, 2, 4.0), (4, 3, 0.0), (3, 0, 1 / 5)])
def test_penalty_is_the_integral_of_a_squared_derivative(degree, derivative, size):
    """Of x^2 over [0, 1]: int (2)^2 = 4, int (2 x)^2 = 4/3, 0, int x^4 = 1/5; the knots need not be even."""
    x = np.linspace(0, 1, 60)[:, None]
    inner = np.array([0, 0.1, 0.15, 0.5, 0.8, 1.0])
    knots = np.r_[np.linspace(-0.4, -0.1, degree), inner, np.linspace(1.1, 1.4, degree)]
    basis = BSplines(len(inner) + degree - 1, degree, derivative, knots).learn(x)
    b = np.linalg.lstsq(basis.matrix(x), x[:, 0] ** 2, rcond=None)[0]
    np.testing.assert_allclose(b @ basis.penalty @ b, size, atol=1e-9)


def test_regions_without_data_are_drawn_towards_their_neighbours(tmp_path):
    """A sixth region beside u: with one coefficient a region, its variance given the others is that of its neighbour's row of ``S``."""
    nb = {**DATA2["nb"], "u": ["t", "v"], "v": ["u"]}
    more = {"data2": {"nb": nb}, "knots": {"r": [*REGIONS, "v"]}}
    fit = brim.brm('y ~ s(r, bs = "mrf", xt = list(nb = nb))', DATA, chains=1, iter=20, seed=1, progress=False, **more)
    (term,) = [t for t in fit.model.responses[0].predictor("mu").terms if t.key.startswith("smooth")]
    basis = term.smooth.basis
    assert basis.regions == 6
    np.testing.assert_array_equal(np.diag(basis.penalty), [2, 2, 3, 2, 2, 1])
    assert basis.penalty[4, 5] == basis.penalty[5, 4] == -1
    fit.save(tmp_path / "fit.nc")
    again = brim.load(tmp_path / "fit.nc")
    np.testing.assert_array_equal(again.posterior_epred(NEW), fit.posterior_epred(NEW))


# ---------------------------------------------------------------------------------------------------------------------
# Regions without data, arguments of margins, arguments that are not read

#: mgcv 1.8-41: ``smoothCon(s(r, bs = "mrf", k = k, xt = list(nb = nb)), knots = list(r = regions), absorb.cons = TRUE,
#: diagonal.penalty = TRUE, modCon = 3)``, ``smooth2random(type = 2)``, ``PredictMat``: row q of
#: ``Z Z'`` for the regions a, b, c, d, e, q.
WITHOUT_DATA = {
    6: [-3.591836734694, -2.448979591837, -0.734693877551, 1.551020408163, 4.408163265306, 8.408163265306],
    4: [-0.856560617303, -0.523336690784, -0.172064010914, 0.296457465771, 1.056032235267, 1.940786015609],
}


@pytest.mark.parametrize("k", WITHOUT_DATA)
def test_a_region_without_data_is_predicted_as_by_mgcv(k):
    chain = "abcdeq"
    nb = {r: [chain[j] for j in (i - 1, i + 1) if 0 <= j < len(chain)] for i, r in enumerate(chain)}
    data = {"y": np.arange(7.0), "r": list("aabcdee")}
    fit = brim.brm(f"y ~ s(r, bs = 'mrf', k = {k}, xt = list(nb = W))", data, data2={"W": nb}, knots={"r": list(chain)}, empty=True)
    (term,) = [t for t in fit.model.responses[0].predictor("mu").terms if t.key.startswith("smooth")]
    z = term.basis(term.design(Frame.read({"r": list(chain)})))
    np.testing.assert_allclose(z @ z[-1], WITHOUT_DATA[k], rtol=1e-10)
    with pytest.raises(brim.BrimError, match="known levels: a, b, c, d, e, q"):
        term.design(Frame.read({"r": ["z"]}))


def test_margins_have_their_own_extras():
    places = rows_of(smooth("t2(x, z, k = 4, bs = 'tp', xt = list(list(max.knots = 5), NULL))"))
    plain = rows_of(smooth("t2(x, z, k = 4, bs = 'tp')"))
    assert [p.shape for p in places] == [p.shape for p in plain]
    assert abs(places[1] @ places[1].T - plain[1] @ plain[1].T).max() > 1e-3
    same = rows_of(smooth("t2(x, z, k = 4, bs = 'tp', xt = list(NULL, NULL))"))
    np.testing.assert_array_equal(same[1], plain[1])
    with pytest.raises(brim.BrimError, match="xt has 1 lists for 2 margins"):
        smooth("t2(x, z, k = 4, xt = list(list(max.knots = 5)))")
    with pytest.raises(brim.BrimError, match=r"(?s)t2\(\) has no pc, in brms neither.*pc = 0"):
        smooth("t2(x, z, k = 4, pc = 0)")


def test_what_brms_does_not_read_is_told():
    with pytest.warns(brim.BrimWarning, match="sp of .* is not read"):
        given = rows_of(smooth("s(x, k = 5, sp = 2)"))
    np.testing.assert_array_equal(given[1], rows_of(smooth("s(x, k = 5)"))[1])
