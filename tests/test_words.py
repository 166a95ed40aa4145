"""One name, one thing: a class is defined once in the rooms that share a language."""

import ast
from collections import defaultdict
from pathlib import Path

import brim

SOURCE = Path(brim.__file__).parent

#: Rooms of other packages' languages, whose words are theirs.
DIALECTS = ("lme4", "rstanarm", "mixedup")

#: Names that stand for two things, and why they may.
JUDGED = {
    "Addition": "what + adds to a formula; an addition term of a response, learned",
    "CompoundSymmetry": "one structure, of residuals and of group effects",
    "Factor": "a column of levels; a grouping factor of sparse products",
    "Known": "of censored rows; of rows whose residuals are computed at every gradient",
    "Predictor": "a parameter's formula; the same, learned",
    "Sums": "of rows, by level of a chain; the same in the order of a sparse pattern",
    "Unit": "laws on (0, 1); rows that share a law",
}


def test_a_class_has_one_home():
    homes = defaultdict(list)
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE)
        if place.parts[0] in DIALECTS:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(place))
    twice = {name: places for name, places in homes.items() if len(places) > 1 and name not in JUDGED}
    assert not twice, twice
