"""The summary of a fit: brms' layout in text, the same tables as data frames and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from brim.arguments import number
from brim.errors import printable
from brim.fit.checks import verdict
from brim.frames.columns import format_number
from brim.infer.diagnostics import ess_bulk, ess_tail, rhat
from brim.infer.engines import EXACT
from brim.parameters.reported import Reported, Section
from brim.post.summaries.prior_table import prior_table
from brim.post.summaries.prior_text import prior_lines
from brim.post.summaries.tables import statistics
from brim.post.summaries.text import format_table, html_table
from brim.terms.groups.group import COR, DF, SD, TIED

if TYPE_CHECKING:
    import pandas as pd

    from brim.families.base import Family
    from brim.fit.record import FitRecord
    from brim.model.model import ResponseModel

__all__ = ["Summary", "Table", "summarise"]


_FOOTER = (
    "For each parameter, Bulk_ESS",
    "and Tail_ESS are effective sample size measures, and Rhat is the potential",
    "scale reduction factor on split chains (at convergence, Rhat = 1).",
)

_INDENT = " " * 9


@dataclass(frozen=True)
class Table:
    """One section: names of its variables and ``values (variables, 7)``, the columns as ``Summary.columns`` names them."""

    names: tuple[str, ...]
    values: np.ndarray

    def cells(self) -> list[list[str]]:
        """The numbers as printed: two digits, effective sample sizes whole, ``NA`` where there is none."""
        digits = [2] * 5 + [0] * 2
        return [["NA" if np.isnan(v) else f"{v:.{d}f}" for v, d in zip(row, digits, strict=True)] for row in self.values]


@dataclass(frozen=True)
class Summary:
    """What ``Fit.summary`` gives: prints as brms does, holds the tables.

    Attributes
    ----------
    family, links, formula
        As printed, one line a response (``formula``: one a parameter).
    data_name, nobs, ngrps
        Name of the data, number of observations, number of levels of each grouping factor.
    chains, iter, warmup, thin
        How it was sampled.
    sections
        Those of the model's kinds of parameters, in the order they print.
    tables
        Section (``fixed``, ``spec_pars``, ...) -> ``Table``; also as data frames, ``summary.fixed``.
    random_tables
        Grouping factor -> ``Table``; as data frames ``summary.random``.
    prob
        Probability of the intervals.
    sampler, engine, divergent
        What drew the sample, and its number of divergent transitions.
    verdict
        How far an approximate algorithm can be trusted; empty for Markov chains.
    warnings
        What is wrong with the draws (they have not converged, transitions diverged) and what to do, as when they were drawn.
    priors
        Lines of the prior section, empty unless asked for.
    """

    family: str
    links: tuple[str, ...]
    formula: tuple[str, ...]
    data_name: str
    nobs: int
    ngrps: Mapping[str, int]
    chains: int
    iter: int
    warmup: int
    thin: int
    draws: int
    sections: tuple[Section, ...] = field(repr=False)
    tables: Mapping[str, Table] = field(repr=False)
    random_tables: Mapping[str, Table] = field(repr=False)
    prob: float
    sampler: str
    engine: str
    divergent: int = 0
    verdict: str = ""
    warnings: tuple[str, ...] = ()
    priors: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Labels of the tables' columns."""
        percent = format_number(100 * self.prob)
        return ("Estimate", "Est.Error", f"l-{percent}% CI", f"u-{percent}% CI", "Rhat", "Bulk_ESS", "Tail_ESS")

    # ------------------------------------------------------------------ data frames

    def _frame(self, table: Table | None) -> pd.DataFrame:
        import pandas as pd

        table = Table((), np.zeros((0, len(self.columns)))) if table is None else table
        return pd.DataFrame(table.values, index=list(table.names), columns=list(self.columns))

    def table(self, section: str) -> pd.DataFrame:
        """The data frame of a section by name, also of one that a term of its own brought."""
        return self._frame(self.tables.get(section))

    @property
    def fixed(self) -> pd.DataFrame:
        """Population-level effects."""
        return self._frame(self.tables.get("fixed"))

    @property
    def random(self) -> dict[str, pd.DataFrame]:
        """Standard deviations and correlations of each grouping factor."""
        return {group: self._frame(table) for group, table in self.random_tables.items()}

    @property
    def spec_pars(self) -> pd.DataFrame:
        """Parameters of the family."""
        return self._frame(self.tables.get("spec_pars"))

    @property
    def splines(self) -> pd.DataFrame:
        """Standard deviations of smooth terms."""
        return self._frame(self.tables.get("splines"))

    @property
    def gp(self) -> pd.DataFrame:
        """Parameters of Gaussian processes."""
        return self._frame(self.tables.get("gp"))

    @property
    def cor_pars(self) -> pd.DataFrame:
        """Parameters of autocorrelation structures."""
        return self._frame(self.tables.get("cor_pars"))

    @property
    def mo(self) -> pd.DataFrame:
        """Simplex parameters of monotonic effects."""
        return self._frame(self.tables.get("mo"))

    @property
    def rescor_pars(self) -> pd.DataFrame:
        """Residual correlations between responses."""
        return self._frame(self.tables.get("rescor_pars"))

    # ------------------------------------------------------------------ text

    def frames(self) -> list[tuple[str, pd.DataFrame]]:
        """Every table with its title, in the order in which they print."""
        out: list[tuple[str, pd.DataFrame]] = []
        for section in self.sections:
            title = section.title.strip().rstrip(":")
            if section == SD.section:
                out += [(f"{title}, {group}", frame) for group, frame in self.random.items()]
            elif section.name in self.tables:
                out.append((title, self._frame(self.tables[section.name])))
        return out

    def __str__(self) -> str:
        lines = [*self._head(), ""]
        if self.priors:
            lines += ["Priors: ", *self.priors, ""]
        for title, tables in self._sections():
            lines.append(title)
            for heading, table in tables:
                lines += [heading] if heading else []
                lines += [*format_table(self.columns, table.cells(), table.names), ""]
        return printable("\n".join([*lines, *self._foot()]))

    __repr__ = __str__

    def _head(self) -> list[str]:
        return [
            *_model_lines(self.family, self.links, self.formula, self.data_name, self.nobs),
            f"  Draws: {self.chains} chains, each with iter = {self.iter}; warmup = {self.warmup}; thin = {self.thin};",
            f"{_INDENT}total post-warmup draws = {self.draws}",
        ]

    def _sections(self) -> Iterator[tuple[str, list[tuple[str, Table]]]]:
        """Title and tables, each with its heading, of the sections that are not empty."""
        for section in self.sections:
            if section == SD.section:
                found = [(f"~{g} (Number of levels: {self.ngrps[g]}) ", t) for g, t in self.random_tables.items()]
            else:
                found = [("", self.tables[section.name])] if section.name in self.tables else []
            if found:
                yield section.title, found

    def _foot(self) -> list[str]:
        lines = [f"Draws were sampled using {self.sampler}. {_FOOTER[0]}", *_FOOTER[1:]] if self.draws > 1 else []
        lines.append(f"Engine: {self.engine}")
        if self.verdict:
            lines.append(self.verdict)
        lines += [f"Warning: {said}" for said in self.warnings]
        return lines

    # ------------------------------------------------------------------ HTML

    def _repr_html_(self) -> str:
        parts = ["<div>", f"<pre>{escape(chr(10).join(self._head()))}</pre>"]
        if self.priors:
            parts.append(f"<p><b>Priors</b></p><pre>{escape(chr(10).join(self.priors))}</pre>")
        for title, tables in self._sections():
            parts.append(f"<p><b>{escape(title.strip(' :'))}</b></p>")
            for heading, table in tables:
                parts.append(html_table(self.columns, table.cells(), table.names, heading.strip()))
        return "".join([*parts, f"<p><small>{'<br>'.join(escape(line) for line in self._foot())}</small></p></div>"])


