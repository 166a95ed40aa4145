"""The models that are timed: one entry each, with the formula of every peer that can express it."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["MODELS", "Model"]


@dataclass(frozen=True)
class Model:
    """A model and how each peer writes it.

    Attributes
    ----------
    name
        What ``--models`` calls it.
    about
        One line for the table.
    source
        Where the rows come from: see ``sources.write``.
    formula, family
        As brim and brms read them; both use their default priors.
    bambi, lme4
        Formula and family in these packages' own notation; ``None`` where they have no such model.
    by_hand
        Whether ``peers/fit_numpyro.py`` has it, written out by hand.
    slow
        Peers that need many minutes or hours for it: left out unless asked for with ``--slow``.
    """

    name: str
    about: str
    source: str
    formula: str
    family: str
    bambi: tuple[str, str] | None = None
    lme4: tuple[str, str] | None = None
    by_hand: bool = False
    slow: frozenset[str] = field(default_factory=frozenset)


_SLOPES = "y ~ x + (1 + x | g)"


def _simulated(rows: int, label: str, slow: str) -> Model:
    return Model(
        name=f"slopes_{label}",
        about=f"simulated, Gaussian, random slopes of 1000 groups, {rows:,} rows",
        source=f"simulated:{rows}",
        formula=_SLOPES,
        family="gaussian",
        bambi=("y ~ x + (x|g)", "gaussian"),
        lme4=(_SLOPES, "gaussian"),
        slow=frozenset(slow.split()),
    )


_ALL = (
    Model(
        name="gpa",
        about="Gaussian, random slopes of 200 students, 1,200 rows",
        source="bundled:gpa",
        formula="gpa ~ occasion + (1 + occasion | student)",
        family="gaussian",
        bambi=("gpa ~ occasion + (occasion|student)", "gaussian"),
        lme4=("gpa ~ occasion + (1 + occasion | student)", "gaussian"),
        by_hand=True,
    ),
    Model(
        name="sleepstudy",
        about="Gaussian, random slopes of 18 drivers, 180 rows",
        source="bundled:sleepstudy",
        formula="Reaction ~ Days + (1 + Days | Subject)",
        family="gaussian",
        bambi=("Reaction ~ Days + (Days|Subject)", "gaussian"),
        lme4=("Reaction ~ Days + (1 + Days | Subject)", "gaussian"),
    ),
    Model(
        name="epilepsy",
        about="Poisson, 59 patients and one effect a row, 236 rows",
        source="bundled:epilepsy",
        formula="count ~ zAge + zBase * Trt + (1 | patient) + (1 | obs)",
        family="poisson",
        bambi=("count ~ zAge + zBase * Trt + (1|patient) + (1|obs)", "poisson"),
        lme4=("count ~ zAge + zBase * Trt + (1 | patient) + (1 | obs)", "poisson"),
        by_hand=True,
    ),
    Model(
        name="cbpp",
        about="binomial, 15 herds, 56 rows",
        source="bundled:cbpp",
        formula="incidence | trials(size) ~ period + (1 | herd)",
        family="binomial",
        bambi=("p(incidence, size) ~ period + (1|herd)", "binomial"),
        lme4=("cbind(incidence, size - incidence) ~ period + (1 | herd)", "binomial"),
        by_hand=True,
    ),
    Model(
        name="grouseticks",
        about="Poisson, 118 broods, 63 locations and one effect a row, 403 rows",
        source="bundled:grouseticks",
        formula="TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)",
        family="poisson",
        bambi=("TICKS ~ YEAR + cHEIGHT + (1|BROOD) + (1|INDEX) + (1|LOCATION)", "poisson"),
        lme4=("TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION)", "poisson"),
    ),
    Model(
        name="verbagg",
        about="Bernoulli, 316 people crossed with 24 items, 7,584 rows",
        source="bundled:verbagg",
        formula="yes ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)",
        family="bernoulli",
        bambi=("yes ~ Anger + Gender + btype + situ + (1|id) + (1|item)", "bernoulli"),
        lme4=("yes ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "binomial"),
        by_hand=True,
    ),
    Model(
        name="inhaler",
        about="cumulative, 286 patients, 572 rows",
        source="file:inhaler",
        formula="rating ~ treat + period + carry + (1 | subject)",
        family="cumulative",
        bambi=("level ~ treat + period + carry + (1|subject)", "cumulative"),
    ),
    Model(
        name="kidney",
        about="Weibull with censoring, 38 patients, 76 rows",
        source="bundled:kidney",
        formula="time | cens(censored) ~ age + sex + (1 | patient)",
        family="weibull",
        bambi=("censored(time, status) ~ age + sex + (1|patient)", "weibull"),
    ),
    Model(
        name="insteval",
        about="Gaussian, 2,972 students crossed with 1,128 lecturers, 28 departments' services, 73,421 rows",
        source="file:insteval",
        formula="y ~ service + (1 | s) + (1 | d) + (1 | dept:service)",
        family="gaussian",
        bambi=("y ~ service + (1|s) + (1|d) + (1|dept:service)", "gaussian"),
        lme4=("y ~ service + (1 | s) + (1 | d) + (1 | dept:service)", "gaussian"),
        slow=frozenset({"brms", "bambi", "blackjax"}),
    ),
    _simulated(10**4, "1e4", "brms blackjax"),
    _simulated(10**5, "1e5", "brms bambi blackjax"),
    _simulated(10**6, "1e6", "brms bambi blackjax"),
    _simulated(10**7, "1e7", "brms bambi blackjax lme4"),
)

MODELS = {model.name: model for model in _ALL}
