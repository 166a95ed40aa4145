"""Grouping factors: which level(s) each row belongs to, for ``g``, ``a:b``, ``gr(g, ...)`` and ``mm(g1, g2, ...)``."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias, final

import numpy as np

from brim.design.expressions import Expression
from brim.errors import BrimError, suggest, warn
from brim.frames.frame import Factor, Frame
from brim.language.expand import Binary, Call, Constant, Name, Node, Text, deparse, fault, variables, word
from brim.terms.groups.structure import STRUCTURES, AbstractStructure

__all__ = ["Grouping", "grouping_label", "keys_of", "parse_grouping"]

Key: TypeAlias = tuple[str, ...]


@final
@dataclass(frozen=True)
class Grouping:
    """One grouping construct.

    Attributes
    ----------
    factors
        The columns of each membership: ``(("g",),)`` for ``g``, ``(("a", "b"),)`` for ``a:b``, ``(("g1",), ("g2",))`` for ``mm(g1, g2)``.
    label
        brms' name of the group (``g``, ``a:b``, ``mmg1g2``).
    by_name
        Column of ``gr(by = )``.
    dist
        ``"gaussian"`` or ``"student"``.
    correlated
        ``gr(cor = FALSE)`` turns correlations off.
    cov_name, cov
        ``gr(cov = A)`` and the matrix (values, names) found in ``data2``.
    structure
        ``gr(cov = "ar1")``: the correlations of a level's effects, ``None`` for any.
    id
        ``gr(id = "A")``: terms with the same one are correlated, as in ``(1 | A | g)``; how a block is gathered, not what it is.
    weight_name, prior_weights
        ``gr(pw = w)``: the column, and the learned weight of each level's prior density.
    by_columns, weight_columns
        The columns of ``by`` and ``pw``, one for each membership: ``mm(g1, g2, by = cbind(b1, b2))``.
    weight_nodes, scale_weights
        ``mm(weights = cbind(w1, w2), scale = )``.
    keys, levels
        Learned: what tells the levels apart, the values of their columns, and what they are called (``a_b`` for ``a:b``).
    by_levels, by_index, cholesky
        Learned: the levels of ``by``, the index of each level's ``by``, the Cholesky factor of ``cov`` in the order of ``levels``.
    new_keys, new_levels, new_by
        Levels of new data that the training data do not have (see ``scope``).
    """

    node: Node = field(compare=False, repr=False)
    factors: tuple[tuple[str, ...], ...]
    label: str
    by_name: str = ""
    dist: str = "gaussian"
    correlated: bool = True
    cov_name: str = ""
    cov: Any = field(compare=False, default=None, repr=False)
    structure: AbstractStructure | None = None
    weight_nodes: tuple[Node, ...] = field(compare=False, default=(), repr=False)
    weight_values: tuple[Expression, ...] = field(compare=False, default=(), repr=False)
    scale_weights: bool = True
    weight_name: str = ""
    id: str = field(compare=False, default="")
    only: bool = True
    keys: tuple[Key, ...] = field(compare=False, default=(), repr=False)
    levels: tuple[str, ...] = field(compare=False, default=())
    n_levels: int = 0
    by_levels: tuple[str, ...] = ()
    by_index: Any = field(compare=False, default=None, repr=False)
    cholesky: Any = field(compare=False, default=None, repr=False)
    prior_weights: Any = field(compare=False, default=None, repr=False)
    by_columns: tuple[str, ...] = ()
    weight_columns: tuple[str, ...] = ()
    new_keys: tuple[Key, ...] = field(compare=False, default=(), repr=False)
    new_levels: tuple[str, ...] = field(compare=False, default=())
    new_by: Any = field(compare=False, default=None, repr=False)

    def error(self, what: str, hint: str | None = None) -> BrimError:
        return BrimError(what, source=self.node.source or None, span=self.node.span, hint=hint)

    def variables(self) -> tuple[str, ...]:
        """The columns that must be complete."""
        out = [c for f in self.factors for c in f]
        return tuple(dict.fromkeys([*out, *self.by_columns, *self.weight_columns]))

    @property
    def is_mm(self) -> bool:
        return len(self.factors) > 1

    @property
    def level_names(self) -> tuple[str, ...]:
        """Levels as they stand in parameter names: white space becomes a dot, as in brms, where that leaves them apart."""
        levels = (*self.levels, *self.new_levels)
        dotted = [re.sub(r"\s", ".", level) for level in levels]
        count = Counter(dotted)
        return tuple(name if count[name] == 1 else level for name, level in zip(dotted, levels, strict=True))

    # ------------------------------------------------------------------ learning

    def learn(self, frame: Frame) -> Grouping:
        """Levels in R's order, checked; with ``by`` and ``cov`` resolved for them."""
        keys = _union(self._cells(frame))
        levels = self._named(keys)
        if len(levels) < 2:
            held = f"'{levels[0]}'" if levels else "none"
            raise self.error(
                f"the grouping factor '{self.label}' has one level only ({held})",
                "group effects need at least two levels; leave the term out",
            )
        weights = tuple(Expression(node).learn(frame) for node in self.weight_nodes)
        out = replace(self, keys=keys, levels=levels, n_levels=len(levels), weight_values=weights)
        out.weights(frame)  # checked before anything is fitted
        out = out._learn_by(frame) if self.by_name else replace(out, by_index=np.zeros(len(levels), np.int32))
        out = replace(out, prior_weights=out._learn_weights(frame)) if self.weight_name else out
        return replace(out, cholesky=_cov_cholesky(out)) if self.cov is not None else out

    def _cells(self, frame: Frame) -> list[_Cells]:
        """The level of each row in each membership."""
        try:
            return [_Cells.of(frame, names) for names in self.factors]
        except BrimError as error:
            raise error if error.source is not None else self.error(error.what, error.hint) from None

    def _named(self, keys: tuple[Key, ...], taken: tuple[str, ...] = ()) -> tuple[str, ...]:
        """What levels are called: ``a_b``; ``a:b`` where that would be the name of two, or of one of those ``taken``."""
        count = Counter([*("_".join(key) for key in keys), *taken])
        names = tuple(":".join(key) if count["_".join(key)] > 1 else "_".join(key) for key in keys)
        twice = [name for name, many in Counter([*names, *taken]).items() if many > 1]
        if twice:
            raise self.error(f"two levels of '{self.label}' would be called '{twice[0]}'", "rename the levels of its columns")
        return names

    def _learn_weights(self, frame: Frame) -> np.ndarray:
        """The prior weight of each level; all rows of a level must agree."""
        given = np.concatenate([frame.numbers(name) for name in self.weight_columns])
        codes = np.ravel(self.codes(frame))
        out = np.zeros(len(self.levels))
        out[codes] = given
        if (out[codes] != given).any():
            level = self.levels[codes[np.flatnonzero(out[codes] != given)[0]]]
            raise self.error(f"pw = {self.weight_name} differs within level '{level}' of '{self.label}'", "a level has one weight")
        if not (out >= 0).all():
            raise self.error(f"pw = {self.weight_name} has negative weights")
        return out

    def _learn_by(self, frame: Frame) -> Grouping:
        by = [frame.factor(name).drop_unused() for name in self.by_columns]
        levels = tuple(dict.fromkeys(level for column in by for level in column.levels))
        index = self._by_of(frame, self.keys, self.levels, [column.recode(levels) for column in by])
        return replace(self, by_levels=levels, by_index=index)

    def _by_of(self, frame: Frame, keys: tuple[Key, ...], levels: tuple[str, ...], by: list[Factor]) -> np.ndarray:
        """Index into ``by``'s levels of each level of the group; each level must stand in one."""
        index = np.full(len(levels), -1, np.int32)
        places = [cells.places(keys) for cells in self._cells(frame)]
        for at, one in zip(places, by, strict=True):
            index[at[at >= 0]] = one.codes[at >= 0]
        for at, one in zip(places, by, strict=True):
            keep = at >= 0
            wrong = np.flatnonzero(index[at[keep]] != one.codes[keep])
            if wrong.size:
                level = levels[at[keep][wrong[0]]]
                raise self.error(
                    f"level '{level}' of '{self.label}' stands in more than one level of by = {self.by_name}",
                    "each group level must belong to one level of the by variable",
                )
        return index

    def scope(self, frame: Frame) -> Grouping:
        """The grouping that also knows which levels of these rows are new."""
        known = set(self.keys)
        keys = tuple(key for key in _union(self._cells(frame)) if key not in known)
        if not keys:
            return replace(self, new_keys=(), new_levels=(), new_by=None)
        new = self._named(keys, self.levels)
        if self.cov is not None:
            raise self.error(
                f"'{new[0]}' is a new level of '{self.label}', whose levels are correlated by cov = {self.cov_name}",
                "predict for known levels only",
            )
        index = np.zeros(len(new), np.int32)
        if self.by_name:
            given = [frame[name].as_factor() for name in self.by_columns]
            unknown = [level for column in given for level in column.levels_used if level not in self.by_levels]
            if unknown:
                raise self.error(f"'{unknown[0]}' is not a level of '{self.by_name}'", suggest(unknown[0], self.by_levels, "levels"))
            index = self._by_of(frame, keys, new, [column.recode(self.by_levels) for column in given])
        return replace(self, new_keys=keys, new_levels=new, new_by=index)

    # ------------------------------------------------------------------ design

    def codes(self, frame: Frame) -> np.ndarray:
        """Index of each row's level, (rows,), or (memberships, rows) for ``mm()``."""
        known = self._known_codes(frame)
        if known is not None:
            return known
        out = []
        for cells in self._cells(frame):
            if (cells.codes < 0).any():
                row = int(np.flatnonzero(cells.codes < 0)[0])
                raise self.error(
                    f"the grouping factor '{self.label}' is missing in {frame.row_name(row)}",
                    "give a level, or predict with re_formula=False",
                )
            out.append(cells.places((*self.keys, *self.new_keys)))
        return np.stack(out) if self.is_mm else out[0]

    def _known_codes(self, frame: Frame) -> np.ndarray | None:
        """The codes of a key of one column that is a factor without missing values; ``None``: the general way is to be taken."""
        name = self.factors[0][0]
        if self.is_mm or len(self.factors[0]) > 1 or name not in frame:
            return None
        factor = frame.factors.get(name, frame[name])
        if not isinstance(factor, Factor) or factor.missing.any():
            return None
        return _table(factor.levels, (*self.keys, *self.new_keys))[factor.codes]

    def weights(self, frame: Frame) -> np.ndarray | None:
        """Membership weights (memberships, rows); equal ones unless given, scaled to sum to one unless ``scale = FALSE``."""
        if not self.is_mm:
            return None
        m = len(self.factors)
        if not self.weight_nodes:
            return np.full((m, frame.n), 1.0 / m)
        w = np.stack([value.numbers(frame) for value in self.weight_values])
        if len(w) != m:
            raise self.error(
                f"mm() has {m} grouping factors but {len(w)} weights", "give weights = cbind(...) with one column for each factor"
            )
        if not self.scale_weights:
            return w
        total = w.sum(axis=0)
        if (w < 0).any() or (total <= 0).any():
            row = int(np.flatnonzero((w < 0).any(axis=0) | (total <= 0))[0])
            raise self.error(
                f"membership weights of {frame.row_name(row)} are negative or sum to zero",
                "use weights >= 0, or scale = FALSE",
            )
        return w / total

    def learn_members(self, frame: Frame, calls: tuple[Call, ...]) -> tuple[tuple[str, tuple[Expression, ...]], ...]:
        """The columns of calls to ``mmc()``: each name with what it is in each membership."""
        for call in calls:
            if len(call.args) != len(self.factors):
                raise self.error(
                    f"{deparse(call)} has {len(call.args)} columns for {len(self.factors)} grouping factors",
                    "give one column for each factor of mm()",
                )
        return tuple((mmc_column(call), tuple(Expression(arg).learn(frame) for arg in call.args)) for call in calls)

    def member_frames(self, frame: Frame, columns: tuple[tuple[str, tuple[Expression, ...]], ...]) -> list[Frame]:
        """The frame each membership's coefficients are read from: ``mmc(x1, x2)`` reads ``x1`` for the first."""
        if not columns:
            return [frame]
        return [frame.with_columns({name: e[m].numbers(frame) for name, e in columns}) for m in range(len(self.factors))]


