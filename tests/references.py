"""Reads tests/reference (its README says what is there and which R made it) and builds the same models with brim."""

import ast
import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import brim
from brim.data import names, read_csv

FOLDER = Path(__file__).parent / "reference"

# R's names of families that are not Python names, or not in snake case
FAMILIES = {"inverse.gaussian": "inverse_gaussian", "Gamma": "gamma", "Beta": "beta"}
# brms changed these default priors after 2.18: a model gets the reference's own as a user prior, and the row is not compared
CHANGED_DEFAULTS = {"shape": "", "Intercept": "von_mises"}  # class -> the family where it changed, "" for all


def changed(row, ref):
    """Whether brms has changed the default prior of a row of the prior table since."""
    return row["class"] in CHANGED_DEFAULTS and CHANGED_DEFAULTS[row["class"]] in str(ref["spec"]["family"])


@cache
def reference(path):
    """``reference("models/mm")``: the content of models/mm.json.gz."""
    return json.loads(gzip.decompress((FOLDER / f"{path}.json.gz").read_bytes()))


def data(name):
    """The data frame that a reference names."""
    if name in names():
        return brim.load_data(name)
    factors = json.loads((FOLDER / "data" / "factors.json").read_text())
    return read_csv(FOLDER / "data" / f"{name}.csv", factors[name])


def family(text):
    """R's call, ``zero_inflated_poisson(link = 'log')`` or ``mixture(gaussian, gaussian)``, made with brim's constructors."""
    for r, python in FAMILIES.items():
        text = text.replace(r, python)

    def value(node):
        match node:
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
                return getattr(brim, name)(*map(value, args), **{k.arg: value(k.value) for k in keywords})
            case ast.Name(id=name):
                return getattr(brim, name)
        return ast.literal_eval(node)

    return value(ast.parse(text, mode="eval").body)


def formula(spec):
    """``bf()`` of every response, with what ``spec`` says of further parameters, summed."""
    whole = None
    for response in spec["responses"]:
        dpars = response["dpars"] or []
        fixed = dict(d.replace(" ", "").split("=") for d in dpars if "~" not in d)
        options = {"nl": True} if response["nl"] else {}
        if response.get("family"):
            options["family"] = family(response["family"])
        part = brim.bf(response["formula"], *(d for d in dpars if "~" in d), **{k: float(v) for k, v in fixed.items()}, **options)
        whole = part if whole is None else whole + part
    return whole if spec.get("rescor") is None else whole + brim.set_rescor(spec["rescor"])


def priors(ref):
    """The priors of the R call, and the defaults that brms has changed since."""
    given = [dict(row) for row in ref["spec"]["prior"] or []]
    keys = ("prior", "class", "resp", "dpar")
    rows = (row for row in ref["prior_summary"] if changed(row, ref) and row["prior"] and row["source"] == "default")
    given += [{key: row[key] for key in keys} for row in rows]
    return [brim.prior(row.pop("prior"), class_=row.pop("class", "b"), **row) for row in given]


@cache
def model(name):
    """The empty fit of models/NAME, and of it with the reference's draws."""
    ref = reference(f"models/{name}")
    spec = ref["spec"]
    rows = data(spec["data"])
    if spec.get("subset"):
        rows = rows.query(spec["subset"]).reset_index(drop=True)
    empty = brim.brm(formula(spec), data=rows, family=family(spec["family"]), prior=priors(ref) or None, empty=True)
    return empty, empty.with_draws(draws(ref))


def draws(ref):
    return pd.DataFrame({name: np.atleast_1d(values) for name, values in ref["draws"].items()})


def array(values):
    """Draws x observations; a list of matrices, one a category, becomes draws x observations x categories."""
    values = np.asarray(values, dtype=float)
    return np.moveaxis(values, 0, -1) if values.ndim == 3 else values
