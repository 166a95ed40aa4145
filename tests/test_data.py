"""The bundled data sets."""

from importlib.resources import files

import pytest

import brim
from brim.data import DATASETS, names

# levels(VerbAgg$mode) and so on, where they are not the alphabet's order
LEVELS = [
    ("gpa", "job", False, ["no job", "1 hour", "2 hours", "3 hours", "4 or more hours"]),
    ("gpa", "sex", False, ["male", "female"]),
    ("verbagg", "mode", False, ["want", "do"]),
    ("verbagg", "resp", True, ["no", "perhaps", "yes"]),
    ("cake", "temperature", True, ["175", "185", "195", "205", "215", "225"]),
    ("kidney", "disease", False, ["other", "GN", "AN", "PKD"]),
    ("grouseticks", "YEAR", False, ["95", "96", "97"]),
]

# R 4.2.2: mean(lme4::VerbAgg$Anger), mean(brms::kidney$time), mean(MASS::mcycle$accel) and so on
MEANS = [
    ("cake", "angle", 32.12222222),
    ("cbpp", "incidence", 1.767857143),
    ("dyestuff2", "Yield", 5.6656),
    ("epilepsy", "count", 8.254237288),
    ("grouseticks", "TICKS", 6.369727047),
    ("inhaler", "rating", 1.431818182),
    ("kidney", "time", 101.6315789),
    ("loss", "cum", 2552.944582),
    ("mcycle", "accel", -25.54586466),
    ("orange", "circumference", 115.8571429),
    ("penicillin", "diameter", 22.97222222),
    ("sleepstudy", "Reaction", 298.5078917),
    ("verbagg", "Anger", 20.00316456),
]


@pytest.mark.parametrize("name", names())
def test_every_set_is_as_described(name):
    data = brim.load_data(name)
    described = DATASETS[name]
    words = described.columns.replace("(", " ").replace(",", " ").split()
    assert len(data) == described.rows
    assert set(data.columns) <= set(words)
    assert name in brim.data.__doc__


def test_every_file_is_listed():
    stems = {f.name.split(".")[0] for f in files("brim.data").iterdir() if ".csv" in f.name}
    assert stems == set(names())


@pytest.mark.parametrize(("name", "column", "ordered", "levels"), LEVELS)
def test_levels(name, column, ordered, levels):
    values = brim.load_data(name)[column]
    assert values.cat.categories.tolist() == levels
    assert values.cat.ordered is ordered


def test_levels_that_look_like_numbers_are_counted_not_sorted_as_text():
    student = brim.load_data("gpa")["student"]
    assert student.cat.categories[:3].tolist() == ["1", "2", "3"]
    assert student.cat.codes.tolist()[:7] == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("name", "column", "mean"), MEANS)
def test_means(name, column, mean):
    assert brim.load_data(name)[column].mean() == pytest.approx(mean, rel=1e-6)


def test_missing_values_are_kept():
    gpa = brim.load_data("gpa")
    assert gpa["admitted"].isna().sum() == 384
    assert brim.load_data("pbcLong")["platelet"].isna().sum() == 9


def test_inhaler_has_both_periods_of_every_patient():
    # R: table(brms::inhaler$rating), range(table(brms::inhaler$subject))
    inhaler = brim.load_data("inhaler")
    assert inhaler["rating"].value_counts(sort=False).sort_index().tolist() == [358, 189, 17, 8]
    assert inhaler.groupby("subject")["period"].agg(["count", "sum"]).drop_duplicates().to_numpy().tolist() == [[2, 0.0]]


def test_an_unknown_name_gets_the_near_ones():
    with pytest.raises(brim.BrimError, match=r"(?s)no data set 'sleepstdy'.*did you mean 'sleepstudy'"):
        brim.load_data("sleepstdy")
