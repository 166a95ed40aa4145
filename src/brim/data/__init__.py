"""Data sets that come with brim, the ones which books and manuals of multilevel models use.

``brim.load_data("gpa")`` gives a data frame, ``brim.data.names()`` the names, and ``brim data`` on the command line this list:

"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from brim.arguments import named
from brim.errors import BrimError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    import pandas as pd

__all__ = ["DATASETS", "DataSet", "load_data", "names", "read_csv", "table"]


@dataclass(frozen=True)
class DataSet:
    """What a bundled data set holds, and where it was published.

    Attributes
    ----------
    rows
        Number of rows.
    about
        What was observed.
    columns
        The columns, the response first.
    source
        Where the data were published.
    """

    rows: int
    about: str
    columns: str
    source: str


DATASETS: Mapping[str, DataSet] = {
    "cake": DataSet(
        270,
        "how far a slice of chocolate cake bends before it breaks: 3 recipes x 6 oven temperatures x 15 batches",
        "angle (degrees), replicate, recipe, temperature (ordered), temp (the same in degrees Fahrenheit)",
        "F. E. Cook (1938), in Cochran & Cox (1957), Experimental Designs",
    ),
    "cbpp": DataSet(
        56,
        "new cases of contagious bovine pleuropneumonia in 15 herds over four quarters",
        "incidence, size (animals at risk), herd, period",
        "Lesnoff et al. (2004), Preventive Veterinary Medicine 64",
    ),
    "dyestuff": DataSet(
        30,
        "yield of dyestuff from five preparations of each of six batches",
        "Yield (grams of standard colour), Batch",
        "Davies & Goldsmith (1972), Statistical Methods in Research and Production",
    ),
    "dyestuff2": DataSet(
        30,
        "simulated yields in which the batches hardly differ",
        "Yield, Batch",
        "Box & Tiao (1973), Bayesian Inference in Statistical Analysis",
    ),
    "epilepsy": DataSet(
        236,
        "seizures of 59 patients in the two weeks before each of four visits, under progabide or placebo",
        "count, Trt (1 = progabide), patient, visit, obs (one level a row), Age, Base (seizures before), zAge, zBase (standardised)",
        "Thall & Vail (1990), Biometrics 46",
    ),
    "gpa": DataSet(
        1200,
        "grade point average of 200 students in six consecutive semesters",
        "gpa, occasion (0 to 5), student, occas, year, semester, job (hours a week), sex, highgpa (at high school), admitted",
        "J. J. Hox (2010), Multilevel Analysis",
    ),
    "grouseticks": DataSet(
        403,
        "ticks on the heads of red grouse chicks",
        "TICKS, INDEX (chick), BROOD, LOCATION, YEAR, HEIGHT (metres above sea level), cHEIGHT (centred)",
        "Elston et al. (2001), Parasitology 122",
    ),
    "inhaler": DataSet(
        572,
        "how clear 286 patients found the leaflets of two inhalers in a cross-over trial",
        "rating (1 to 4), subject, treat, period, carry (contrasts of +0.5 and -0.5)",
        "Ezzet & Whitehead (1991), Statistics in Medicine 10",
    ),
    "kidney": DataSet(
        76,
        "time to the first and second infection at the catheter of dialysis patients",
        "time (days), censored (1 = not observed), patient, recur, age, sex, disease",
        "McGilchrist & Aisbett (1991), Biometrics 47",
    ),
    "loss": DataSet(
        55,
        "cumulative insurance payments by accident year and months of development",
        "cum, AY (accident year), dev (months), premium",
        "Gesmann & Morris (2020), Hierarchical Compartmental Reserving Models",
    ),
    "mcycle": DataSet(
        133,
        "head acceleration in a simulated motorcycle accident",
        "accel (g), times (milliseconds after impact)",
        "Silverman (1985), Journal of the Royal Statistical Society B 47",
    ),
    "orange": DataSet(
        35,
        "growth of five orange trees",
        "circumference (mm), age (days), Tree",
        "Draper & Smith (1998), Applied Regression Analysis",
    ),
    "pastes": DataSet(
        60,
        "strength of a chemical paste: ten batches, three casks from each, two assays of each cask",
        "strength, batch, cask, sample (cask within batch)",
        "Davies & Goldsmith (1972), Statistical Methods in Research and Production",
    ),
    "pbcLong": DataSet(
        304,
        "blood values of 40 patients with primary biliary cirrhosis, repeated over years",
        "logBili, albumin, platelet, id, year, age, sex, trt",
        "Fleming & Harrington (1991), Counting Processes and Survival Analysis",
    ),
    "pbcSurv": DataSet(
        40,
        "survival of the patients of pbcLong",
        "futimeYears, death, status (0 = censored, 1 = transplant, 2 = died), id, age, sex, trt",
        "Fleming & Harrington (1991), Counting Processes and Survival Analysis",
    ),
    "penicillin": DataSet(
        144,
        "zones in which six samples of penicillin kept bacteria from growing, on 24 plates",
        "diameter (mm), plate, sample",
        "Davies & Goldsmith (1972), Statistical Methods in Research and Production",
    ),
    "sleepstudy": DataSet(
        180,
        "reaction times of 18 lorry drivers over ten days with little sleep",
        "Reaction (milliseconds), Days (0 to 9), Subject",
        "Belenky et al. (2003), Journal of Sleep Research 12",
    ),
    "verbagg": DataSet(
        7584,
        "answers of 316 people to 24 questions on verbal aggression",
        "resp (ordered: no, perhaps, yes), r2 (Y unless no), id, item, btype, situ, mode, Anger (trait score), Gender",
        "De Boeck & Wilson (2004), Explanatory Item Response Models",
    ),
}


def names() -> list[str]:
    """The names that ``load_data`` knows.

    Examples
    --------
    >>> from brim.data import names
    >>> names()[:3]
    ['cake', 'cbpp', 'dyestuff']
    """
    return sorted(DATASETS)


@named
def load_data(name: str) -> pd.DataFrame:
    """A bundled data set; grouping and categorical columns are pandas categoricals with R's levels in R's order.

    Parameters
    ----------
    name
        One of ``brim.data.names()``.

    Raises
    ------
    BrimError
        When there is no data set of that name; the message has the nearest ones.

    Examples
    --------
    >>> import brim
    >>> gpa = brim.load_data("gpa")
    >>> gpa.shape
    (1200, 10)
    >>> gpa["job"].cat.categories.tolist()
    ['no job', '1 hour', '2 hours', '3 hours', '4 or more hours']
    """
    if name not in DATASETS:
        raise BrimError(f"there is no data set {name!r}", hint=suggest(name, names(), "data sets"))
    folder = files(__name__)
    levels = json.loads((folder / "factors.json").read_text(encoding="utf-8"))
    plain, packed = folder / f"{name}.csv", folder / f"{name}.csv.gz"
    return read_csv(plain if plain.is_file() else packed, levels.get(name, {}))


def read_csv(path: Path | Traversable, factors: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    r"""Read a csv file (``.gz`` too) and make categoricals of its factors.

    Parameters
    ----------
    path
        The file.
    factors
        Column -> ``{"levels": [...], "ordered": bool}``; the levels are text, also where they look like numbers.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "x.csv")
    >>> _ = path.write_text("x,g\n1,10\n2,9\n")
    >>> read_csv(path, {"g": {"levels": ["9", "10"], "ordered": False}})["g"].cat.codes.tolist()
    [1, 0]
    """
    import pandas as pd

    with path.open("rb") as stream:
        packed = "gzip" if path.name.endswith(".gz") else None
        data = pd.read_csv(stream, dtype=dict.fromkeys(factors, "str"), compression=packed)
    return data.assign(
        **{column: pd.Categorical(data[column], categories=f["levels"], ordered=f["ordered"]) for column, f in factors.items()}
    )


def table() -> str:
    """What every data set holds and where it comes from, as text.

    Examples
    --------
    >>> print(table().splitlines()[0])
    cake  (270 rows)
    """
    entries = (f"{name}  ({d.rows} rows)\n    {d.about}\n    {d.columns}\n    {d.source}" for name, d in sorted(DATASETS.items()))
    return "\n".join(entries)


if __doc__ is not None:  # python -OO strips docstrings
    __doc__ += table()
