"""The models of brms' documentation and vignettes, and what its users write: each builds, or is in the table of differences.

Data are simulated; only that a model of this formula, prior and family can be made is asked here, and that the others say why not.
"""

import warnings
from pathlib import Path

import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

import brim
from brim import (
    acformula,
    asym_laplace,
    bernoulli,
    beta,
    bf,
    brm,
    categorical,
    cumulative,
    custom_family,
    default_prior,
    gamma,
    gaussian,
    hurdle_gamma,
    inverse_gaussian,
    lf,
    load_data,
    lognormal,
    mixture,
    mvbf,
    nlf,
    poisson,
    prior,
    set_mecor,
    set_nl,
    set_rescor,
    skew_normal,
    sratio,
    student,
    weibull,
    wiener,
    zero_inflated_poisson,
    zero_one_inflated_beta,
)

RNG = np.random.default_rng(7)
N = 40


def frame():
    """Columns of every kind, under the names that the formulas use."""
    x = RNG.normal(size=N)
    d = pd.DataFrame({"x": x, "z": RNG.normal(size=N), "y": 1 + x + RNG.normal(size=N), "pos": RNG.gamma(2, 1, N) + 0.05})
    d = d.assign(**dict(zip(("y1", "y2", "y3", "x1", "x2", "x3"), RNG.normal(size=(6, N)), strict=True)))
    d["g"] = np.resize(list("abcdefgh"), N)
    d["g1"], d["g2"] = RNG.permutation(d.g), RNG.permutation(d.g)
    d["h"], d["cat"], d["zord"] = np.resize(list("uvwx"), N), np.resize(list("abc"), N), np.resize([0, 1, 2, 3], N)
    d["f"] = d["AY"] = pd.Categorical(np.resize(["lo", "mid", "hi"], N))
    d["f2"] = pd.Categorical(np.resize(["A", "B"], N))
    d["sub"], d["bin"], d["dec"] = (RNG.permutation(np.resize(v, N)) for v in ([True, False], [0, 1], [0, 1]))
    d = d.assign(sub01=d["sub"].astype(int), bin12=d["bin"] + 1, pm=2 * d["bin"] - 1, n=10, tot=10, premium=7000.0, w1=1.0)
    d["count"], d["s"], d["prop"] = RNG.poisson(3, N), RNG.binomial(10, 0.4, N), RNG.beta(2, 3, N)
    at = np.arange(N)
    d["prop01"] = np.where(at % 9 == 0, 0, np.where(at % 11 == 0, 1, d["prop"]))
    d["ord"], d["rating"], d["mo2"] = pd.Categorical(np.resize([1, 2, 3, 4], N), ordered=True), np.resize([1, 2, 3, 4], N), at % 4 + 1
    d["mo1"] = pd.Categorical(np.resize(["low", "mid", "high"], N), categories=["low", "mid", "high"], ordered=True)
    d["time"], d["tg"], d["idx"], d["obs"] = np.tile(np.arange(1, 6), 8), np.repeat(list("abcdefgh"), 5), at + 1, [f"o{i}" for i in at]
    d["w"], d["w2"], d["sdx"], d["sei"] = RNG.uniform(0.5, 2, N), RNG.uniform(size=N), RNG.uniform(0.1, 0.5, N), RNG.uniform(0.1, 0.5, N)
    d["cens"], d["cens01"], d["yb"] = np.resize(["none", "right", "left"], N), at % 2, d.pos + 1
    d["m"], d["ym"], d["x_m"] = d.z.where(at % 7 != 0), d.y.where(at % 5 != 0), d.x.where(at % 6 != 0)
    d["p1"], d["p2"], d["p3"] = RNG.dirichlet([1, 2, 3], N).T
    d["c1"], d["c2"], d["c3"] = RNG.multinomial(10, [0.2, 0.3, 0.5], N).T
    d["rt"], d["angle"], d["zy"] = RNG.gamma(3, 0.3, N) + 0.3, RNG.uniform(-3, 3, N), np.where(at % 4 == 0, 0, d.pos)
    d["pw"], d["byg"] = d.g.map({c: 1.0 + i / 4 for i, c in enumerate("abcdefgh")}), d.g.map(dict(zip("abcdefgh", "pq" * 4, strict=True)))
    d = d.assign(lower=-9.0, upper=9.0, exposure=RNG.uniform(1, 3, N), dev=np.resize([6, 18, 30, 42], N), lon=d.w, lat=d.sdx)
    return d.assign(cum=5000 * (1 - np.exp(-(d.dev / 20))) + RNG.normal(size=N))