# --------------------------------------------------------------------------- making it


def summarise(fit: FitRecord, prob: float = 0.95, robust: bool = False, priors: bool = False) -> Summary:
    """The summary of a fit; see ``Fit.summary``.

    Diagnostics (rank-normalised split R-hat, bulk and tail effective sample size) are computed for what is shown only.
    """
    prob = number("prob", prob, above=0, below=1)
    posterior = fit.draws
    exact = fit.algorithm in EXACT
    stopped = bool(fit.info.get("stopped"))
    own = exact and (stopped or (posterior.chains, posterior.draws) == (fit.settings.chains, fit.settings.draws))
    tables, random = _tables(fit, prob, robust)
    return Summary(
        **_model(fit),
        ngrps=fit.ngrps(),
        chains=posterior.chains,
        iter=fit.settings.warmup + posterior.draws * fit.settings.thin if stopped else fit.settings.iter if own else posterior.draws,
        warmup=fit.settings.warmup if own else 0,
        thin=fit.settings.thin if own else 1,
        draws=posterior.chains * posterior.draws,
        sections=tuple(sorted({s for q in posterior.reported if (s := q.kind.section) is not None}, key=lambda s: s.place)),
        tables=tables,
        random_tables=random,
        prob=prob,
        sampler="sampling(NUTS)" if fit.algorithm == "sampling" else fit.algorithm,
        engine=fit.engine,
        verdict=str(fit.info.get("verdict", "")),
        warnings=(*([str(fit.info["stopped"])] if fit.info.get("stopped") else ()), *(verdict(fit) if exact else ())),
        divergent=int(np.sum(fit.stats["diverging"])) if "diverging" in fit.stats else 0,
        priors=tuple(prior_lines(prior_table(fit.model.rows))) if priors else (),
    )