def mmc_column(call: Call) -> str:
    """The name under which ``mmc(x1, x2)`` stands in the design: brms' ``mmcx1x2``."""
    return "mmc" + "".join(deparse(a) for a in call.args)


@dataclass(frozen=True)
class _Cells:
    """The level of each row, -1 where missing, as a place among ``keys``: tuples of the levels of its columns."""

    codes: np.ndarray
    keys: tuple[Key, ...]

    @staticmethod
    def of(frame: Frame, names: tuple[str, ...]) -> _Cells:
        """One column with its levels in their order, or the combinations of several, sorted by their names as text."""
        parts = [frame.factor(n).drop_unused() for n in names]
        if len(names) == 1:
            return _Cells(parts[0].codes, tuple((level,) for level in parts[0].levels))
        codes = np.stack([p.codes for p in parts])
        missing = (codes < 0).any(axis=0)
        unique, inverse = _distinct_columns(codes[:, ~missing], [len(p.levels) for p in parts])
        keys = [tuple(p.levels[c] for p, c in zip(parts, column, strict=True)) for column in unique.T]
        order = sorted(range(len(keys)), key=lambda i: ("_".join(keys[i]), keys[i]))
        rank = np.empty(len(keys), np.int32)
        rank[order] = np.arange(len(keys), dtype=np.int32)
        out = np.full(frame.n, -1, np.int32)
        out[~missing] = rank[np.ravel(inverse)]
        return _Cells(out, tuple(keys[i] for i in order))

    def places(self, keys: tuple[Key, ...]) -> np.ndarray:
        """Each row's place among other keys, -1 where it has none."""
        place = {key: i for i, key in enumerate(keys)}
        return np.array([*(place.get(key, -1) for key in self.keys), -1], np.int32)[self.codes]