D = frame()
LEVELS = list("abcdefgh")
A = pd.DataFrame(np.eye(8) + 0.3, index=LEVELS, columns=LEVELS)
W8 = pd.DataFrame((np.abs(np.subtract.outer(range(8), range(8))) == 1).astype(float), index=LEVELS, columns=LEVELS)
WN = (np.abs(np.subtract.outer(range(N), range(N))) == 1).astype(float)
V = np.diag(RNG.uniform(0.5, 1, N))
E, K, INHALER, L = (load_data(name) for name in ("epilepsy", "kidney", "inhaler", "loss"))


def b(formula, *args, data=D, **kwargs):
    return lambda: brm(formula, data, *args, empty=True, **kwargs)


def nlp(*names):
    return [prior("normal(0, 5)", nlpar=name) for name in names]


def members(values):
    """Columns for ``mm()``: what belongs to the levels of ``g1`` and ``g2``."""
    by = dict(zip("abcdefgh", values, strict=True))
    return D.g1.map(by), D.g2.map(by)


MODELS = {
    # --- brm() and vignettes
    "epilepsy": lambda: brm(
        "count ~ zAge + zBase * Trt + (1|patient)",
        E,
        "poisson",
        prior("normal(0, 10)", class_="b") + prior("cauchy(0, 2)", class_="sd"),
        empty=True,
    ),
    "epilepsy obs": lambda: brm("count ~ zAge + zBase * Trt + (1|patient) + (1|obs)", E, poisson(), empty=True),
    "inhaler sratio": lambda: brm("rating ~ period + carry + cs(treat)", INHALER, sratio("logit"), prior("normal(0,5)"), empty=True),
    "kidney": lambda: brm("time | cens(censored) ~ age * sex + disease + (1 + age | patient)", K, lognormal(), empty=True),
    "kidney gamma": lambda: brm("time | cens(censored) ~ age * sex + disease + (1|patient)", K, gamma("log"), empty=True),
    "kidney weibull": lambda: brm("time | cens(censored) ~ age + sex", K, weibull(), empty=True),
    "sigma student": lambda: brm(bf("y ~ x", "sigma ~ f"), D, empty=True),
    "ar custom": lambda: brm("y ~ x + ar(time, gr = tg)", D, empty=True),
    "binomial trials": b("s | trials(n) ~ x", "binomial"),
    "binomial numeric": b("s | trials(10) ~ x", "binomial"),
    "stackloss nl": lambda: brm(
        bf("y ~ a1 - a2^x", "a1 + a2 ~ 1", nl=True),
        D,
        prior=prior("normal(0,2)", nlpar="a1") + prior("normal(0,2)", nlpar="a2"),
        empty=True,
    ),
    "data2 cov": b("y ~ x + (1 | gr(g, cov = A))", data2={"A": A}),
    "loss": lambda: brm(
        bf("cum ~ ult * (1 - exp(-(dev/theta)^omega))", "ult ~ 1 + (1|AY)", "omega ~ 1", "theta ~ 1", nl=True),
        L,
        gaussian(),
        prior("normal(5000, 1000)", nlpar="ult") + prior("normal(1, 2)", nlpar="omega") + prior("normal(45, 10)", nlpar="theta"),
        empty=True,
    ),
    "loss reg": lambda: brm(bf("cum ~ ult * (1 - exp(-(dev/theta)^omega))", "ult + omega + theta ~ 1 + (1|ID|AY)", nl=True), L, empty=True),
    "irt guess": lambda: brm(
        bf("bin ~ 0.33 + (1 - 0.33) * inv_logit(eta)", "eta ~ x", family=bernoulli("identity"), nl=True), D, empty=True
    ),
    "irt guess2": lambda: brm(
        bf("bin ~ guess + (1 - guess) * inv_logit(eta)", "eta ~ 0 + x", "guess ~ 1", nl=True),
        D,
        bernoulli("identity"),
        [*nlp("eta"), prior("beta(1, 1)", nlpar="guess", lb=0, ub=1)],
        empty=True,
    ),
    "irt 2pl": lambda: brm(
        bf("bin ~ exp(logalpha) * eta", "eta ~ 1 + (1 |i| g) + (1 | h)", "logalpha ~ 1 + (1 |i| g)", nl=True),
        D,
        bernoulli("logit"),
        empty=True,
    ),
    "irt 3pl": lambda: brm(
        bf("bin ~ gamma + (1 - gamma) * inv_logit(beta + exp(logalpha) * theta)", nl=True)
        + nlf("gamma ~ inv_logit(loggamma)")
        + lf("theta ~ 0 + (1|g)", "beta ~ 1 + (1|i|h)", "logalpha ~ 1 + (1|i|h)", "loggamma ~ 1 + (1|i|h)"),
        D,
        bernoulli("identity"),
        empty=True,
    ),
    "zinb": lambda: brm("count ~ x + f", D, zero_inflated_poisson(), empty=True),
    "zi": lambda: brm(bf("count ~ x", "zi ~ z"), D, zero_inflated_poisson(), empty=True),
    "s gam": lambda: brm(bf("y ~ s(x) + (1|g)", "sigma ~ s(x) + (1|g)"), D, empty=True),
    "mv bt": lambda: brm(bf("mvbind(y1, y2) ~ f + x + (1|p|g) + (1|q|h)") + set_rescor(True), D, empty=True),
    "mv bt2": lambda: brm(bf("y1 ~ f + (1|p|g)") + bf("y2 ~ s(x) + (1|p|g)") + set_rescor(False), D, empty=True),
    "mv dist": lambda: brm(
        bf("y1 ~ s(x) + (1|p|g)")
        + lf("sigma ~ 0 + f")
        + skew_normal()
        + (bf("y2 ~ s(x)") + lf("sigma ~ 0 + f") + gaussian())
        + set_rescor(False),
        D,
        empty=True,
    ),
    "mo": b("y ~ mo(mo1)"),
    "mo*": b("y ~ mo(mo1) * x"),
    "mo prior": lambda: brm("y ~ mo(mo1)", D, prior=prior("dirichlet(c(2, 1))", class_="simo", coef="momo11"), empty=True),
    "mo group": b("y ~ mo(mo1) * x + (mo(mo1) | g)"),
    "mo two": b("y ~ mo(mo1)*mo(mo2)"),
    "mo id": b("y ~ mo(mo2, id='a') + mo(mo2, id='a'):x"),
    "mi": lambda: brm(bf("y | mi() ~ x * mi(x_m)") + bf("x_m | mi() ~ x") + set_rescor(False), D, empty=True),
    "mi se": lambda: brm(bf("ym ~ mi(x_m)*z") + bf("x_m | mi(sdx) ~ z") + set_rescor(False), D, empty=True),
    "me": b("y ~ me(x, sdx)*z"),
    "me gr": b("y ~ me(x, sdx, gr = obs) + z + (1|g)"),
    "me mecor": lambda: brm(bf("y ~ me(x1, sdx)*me(x2, sdx)") + set_mecor(False), D, empty=True),
    "phylo": b("y ~ x + (1 | gr(g, cov = A)) + (1|h)", data2={"A": A}),
    "phylo meta": b("y | se(sei) ~ 1 + (1 | gr(g, cov = A)) + (1|obs)", data2={"A": A}),
    "meta sigma": b("y | se(sei, sigma = TRUE) ~ 1 + (1|g)"),
    "fixef priors": lambda: brm(
        "count ~ zAge + zBase*Trt", E, "poisson", [prior("normal(0,10)", class_="b"), prior("student_t(3,0,2)", coef="zAge")], empty=True
    ),
    "custom beta_binomial2": lambda: brm(
        "s | vint(n) ~ x + (1|g)",
        D,
        custom_family(
            "bb2",
            lambda mu, phi, vint1: dist.BetaBinomial(mu * phi, (1 - mu) * phi, vint1),
            dpars=["mu", "phi"],
            links=["logit", "log"],
            lb=[None, 0],
            type="int",
        ),
        empty=True,
    ),
    # --- brmsformula docs
    "g/h": b("y ~ x + (1|g/h)"),
    "g:h": b("y ~ x + (1|g:h)"),
    "gr id": b("y ~ x + (1|gr(g, id = 'a')) + (0 + x|gr(g, id='a'))"),
    "by gr": b("y ~ x + (1|gr(g, by = byg))"),
    "dist student": b("y ~ x + (1|gr(g, dist='student'))"),
    "cor": b("y ~ x + (1+x|gr(g, cor=FALSE))"),
    "||": b("y ~ x + (1+x||g)"),
    "gr pw": b("y ~ x + (1|gr(g, pw = pw))"),
    "mm": b("y ~ 1 + (1|mm(g1, g2))"),
    "mm weights": b("y ~ 1 + (1|mm(g1, g2, weights = cbind(w1, w2)))"),
    "mmc": b("y ~ mmc(x1, x2) + (1+mmc(x1, x2)|mm(g1, g2))"),
    "mm by": lambda: brm(
        "y ~ 1 + (1|mm(g1, g2, by = cbind(b1, b2)))", D.assign(**dict(zip(("b1", "b2"), members("pq" * 4), strict=True))), empty=True
    ),
    "mm pw": lambda: brm(
        "y ~ 1 + (1|mm(g1, g2, pw = cbind(p1, p2)))", D.assign(**dict(zip(("p1", "p2"), members(range(1, 9)), strict=True))), empty=True
    ),
    "mm cov": b("y ~ 1 + (1|mm(g1, g2, cov = A))", data2={"A": A}),
    "mm dist": b("y ~ 1 + (1|mm(g1, g2, dist = 'student'))"),
    "0+Intercept": b("y ~ 0 + Intercept + x"),
    "0+intercept": b("y ~ 0 + intercept + x"),
    "-1": b("y ~ x - 1"),
    "cmc": lambda: brm(bf("y ~ 0 + f", cmc=False), D, empty=True),
    "center": lambda: brm(bf("y ~ x", center=False), D, empty=True),
    "QR": lambda: brm(bf("y ~ x + z", decomp="QR"), D, empty=True),
    "sparse": lambda: brm(bf("y ~ x", sparse=True), D, empty=True),
    "offset": b("count ~ x + offset(log(exposure))", "poisson"),
    "rate": b("count | rate(exposure) ~ x", "poisson"),
    "exposure": b("count | rate(exposure) ~ x", "negbinomial"),
    "cens": b("y | cens(cens) ~ x"),
    "cens int": lambda: brm("pos | cens(ci, yb) ~ x", D.assign(ci="interval"), weibull(), empty=True),
    "trunc": b("count | trunc(ub = 100) ~ x", "poisson"),
    "trunc vec": lambda: brm("y | trunc(ub = 21:60) ~ x", D, empty=True),
    "trunc col": b("y | trunc(lb = lower, ub = upper) ~ x"),
    "weights": b("y | weights(w) ~ x"),
    "weights scale": b("y | weights(w, scale = TRUE) ~ x"),
    "cat addition": b("ord | cat(4) ~ x", "cumulative"),
    "thres": b("rating | thres(4) ~ x", "cumulative"),
    "thres gr": b("rating | thres(gr = f2) ~ x", "cumulative"),
    "thres x gr": b("rating | thres(3, gr = f2) ~ x", "cumulative"),
    "subset": lambda: brm(bf("y1 | subset(sub) ~ x") + bf("y2 ~ x") + set_rescor(False), D, empty=True),
    "subset01": lambda: brm(bf("y1 | subset(sub01) ~ x") + bf("y2 ~ x") + set_rescor(False), D, empty=True),
    "index": lambda: brm(
        bf("y1 ~ mi(x_m, idx)") + bf("x_m | mi() + index(idx) + subset(sub) ~ z") + set_rescor(False), D.assign(sub=True), empty=True
    ),
    "vreal": lambda: brm("y | vreal(w) ~ x", D, custom_family("cf", lambda mu, vreal1: dist.Normal(mu, vreal1), dpars=["mu"]), empty=True),
    "nl loop": lambda: brm(bf("y ~ a * inv_logit(x * b)", "a + b ~ z", nl=True, loop=False), D, empty=True),
    "nlf": lambda: brm(
        bf("y ~ 1") + nlf("sigma ~ a * exp(b * x)", "a ~ x") + lf("b ~ z + (1|g)", dpar="sigma") + gaussian(), D, empty=True
    ),
    "nlf nl mu": lambda: brm(bf("y ~ a - b^x", nl=True) + lf("a + b ~ 1") + set_nl(), D, empty=True),
    "nl factor": lambda: brm(bf("y ~ b1 * x + b2 * f", "b1 + b2 ~ 1", nl=True), D.assign(f=D.x2), empty=True),
    "nl factor of two": lambda: brm(bf("y ~ a + b * f2", "a + b ~ 1", nl=True), D, empty=True),
    "nl factor2": lambda: brm(bf("y ~ a + b * f", "a + b ~ 1", nl=True), D, empty=True),
    "nl s": lambda: brm(bf("y ~ a * exp(b)", "a ~ s(x)", "b ~ gp(z)", nl=True), D, empty=True),
    "nl int": lambda: brm(bf("y ~ a[1]", "a ~ 1", nl=True), D, empty=True),
    "quantile": lambda: brm(bf("y ~ x", quantile=0.25), D, asym_laplace(), empty=True),
    "fix sigma": lambda: brm(bf("y ~ x", sigma=1), D, empty=True),
    "nu": lambda: brm(bf("y ~ x", nu=4), D, student(), empty=True),
    "disc": lambda: brm(bf("ord ~ x") + lf("disc ~ 0 + x", cmc=False), D, cumulative("probit"), empty=True),
    "cs": b("ord ~ x + cs(z)", "acat"),
    "cs all": b("ord ~ cs(f*x)", "sratio"),
    "cs group": b("ord ~ cs(x) + (cs(1)|g)", "cratio"),
    "cse": b("ord ~ cse(x)", "acat"),
    "hu": lambda: brm(bf("zy ~ x", "hu ~ z"), D, hurdle_gamma(), empty=True),
    "hu ln": b("zy ~ x", "hurdle_lognormal"),
    "zoib": lambda: brm(bf("prop01 ~ x", "zoi ~ 1", "coi ~ z"), D, zero_one_inflated_beta(), empty=True),
    "wiener": lambda: brm(bf("rt | dec(dec) ~ x", "bs ~ 0 + f", "ndt ~ 1", "bias ~ 1"), D, wiener(), empty=True),
    "mv fam": lambda: brm(mvbf(bf("y1 ~ x"), bf("bin ~ x", family=bernoulli()), rescor=False), D, empty=True),
    "1|g bare": b("y ~ x + 1|g"),
    "mvbind log": lambda: brm("mvbind(y1, log(pos)) ~ x", D, empty=True),
    "unused": lambda: brm(bf("y ~ x", unused="~ z"), D, empty=True),
    # --- autocor docs
    "ar": b("y ~ x + ar(p = 1)"),
    "ar cov": b("y ~ x + ar(time, gr = tg, p = 1, cov = TRUE)"),
    "ma": b("y ~ ma(time, tg, q = 1) + x"),
    "arma": b("y ~ arma(time, tg, p = 1, q = 1)"),
    "cosy": b("y ~ cosy(time, tg)"),
    "unstr": b("y ~ x + unstr(time, tg)"),
    "fcor": b("y ~ x + fcor(V)", data2={"V": V}),
    "sar": b("y ~ x + sar(WN)", data2={"WN": WN}),
    "sar err": b("y ~ x + sar(WN, type = 'error')", data2={"WN": WN}),
    "car": b("y ~ x + car(W, gr = g)", data2={"W": W8}),
    "car nogr": b("y ~ x + car(WN)", data2={"WN": WN}),
    "car icar": b("y ~ x + car(W, g, type='icar')", data2={"W": W8}),
    "car bym2": b("count ~ x + car(W, gr=g, type='bym2')", "poisson", data2={"W": W8}),
    "car esicar": b("y ~ x + car(W, gr = g, type = 'esicar')", data2={"W": W8}),
    "acformula": lambda: brm(bf("y ~ x") + acformula("~ ar(time, tg)"), D, empty=True),
    "autocor bf": lambda: brm(bf("y ~ x", autocor="~ arma(time, tg)"), D, empty=True),
    "autocor nl": lambda: brm(bf("y ~ a + b * x", "a + b ~ 1", autocor="~ ar(time, tg)", nl=True), D, empty=True),
    "acformula mv": lambda: brm(bf("y1 ~ x") + bf("y2 ~ x") + acformula("~ ar(time, tg)", resp="y1") + set_rescor(False), D, empty=True),
    "ar nl in nlpar?": lambda: brm(bf("y ~ a + b * x", "a + b ~ 1", nl=True) + acformula("~ cosy(time, tg)"), D, empty=True),
    "ar gr:": b("y ~ x + ar(time, gr = tg:f2)"),
    # --- gp, s
    "gp": b("y ~ gp(x)"),
    "gp2": b("y ~ gp(x1, x2, k = 5, c = 5/4)"),
    "gp by": b("y ~ gp(x, by = f)"),
    "gp iso": b("y ~ gp(x1, x2, iso = FALSE)"),
    "gp cov": b("y ~ gp(x, cov = 'matern32')"),
    "gp m52": b("y ~ gp(x, cov = 'matern52')"),
    "gp mat15": b("y ~ gp(x, cov = 'matern15')"),
    "gp exp": b("y ~ gp(x, cov = 'exponential')"),
    "gp gr": b("y ~ gp(x, gr = FALSE, scale = FALSE, cmc = FALSE, by = f)"),
    "s": b("y ~ s(x) + z"),
    "s by": b("y ~ s(x, by = f)"),
    "s bs": b("y ~ s(x, bs = 'cr', k = 5)"),
    "t2": b("y ~ t2(x, z)"),
    "s m": b("y ~ s(x, m = 1)"),
    "s cc": b("y ~ s(x, bs = 'cc')"),
    "s re": b("y ~ s(g, bs = 're')"),
    "s fs": b("y ~ s(x, f, bs = 'fs')"),
    "s ps": b("y ~ s(x, bs = 'ps')"),
    "s cs": b("y ~ s(x, bs='cs') + s(z, bs='ts')"),
    "s bsB": b("y ~ s(x, bs = 'bs')"),
    "s ds": b("y ~ s(x1, x2, bs='ds')"),
    "s gp": b("y ~ s(x, bs='gp')"),
    "s ad": b("y ~ s(x, bs='ad')"),
    "s sz": b("y ~ s(f, x, bs='sz')"),
    "s cp": b("y ~ s(x, bs='cp')"),
    "s knots": lambda: brm("y ~ s(x, bs='cr', k=4)", D, knots={"x": [-2, -0.5, 0.5, 2]}, empty=True),
    "s mrf": b("y ~ s(g, bs='mrf', xt = list(penalty = W))", data=D.assign(g=pd.Categorical(D.g)), data2={"W": np.diag(W8.sum()) - W8}),
    "te": b("y ~ te(x, z)"),
    "ti": b("y ~ t2(x, z, bs = c('cr', 'ps'), k = c(4, 5))"),
    "sos": b("y ~ s(lat, lon, bs='sos', k=20)"),
    "drop unused": lambda: brm("y ~ f", D.assign(f=D.f.cat.add_categories(["never"])), drop_unused_levels=False, empty=True),
    # --- mixtures
    "mix": lambda: brm(
        bf("y ~ x"),
        D,
        mixture(gaussian, gaussian),
        [prior("normal(0, 7)", class_="Intercept", dpar="mu1"), prior("normal(5, 7)", class_="Intercept", dpar="mu2")],
        empty=True,
    ),
    "mix form": lambda: brm(bf("y ~ 1", "mu1 ~ x", "mu2 ~ z"), D, mixture(gaussian, nmix=2), empty=True),
    "mix theta": lambda: brm(bf("y ~ x", "theta2 ~ x"), D, mixture(gaussian, nmix=2), empty=True),
    "mix fixed": lambda: brm(bf("y ~ x", theta1=1, theta2=3), D, mixture(gaussian, nmix=2), empty=True),
    "mix sig": lambda: brm(bf("y ~ x", sigma1="sigma2"), D, mixture(gaussian, nmix=2), empty=True),
    "mix dir": lambda: brm("y ~ x", D, mixture(gaussian, nmix=2), prior("dirichlet(1, 3)", class_="theta"), empty=True),
    "mix ord": lambda: brm("ord ~ x", D, mixture(cumulative, nmix=2, order="mu"), empty=True),
    "mix cust": lambda: brm("y ~ x", D, mixture(gaussian, custom_family("cf", lambda mu: dist.Cauchy(mu, 1.0), dpars=["mu"])), empty=True),
    "mix 3": lambda: brm("count ~ x", D, mixture(poisson, "negbinomial"), empty=True),
    # --- priors docs
    "p1": lambda: brm(
        "ord ~ f + x + (1 + x|g)",
        D,
        cumulative(),
        prior("normal(0, 10)", class_="b")
        + prior("normal(1, 2)", class_="b", coef="x")
        + prior("cauchy(0, 2)", class_="sd", group="g", coef="x")
        + prior("lkj(2)", class_="cor"),
        empty=True,
    ),
    "p vec": lambda: brm("ord ~ f + x", D, cumulative(), prior("normal(0,10)", class_=["b", "Intercept"]), empty=True),
    "p coefs": lambda: brm("y ~ x + z", D, prior=prior("normal(0, 2)", class_="b", coef=["x", "z"]), empty=True),
    "p dpars": lambda: brm(
        bf("y ~ x", "sigma ~ x", "nu ~ x"), D, student(), prior("normal(0, 2)", class_="b", dpar=["sigma", "nu"]), empty=True
    ),
    "p frame": lambda: brm("y ~ x", D, prior=pd.DataFrame(dict(prior=["normal(0,1)"], **{"class": ["b"]})), empty=True),
    "p default frame": lambda: brm("y ~ x + (1|g)", D, prior=default_prior("y ~ x + (1|g)", D), empty=True),
    "p tag": lambda: brm("y ~ x", D, prior=prior("normal(0,1)", class_="b", tag="mytag"), empty=True),
    "p const": lambda: brm("y ~ x", D, prior=prior("constant(1)", class_="b"), empty=True),
    "p constcor": lambda: brm(
        "y ~ x + (1+x|g)", D, prior=prior("constant(M)", class_="cor"), data2={"M": np.array([[1, 0.3], [0.3, 1]])}, empty=True
    ),
    "p lb": lambda: brm("y ~ x", D, prior=prior("normal(0,2)", class_="b", lb=0), empty=True),
    "p sd lb group": lambda: brm("y ~ x + (1|g) + (1|h)", D, prior=prior("normal(0,2)", class_="sd", group="g", lb=0.1, ub=3), empty=True),
    "p hs": lambda: brm("y ~ x + z", D, prior=prior("horseshoe(1)"), empty=True),
    "p hs2": lambda: brm("y ~ x + z + (1|g)", D, prior=prior("horseshoe(main = TRUE)") + prior("horseshoe()", class_="sd"), empty=True),
    "p R2D2": lambda: brm("y ~ x + z", D, prior=prior("R2D2(mean_R2 = 0.8, prec_R2 = 10)"), empty=True),
    "p R2D2cons": lambda: brm("y ~ x + z", D, prior=prior("R2D2(cons_D2 = 2:1)"), empty=True),
    "p R2D2 vec": lambda: brm("y ~ x + z", D, prior=prior("R2D2(cons_D2 = c(1, 0.5))"), empty=True),
    "p dir range": lambda: brm("y ~ mo(mo2)", D, prior=prior("dirichlet(1:3)", class_="simo", coef="momo21"), empty=True),
    "p expr": lambda: brm("y ~ x", D, prior=prior("normal(0, sqrt(2))"), empty=True),
    "p nlpars": lambda: brm(bf("y ~ a*exp(b*x)", "a + b ~ 1", nl=True), D, prior=prior("normal(0, 2)", nlpar=["a", "b"]), empty=True),
    "p Intercept": lambda: brm(
        "ord ~ x",
        D,
        cumulative(),
        prior("normal(0,2)", class_="Intercept", coef=1) + prior("normal(1,2)", class_="Intercept", coef="2"),
        empty=True,
    ),
    "p lkj_corr_chol": lambda: brm("y ~ x + (x|g)", D, prior=prior("lkj_corr_cholesky(2)", class_="L"), empty=True),
    "p resp": lambda: brm(
        mvbf("y1 ~ x", "y2 ~ x", rescor=False), D, prior=prior("normal(0,1)", resp="y1") + prior("normal(0,2)", resp="y2"), empty=True
    ),
    "p rescor": lambda: brm(mvbf("y1 ~ x", "y2 ~ x", rescor=True), D, prior=prior("lkj(2)", class_="rescor"), empty=True),
    "p flat": lambda: brm("y ~ x", D, prior=prior("", class_="sigma"), empty=True),
    "p ar": lambda: brm("y ~ x + ar(time, tg)", D, prior=prior("normal(0, 0.5)", class_="ar"), empty=True),
    "p inv_gamma gp": lambda: brm(
        "y ~ gp(x)", D, prior=prior("inv_gamma(2, 1)", class_="lscale", coef="gpx") + prior("normal(0,1)", class_="sdgp"), empty=True
    ),
    "p sds": lambda: brm(
        "y ~ s(x)", D, prior=prior("normal(0,1)", class_="sds") + prior("normal(0,1)", class_="sds", coef="s(x)"), empty=True
    ),
    "p me": lambda: brm("y ~ me(x, sdx)", D, prior=prior("normal(0,1)", class_="meanme") + prior("normal(0,1)", class_="sdme"), empty=True),
    "p mu cat": lambda: brm("cat ~ x", D, categorical(), prior("normal(0, 5)", class_="b", dpar="mub"), empty=True),
    "p string class": lambda: brm(
        "y ~ x", D, prior=prior("normal(0, 1)", class_="Intercept") + prior("exponential(1)", class_="sigma"), empty=True
    ),
    "p set_prior list": lambda: brm("y ~ x", D, prior=[prior("normal(0, 1)"), [prior("exponential(1)", class_="sigma")]], empty=True),
    "p target": lambda: brm("y ~ x", D, prior=prior("gamma(0.1, 0.1)", class_="sigma"), empty=True),
    "p sd group coef": lambda: brm("y ~ x + (1+x|g)", D, prior=prior("normal(0,1)", class_="sd", group="g", coef="Intercept"), empty=True),
    "p theta dirichlet": lambda: brm("y ~ x", D, mixture(gaussian, nmix=2), prior("dirichlet(c(2, 2))", class_="theta"), empty=True),
    # --- families
    "bern12": b("bin12 ~ x", "bernoulli"),
    "bern pm": b("pm ~ x", "bernoulli"),
    "bern fac": b("f2 ~ x", "bernoulli"),
    "negb": b("count ~ x", "negbinomial"),
    "geom": b("count ~ x", "geometric"),
    "compois": b("count ~ x", "com_poisson"),
    "dw": b("count ~ x", "discrete_weibull"),
    "betab": b("s | trials(n) ~ x", "beta_binomial"),
    "invgauss": b("pos ~ x", inverse_gaussian()),
    "exp": b("pos ~ x", "exponential"),
    "frechet": b("pos ~ x", "frechet"),
    "gev": b("y ~ x", "gen_extreme_value"),
    "exg": b("rt ~ x", "exgaussian"),
    "sln": b("rt ~ x", "shifted_lognormal"),
    "beta": b("prop ~ x", beta()),
    "Beta": b("prop ~ x", "Beta"),
    "vm": b("angle ~ x", "von_mises"),
    "skew": b("y ~ x", "skew_normal"),
    "dirichlet": b("cbind(p1, p2, p3) ~ x", "dirichlet"),
    "logistic_normal": b("cbind(p1,p2,p3) ~ x", "logistic_normal"),
    "multinom": b("cbind(c1,c2,c3) | trials(tot) ~ x", "multinomial"),
    "dirmult": b("cbind(c1,c2,c3) | trials(tot) ~ x", "dirichlet_multinomial"),
    "cat": b("cat ~ x", "categorical"),
    "refcat": b("cat ~ x", categorical(refcat="b")),
    "refcat NA": b("cat ~ x", categorical(refcat=None)),
    "zib": b("s | trials(n) ~ x", "zero_inflated_binomial"),
    "zibb": b("s | trials(n) ~ x", "zero_inflated_beta_binomial"),
    "zibeta": b("zp ~ x", "zero_inflated_beta", data=D.assign(zp=np.where(D.index % 5 == 0, 0, D["prop"]))),
    "hp": b("count ~ x", "hurdle_poisson"),
    "hnb": b("count ~ x", "hurdle_negbinomial"),
    "hcum": b("zord ~ x", "hurdle_cumulative"),
    "cox": b("pos | cens(cens01) ~ x", "cox"),
    "cox gr": b("pos | cens(cens01) + bhaz(gr = f2) ~ x", "cox"),
    "zi_poisson": b("count ~ x", "zi_poisson"),
    "zi_negbinomial": b("count ~ x", "zi_negbinomial"),
    "zi_binomial": b("s | trials(n) ~ x", "zi_binomial"),
    "zero_inflated.poisson": b("count ~ x", "zero.inflated.poisson"),
    "Gamma": b("pos ~ x", "Gamma"),
    "neg2": b("count ~ x", "negbinomial2"),
    "normal": b("y ~ x", "normal"),
    "hplus": b("count ~ x", "hurdle.poisson"),
    "acat": b("ord ~ x", "acat"),
    "cum equi": b("ord ~ x", cumulative(threshold="equidistant")),
    "cum stz": b("ord ~ x", cumulative(threshold="sum_to_zero")),
    "cum cloglog": b("ord ~ x", cumulative("cloglog")),
    "student": b("y ~ x", student(link_sigma="identity")),
    "fam list": lambda: brm(mvbf("y1 ~ x", "count ~ x"), D, [gaussian(), poisson()], empty=True),
    "xbeta": b("prop01 ~ x", "xbeta"),
    "gaussian log": b("pos ~ x", gaussian("log")),
    "poisson identity": b("count ~ x", poisson("identity")),
    "bern cauchit": b("bin ~ x", bernoulli("cauchit")),
    "bern softit": b("bin ~ x", bernoulli("softit")),
    "binom 1": b("bin | trials(1) ~ x", "binomial"),
    "lognormal": b("pos ~ x", "lognormal"),
    "asym": b("y ~ x", "asym_laplace"),
    "ziasym": b("zy ~ x", "zero_inflated_asym_laplace"),
    # --- formula oddities
    "I(me)": b("y ~ I(me(x, sdx)^2)"),
    "I(mi)": lambda: brm(
        bf("y ~ I(log(mi(pm1)))") + bf("pm1 | mi() ~ z") + set_rescor(False), D.assign(pm1=D.pos.where(D.index % 6 != 0)), empty=True
    ),
    "I(x^2)": b("y ~ x + I(x^2)"),
    "poly": b("y ~ poly(x, 2)"),
    "user fn": lambda: brm("y ~ myf(x)", D, data2={"myf": lambda v: v**2}, empty=True),
    "weights rescor": lambda: brm(bf("y1 | weights(w) ~ x") + bf("y2 | weights(w) ~ x") + set_rescor(True), D, empty=True),
    "arma mi": b("ym | mi() ~ x + ar(time, tg)"),
    "arma sigma": lambda: brm(bf("y ~ x + arma(time, tg)", "sigma ~ z"), D, empty=True),
    "dot": b("y ~ .", data=D[["y", "x", "z"]]),
    "update .": lambda: brm("y ~ x", D, empty=True).update(bf(". ~ . + z", "sigma ~ x"), newdata=D, empty=True),
    "update str": lambda: brm("y ~ x + z", D, prior=prior("normal(0,1)", coef="z"), empty=True).update("~ . - z", newdata=D, empty=True),
    "update nl": lambda: brm(bf("y ~ a * exp(b * x)", "a + b ~ 1", nl=True), D, empty=True).update("~ . + z", newdata=D, empty=True),
    "update fam": lambda: brm("y ~ x", D, empty=True).update(family=student(), empty=True),
    "update pred": lambda: brm(bf("y ~ x", "sigma ~ x"), D, empty=True).update(bf("~ .", "sigma ~ . + z"), newdata=D, empty=True),
}

#: Models that brim refuses, and a word of docs/differences.md that says why.
DIFFERENT = {
    "mmc": "mmc()",
    "nl int": "indexing",
    "s ad": "several penalties of one basis",
    "s sz": '`bs = "sz"`',
    "nl factor2": "factors in nonlinear",
}
PAGE = (Path(brim.__file__).parents[2] / "docs" / "differences.md").read_text()


@pytest.mark.parametrize("name", sorted(MODELS.keys() - DIFFERENT.keys()))
def test_model_builds(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", brim.BrimWarning)
        assert MODELS[name]().nobs() > 0


@pytest.mark.parametrize("name", sorted(DIFFERENT))
def test_a_model_that_does_not_build_is_in_the_table_of_differences(name):
    with pytest.raises(brim.BrimError):
        MODELS[name]()
    assert DIFFERENT[name] in PAGE