def head(fit: FitRecord) -> str:
    """The first lines of a summary: family, links, formula, data, and how many draws there are."""
    draws = "none" if fit.posterior is None else f"{fit.posterior.chains} chains, {fit.posterior.chains * fit.posterior.draws} draws"
    return printable("\n".join([*_model_lines(**_model(fit)), f"  Draws: {draws}"]))


def _model(fit: FitRecord) -> dict[str, Any]:
    responses = fit.model.responses
    names = [_family_name(r.family) for r in responses]
    return {
        "family": names[0] if len(names) == 1 else f"MV({', '.join(names)})",
        "links": tuple(_links(r) for r in responses),
        "formula": tuple(line for f in fit.formula.formulas for line in _formula_lines(str(f))),
        "data_name": fit.data_name,
        "nobs": fit.nobs(),
    }


def _model_lines(family: str, links: tuple[str, ...], formula: tuple[str, ...], data_name: str, nobs: Any) -> list[str]:
    inner = f"\n{_INDENT}"
    return [
        f" Family: {family} ",
        *f"  Links: {inner.join(links)} ".split("\n"),
        *f"Formula: {inner.join(formula)}".split("\n"),
        f"   Data: {data_name} (Number of observations: {nobs}) ",
    ]


def _family_name(family: Family) -> str:
    """``mixture(gaussian, student)`` of a mixture, else the name."""
    return f"{family.name}({', '.join(c.name for c in family.components)})" if family.components else family.name


def _links(r: ResponseModel) -> str:
    """``mu = log; sigma = identity``: the links of predicted parameters; others are on their own scale."""
    links = {**r.family.links, **r.family.shown}
    return "; ".join(f"{s.name} = {links[s.name] if r.predictor(s.name) else 'identity'}" for s in r.family.dpars)


def _formula_lines(text: str) -> list[str]:
    first, *rest = text.split("\n")
    return [f"{first} ", *rest]


def _tables(fit: FitRecord, prob: float, robust: bool) -> tuple[dict[str, Table], dict[str, Table]]:
    """Tables by section and by grouping factor; all numbers in one pass over the draws shown."""
    labels: list[tuple[str, str, str]] = []  # section, grouping factor, name
    columns: list[np.ndarray] = []

    def add(q: Reported, section: str, group: str, label: Callable[[str], str]) -> None:
        values = fit.draws.array(q)
        columns.append(values.reshape(*values.shape[:2], -1))
        labels.extend((section, group, label(str(n))) for n in np.ravel(q.names))

    for q in fit.draws.reported:
        if q.kind.section is not None and q.kind.section != SD.section:
            add(q, q.kind.section.name, "", q.kind.called)
    for group in fit.ngrps():
        effects = [q for b in fit.model.blocks if b.grouping.label == group for q in b.reported()]
        for kind in (DF, SD, COR, *TIED.values()):
            for q in (q for q in effects if q.kind == kind):
                add(q, "random", group, _group_name(kind.name, group))
    if not columns:
        return {}, {}
    values = _statistics(np.concatenate(columns, axis=2), prob, robust)
    where: dict[tuple[str, str], list[int]] = {}
    for i, (section, group, _) in enumerate(labels):
        where.setdefault((section, group), []).append(i)
    made = {key: Table(tuple(labels[i][2] for i in at), values[at]) for key, at in where.items()}
    tables = {section: t for (section, group), t in made.items() if not group}
    return tables, {group: t for (_, group), t in made.items() if group}


def _group_name(kind: str, group: str) -> Callable[[str], str]:
    """``sd_g__x`` as ``sd(x)``, ``cor_g__Intercept__x`` as ``cor(Intercept,x)``, ``df_g`` as ``df``."""
    if kind == DF.name or kind in TIED:
        return lambda name: kind
    return lambda name: f"{kind}({name.removeprefix(f'{kind}_{group}__').replace('__', ',')})"


def _statistics(draws: np.ndarray, prob: float, robust: bool) -> np.ndarray:
    """``(chains, draws, variables) -> (variables, 7)``: estimate, error, interval, R-hat, effective sample sizes."""
    flat = draws.reshape(-1, draws.shape[2])
    basic = statistics(flat, robust, ((1 - prob) / 2, (1 + prob) / 2))
    if len(flat) == 1:  # a mode: one draw knows no error
        basic[1:] = np.nan
    return np.column_stack([basic.T, rhat(draws), ess_bulk(draws), ess_tail(draws)])