def _distinct_columns(codes: np.ndarray, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The distinct columns of codes (keys, rows), each below its size, in order, and the number of each row's."""
    if math.prod(sizes) >= 2**62:
        unique, inverse = np.unique(codes, axis=1, return_inverse=True)
        return unique, np.ravel(inverse)
    joint = np.ravel_multi_index(tuple(codes.astype(np.int64)), tuple(sizes)) if codes.size else np.zeros(0, np.int64)
    unique, inverse = np.unique(joint, return_inverse=True)
    return np.array(np.unravel_index(unique, tuple(sizes))), np.ravel(inverse)


@lru_cache(maxsize=8)
def _table(levels: tuple[str, ...], keys: tuple[Key, ...]) -> np.ndarray:
    """The place of each level among the keys, -1 where it has none and last."""
    place = {key: i for i, key in enumerate(keys)}
    return np.array([*(place.get((level,), -1) for level in levels), -1], np.int32)


def _union(columns: list[_Cells]) -> tuple[Key, ...]:
    """All keys: a single factor's in its own order, several factors' in the order of first appearance."""
    return tuple(dict.fromkeys(key for c in columns for key in c.keys))


def _cov_cholesky(grouping: Grouping) -> np.ndarray:
    values, names = grouping.cov
    values = np.asarray(values, float)
    what = f"cov = {grouping.cov_name}"
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not np.allclose(values, values.T):
        raise grouping.error(f"{what} must be a symmetric matrix; its shape is {values.shape}")
    if names is None:
        if len(values) != len(grouping.levels):
            raise grouping.error(
                f"{what} has no row names and {len(values)} rows for {len(grouping.levels)} levels",
                "give a data frame whose index holds the levels",
            )
        shown = ", ".join(grouping.levels[:3]) + (", ..." if len(grouping.levels) > 3 else "")
        warn(f"{what} has no row names: its rows are taken for the levels {shown} in this order; a data frame's index would say so")
        names = grouping.levels
    place = {str(n): i for i, n in enumerate(names)}
    missing = [level for level in grouping.levels if level not in place]
    if missing:
        raise grouping.error(f"{what} has no row for level '{missing[0]}'", suggest(missing[0], place, "rows"))
    order = [place[level] for level in grouping.levels]
    try:
        return np.linalg.cholesky(values[np.ix_(order, order)])
    except np.linalg.LinAlgError:
        raise grouping.error(f"{what} is not positive definite", "check the matrix, or add a small value to its diagonal") from None


# --------------------------------------------------------------------------- reading the construct


def parse_grouping(by: Node, data2: Mapping[str, Any]) -> Grouping:
    """Read what stands right of the bar: ``g``, ``a:b``, ``gr(...)`` or ``mm(...)``."""
    if isinstance(by, Call) and by.fn == "gr":
        return _parse_gr(by, data2)
    if isinstance(by, Call) and by.fn == "mm":
        return _parse_mm(by, data2)
    names = _columns(by, by)
    return Grouping(by, (names,), ":".join(names))


def grouping_label(by: Node) -> str:
    """The label of a grouping construct, whatever its other arguments are."""
    if isinstance(by, Call) and by.fn == "mm":
        return "mm" + "".join(":".join(_columns(a, by)) for a in by.args)
    return ":".join(_columns(by.args[0] if isinstance(by, Call) and by.fn == "gr" and by.args else by, by))


def keys_of(by: Node) -> tuple[tuple[str, ...], ...]:
    """The columns of each key of a grouping construct: of each membership, and of ``by`` and ``pw``."""
    if not isinstance(by, Call):
        return (_columns(by, by),)
    named = [node for name, node in by.kwargs if name in ("by", "pw")]
    return (*(_columns(arg, by) for arg in by.args), *((v,) for node in named for v in variables(node)))


def _columns(node: Node, whole: Node) -> tuple[str, ...]:
    if isinstance(node, Name):
        return (node.name,)
    if isinstance(node, Binary) and node.op == ":":
        return (*_columns(node.left, whole), *_columns(node.right, whole))
    raise BrimError(
        f"'{deparse(node)}' is not a grouping factor",
        source=node.source or None,
        span=node.span,
        hint="a group is a column, columns joined by ':', gr() or mm(); make a column of anything else first",
    )


def _keywords(call: Call, known: tuple[str, ...]) -> dict[str, Node]:
    out = dict(call.kwargs)
    for name, node in out.items():
        if name not in known:
            raise BrimError(
                f"{call.fn}() has no argument '{name}'", source=call.source or None, span=node.span, hint=suggest(name, known, "arguments")
            )
    return out


def _flag(node: Node | None, default: bool) -> bool:
    if node is None:
        return default
    if isinstance(node, Constant) and isinstance(node.value, bool):
        return node.value
    raise BrimError(f"'{deparse(node)}' must be TRUE or FALSE", source=node.source or None, span=node.span)


def _parse_gr(call: Call, data2: Mapping[str, Any]) -> Grouping:
    given = _keywords(call, ("by", "cov", "dist", "cor", "id", "pw"))
    if len(call.args) != 1:
        raise BrimError("gr() takes one grouping factor", source=call.source or None, span=call.span, hint="write gr(g) or gr(a:b)")
    names = _columns(call.args[0], call)
    return _with_options(Grouping(call, (names,), grouping_label(call)), call, given, data2)


def _with_options(grouping: Grouping, call: Call, given: Mapping[str, Node], data2: Mapping[str, Any]) -> Grouping:
    """What ``gr()`` and ``mm()`` both take: the law of the effects, their correlations, and what differs by level."""
    dist = "gaussian"
    if "dist" in given:
        dist = word(given["dist"], ("gaussian", "student"), f"laws of {call.fn}(dist = )")
    cov_name, cov, correlated, structure = "", None, _flag(given.get("cor"), True), None
    if isinstance(given.get("cov"), Text):
        kind = word(given["cov"], ("us", "diag", *STRUCTURES), "structures of gr(cov = )")
        structure, correlated = STRUCTURES.get(kind), correlated and kind != "diag"
        if structure is not None and ("by" in given or grouping.is_mm or not correlated):
            raise fault(given["cov"], f"cov = '{kind}' goes without by, cor = FALSE and mm()", "leave one of them out")
    elif "cov" in given:
        cov_name = deparse(given["cov"])
        if cov_name not in data2:
            what = f"{call.fn}(cov = {cov_name}): there is no '{cov_name}' in data2"
            raise fault(given["cov"], what, suggest(cov_name, data2, "objects in data2"))
        cov = data2[cov_name]
    by, weights = (_membership_columns(call, given[k], k, len(grouping.factors)) if k in given else () for k in ("by", "pw"))
    return replace(
        grouping,
        by_name=deparse(given["by"]) if by else "",
        dist=dist,
        correlated=correlated,
        cov_name=cov_name,
        cov=cov,
        structure=structure,
        weight_name=deparse(given["pw"]) if weights else "",
        by_columns=by,
        weight_columns=weights,
        id=_identifier(given.get("id")),
    )


def _membership_columns(call: Call, node: Node, argument: str, factors: int) -> tuple[str, ...]:
    """One column, or ``cbind()`` of one for each membership."""
    if factors > 1 and not (isinstance(node, Call) and node.fn == "cbind" and len(node.args) == factors):
        raise fault(node, f"{argument} of {call.fn}() needs a column for each of its {factors} factors", f"write {argument} = cbind(a, b)")
    return tuple(_column_of(call, one, argument) for one in (node.args if isinstance(node, Call) and factors > 1 else (node,)))


def _identifier(node: Node | None) -> str:
    """The value of ``id``: a string, or a name taken for one."""
    if node is None or (isinstance(node, Constant) and node.value is None):
        return ""
    return node.value if isinstance(node, Text) else deparse(node)


def _column_of(call: Call, node: Node, argument: str) -> str:
    if isinstance(node, Name):
        return node.name
    raise BrimError(
        f"{argument} = {deparse(node)} must be a column", source=call.source or None, span=node.span, hint="make a column of it first"
    )


def _parse_mm(call: Call, data2: Mapping[str, Any]) -> Grouping:
    given = _keywords(call, ("weights", "scale", "by", "cor", "id", "cov", "dist", "pw"))
    if len(call.args) < 2:
        raise BrimError(
            "mm() needs at least two grouping factors",
            source=call.source or None,
            span=call.span,
            hint="write mm(g1, g2), or (1 | g) for one",
        )
    factors = tuple(_columns(a, call) for a in call.args)
    weights: tuple[Node, ...] = ()
    if "weights" in given:
        node = given["weights"]
        weights = node.args if isinstance(node, Call) and node.fn == "cbind" else (node,)
    grouping = Grouping(call, factors, grouping_label(call), weight_nodes=weights, scale_weights=_flag(given.get("scale"), True))
    return _with_options(grouping, call, given, data2)
