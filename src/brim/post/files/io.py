"""A fit as one netCDF file, or a Zarr folder: draws in ArviZ' groups, and what the model is rebuilt from.

Groups ``posterior``, ``sample_stats`` and ``observed_data`` are those of ``Fit.idata``, so that ArviZ and xarray read the file;
the group ``brim`` holds the request (formula, family, priors, settings) as JSON and the training data. Loading builds the
model anew from these, with the code that built it first; nothing in the file is executed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from brim.arguments import place
from brim.disk import check_place
from brim.errors import BrimError, suggest
from brim.fit.draws import EXTRA, Posterior, labelled, observed, safe_name
from brim.fit.record import FitRecord
from brim.fit.version import __version__
from brim.frames.frame import Column, Factor, Frame, Logical, Numeric
from brim.frames.whole import Whole
from brim.model.build import read_data2
from brim.model.model import Model
from brim.post.comparison.compare import CRITERIA
from brim.post.files.criteria import describe, pointwise_arrays, rebuild
from brim.post.files.sealed import check_seal, check_structure, is_fit, write_sealed
from brim.post.files.spec import plain, request, request_from
from brim.post.files.store import check_folder, opened, write_store

__all__ = ["FORMAT", "check_target", "differences", "read", "same_data", "same_model", "save"]

#: Version of the file's layout; a file of a later one is refused.
FORMAT = 4
#: The version of files of fits whose rows are all there: versions of brim that do not know of others read these.
_PLAIN = 2
#: Those of fits whose rows are counted or reduced.
_REDUCED = 3
#: The first version that has a seal.
_SEALED = 2

_AXES = ("chain", "draw")


# --------------------------------------------------------------------------- saving


def save(fit: FitRecord, path: str | os.PathLike[str]) -> None:
    """Write a fit to one netCDF file, or to a Zarr folder where the name ends in ``.zarr``; see ``Fit.save``.

    The file is written beside its place under a temporary name and moved there when it is whole: a failure leaves what was there.

    Raises
    ------
    BrimError
        The folder does not exist or cannot be written to, a file of another kind is there, or the fit holds something that has no form
        in a file.
    """
    path = check_target(path)
    content = _content(fit)
    keep = write_store if _is_folder(path) else write_sealed
    try:
        keep(path, lambda file: _write(file, fit, content))
    except OSError as error:
        raise BrimError(f"cannot write '{path}': {error.strerror or error}") from error


def check_target(path: str | os.PathLike[str], name: str = "path") -> Path:
    """The place that a fit may be saved at; to be asked before sampling.

    Raises
    ------
    BrimError
        No file can be written there, or one is there that is no fit of brim's: what is in it would be lost.
    """
    found = place(name, path)
    if _is_folder(found):
        check_folder(found)
        return found
    check_place(found)
    if found.exists() and not (found.is_file() and (found.stat().st_size == 0 or is_fit(found))):
        raise BrimError(f"'{found}' is there and no fit of brim's: it is not replaced", hint="name another file, or remove that one first")
    return found


def _is_folder(path: Path) -> bool:
    """Whether a fit is kept there as a folder."""
    return path.suffix == ".zarr"


def _content(fit: FitRecord) -> dict[str, Any]:
    """The JSON part of a file."""
    names = _used(fit)
    return {
        "format": _format(fit),
        "brim": __version__,
        "request": request(fit),
        "data_name": fit.data_name,
        "info": plain({k: v for k, v in fit.info.items() if not isinstance(v, np.ndarray)}),
        "info_arrays": list(_arrays(fit.info)),
        "columns": [{"name": name, **_describe(fit.frame[name])} for name in names],
        "data2": {name: None if index is None else list(index) for name, (_, index) in read_data2(fit.data2).items()},
        "sampled": fit.posterior is not None,
        "extra": [] if fit.posterior is None else list(fit.posterior.extra),
        "criteria": describe(fit.criteria),
        **({"rows": _reduction(fit.frame)} if fit.frame.reduced else {}),
    }


def _format(fit: FitRecord) -> int:
    """The first version that reads what this fit has."""
    if set(fit.criteria) - set(CRITERIA):
        return FORMAT
    return _REDUCED if fit.frame.reduced else _PLAIN


def _reduction(frame: Frame) -> dict[str, Any]:
    """What the rows of a file stand for."""
    if frame.whole is None:
        return {"counted": True}
    asked = [{"question": question, "parts": list(answer)} for question, answer in frame.whole.answers.items()]
    return {"counted": False, "n": frame.whole.n, "random": frame.whole.random, "answers": asked}


def _reduction_arrays(frame: Frame) -> list[np.ndarray]:
    """The arrays of it."""
    if frame.whole is not None:
        return [part for answer in frame.whole.answers.values() for part in answer.values()]
    return [] if frame.counts is None else [frame.counts]


def _reduced(frame: Frame, told: Mapping[str, Any], arrays: list[np.ndarray]) -> Frame:
    """The frame that stands for what it stood for when it was saved."""
    if told["counted"]:
        return replace(frame, counts=arrays[0])
    left = iter(arrays)
    answers = {asked["question"]: {part: next(left) for part in asked["parts"]} for asked in told["answers"]}
    return replace(frame, whole=Whole(int(told["n"]), int(told["random"]), answers))


def _arrays(info: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What an engine tells in arrays (mass matrices), which may be large."""
    return {k: v for k, v in info.items() if isinstance(v, np.ndarray)}


def _used(fit: FitRecord) -> list[str]:
    """The columns that the model reads, in the data's order."""
    wanted = {name for f in fit.formula.formulas for name in f.variables(fit.frame.names)}
    return [name for name in fit.frame.names if name in wanted]


def _describe(column: Column) -> dict[str, Any]:
    """A column without its values."""
    if isinstance(column, Numeric):
        return {"kind": column.kind, "integer": column.integer}
    if isinstance(column, Factor):
        told = {"ranked": column.ranked, "caveat": column.caveat}  # files of earlier versions have neither
        plain = {"kind": column.kind, "levels": list(column.levels), "ordered": column.ordered, "text": column.text}
        return plain | {k: v for k, v in told.items() if v}
    return {"kind": column.kind}


def _values(column: Column) -> np.ndarray:
    """The values of a column as one numeric array: numbers, codes of levels, or 0/1 with -1 where missing."""
    if isinstance(column, Numeric):
        return column.values
    if isinstance(column, Factor):
        return column.codes
    return np.where(column.missing, -1, column.values).astype(np.int8)


def _write(file: Any, fit: FitRecord, content: Mapping[str, Any]) -> None:
    file.attrs["creation_library"] = "brim"
    if fit.posterior is not None:
        _write_draws(file, fit, fit.posterior)
    group = file.create_group("brim")
    _put_text(group, "content", json.dumps(content))
    frame = group.create_group("data")
    for i, column in enumerate(content["columns"]):
        _put(frame, f"column_{i}", ("row",), _values(fit.frame[column["name"]]))
    _put_arrays(group.create_group("data2"), [matrix for matrix, _ in read_data2(fit.data2).values()])
    _put_arrays(group.create_group("info"), [*_arrays(fit.info).values()])
    _put_arrays(group.create_group("criteria"), pointwise_arrays(fit.criteria))
    if fit.frame.reduced:
        _put_arrays(group.create_group("rows"), _reduction_arrays(fit.frame))


def _write_draws(file: Any, fit: FitRecord, posterior: Posterior) -> None:
    draws = labelled(posterior)
    group = file.create_group("posterior")
    _put_axes(group, posterior)
    for name, labels in draws.coords.items():
        _put_text(group, name, np.array([_storable(label) for label in labels], dtype=object))
    for name, values in draws.values.items():
        _put(group, name, (*_AXES, *draws.dims.get(name, ())), values)
    stats = file.create_group("sample_stats")
    _put_axes(stats, posterior)
    for name, values in fit.stats.items():
        _put(stats, name, _AXES, np.asarray(values))
    if fit.frame.reduced:
        return
    responses = file.create_group("observed_data")
    for name, y in observed(fit.model, fit.frame).items():
        _put(responses, name, tuple(f"{name}_dim_{axis}" for axis in range(y.ndim)), y)


def _storable(label: str) -> str:
    """A label as HDF5 takes it, which ends text at a NUL and has no halves of surrogate pairs; levels themselves are in the JSON part."""
    return str(label).replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _put_axes(group: Any, posterior: Posterior) -> None:
    for name, size in zip(_AXES, (posterior.chains, posterior.draws), strict=True):
        _put(group, name, (name,), np.arange(size))


def _put(group: Any, name: str, dims: tuple[str, ...], values: np.ndarray) -> None:
    """A variable with its dims; logicals as xarray writes them."""
    for dim, size in zip(dims, values.shape, strict=True):
        if dim not in group.dimensions:
            group.dimensions[dim] = size
    logical = values.dtype == bool
    variable = group.create_variable(name, dims, data=values.astype(np.int8) if logical else values)
    if logical:
        variable.attrs["dtype"] = "bool"


def _put_arrays(group: Any, arrays: list[np.ndarray]) -> None:
    """Arrays by their position, each with dims of its own."""
    for i, values in enumerate(arrays):
        _put(group, f"array_{i}", tuple(f"dim_{i}_{axis}" for axis in range(values.ndim)), values)


def _put_text(group: Any, name: str, values: str | np.ndarray) -> None:
    """One text, or the labels of the dim of the same name."""
    import h5py

    dims = () if isinstance(values, str) else (name,)
    if dims:
        group.dimensions[dims[0]] = len(values)
    variable = group.create_variable(name, dims, dtype=h5py.string_dtype())
    variable[...] = values


# --------------------------------------------------------------------------- loading


def read(path: str | os.PathLike[str], family: Any = None) -> FitRecord:
    """The fit that a file holds; see ``brim.load``."""
    path = Path(path)
    folder = path.is_dir()
    if not folder and not path.is_file():
        near = [str(p) for p in path.parent.glob("*.nc")] if path.parent.is_dir() else []
        raise BrimError(f"there is no file '{path}'", hint=suggest(str(path), near, "files there"))
    with _damaged(path):
        content, columns, data2, info, groups = _read_folder(path) if folder else _read(path, check_seal(path))
        asked = request_from(content["request"], data2, content["data_name"], family)
        frame = Frame.of({c["name"]: _column(c, values) for c, values in zip(content["columns"], columns, strict=True)})
        frame = _reduced(frame, content["rows"], content["rows"]["arrays"]) if "rows" in content else frame
        told = content["info"] | info
        model, frame = asked.built(frame)
    model = replace(model, prior_only=asked.settings.sample_prior == "only")
    record = FitRecord(asked, model, frame, info=told, criteria=content["criteria"])
    if not content["sampled"]:
        return record
    with _damaged(path):
        stats = {k: v for k, v in groups["sample_stats"].items() if k not in _AXES}
        return replace(
            record, posterior=_posterior(model, groups["posterior"], content["extra"], asked.settings.keep != "all"), stats=stats
        )


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever goes wrong while a file is taken apart becomes an error that names the file."""
    try:
        yield
    except BrimError:
        raise
    except Exception as error:  # HDF5, JSON and what the content is read into raise what they like
        raise BrimError(f"'{path}' cannot be read: it is no netCDF file, or it is damaged ({error})", hint="fit again and save") from error


_Parts = tuple[dict[str, Any], list[np.ndarray], dict[str, Any], dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]]


def _read(path: Path, sealed: bool) -> _Parts:
    """Content, columns of the data, ``data2``, arrays of ``info``, and the groups with draws."""
    import h5netcdf
    import h5py

    with h5py.File(path, "r") as raw:
        check_structure(raw, path, path.stat().st_size)
    with h5netcdf.File(path, "r") as file:
        return _parts(file, path, sealed)


def _read_folder(path: Path) -> _Parts:
    """The same of a Zarr folder, whose arrays stay on the disk."""
    with opened(path) as file:
        return _parts(file, path, True)


def _parts(file: Any, path: Path, sealed: bool) -> _Parts:
    if "brim" not in file.groups:
        raise BrimError(f"'{path}' is no fit of brim's: there is no group 'brim' in it")
    group = file.groups["brim"]
    content = _content_of(group, path, sealed)
    columns = [_get(group[f"data/column_{i}"]) for i in range(len(content["columns"]))]
    matrices = [_get(group[f"data2/array_{i}"]) for i in range(len(content["data2"]))]
    info = {name: _get(group[f"info/array_{i}"]) for i, name in enumerate(content["info_arrays"])}
    described = content.setdefault("criteria", {})  # files of brim 0.1 have none
    content["criteria"] = rebuild(
        described, [_get(group[f"criteria/array_{i}"]) for i in range(sum(len(c["arrays"]) for c in described.values()))]
    )
    if "rows" in content:
        sizes = [len(asked["parts"]) for asked in content["rows"].get("answers", ())]
        count = 1 if content["rows"]["counted"] else sum(sizes)
        content["rows"]["arrays"] = [_get(group[f"rows/array_{i}"]) for i in range(count)]
    wanted = ("posterior", "sample_stats") if content["sampled"] else ()
    groups = {name: {k: _get(v) for k, v in file[name].variables.items() if v.dtype is not str} for name in wanted}
    return content, columns, _data2(content["data2"], matrices), info, groups


def _content_of(group: Any, path: Path, sealed: bool) -> dict[str, Any]:
    text = group["content"][...]
    content: dict[str, Any] = json.loads(text if isinstance(text, str) else np.asarray(text).item())
    if content["format"] > FORMAT:
        raise BrimError(
            f"'{path}' was written by a later brim ({content['brim']}, file format {content['format']}; this one reads up to {FORMAT})",
            hint="upgrade brim",
        )
    if content["format"] >= _SEALED and not sealed:
        raise BrimError(f"'{path}' cannot be read: it is damaged, or was changed after brim saved it", hint="fit again and save")
    return content


def _get(variable: Any) -> np.ndarray:
    values = np.asarray(variable[...])
    return values.astype(bool) if variable.attrs.get("dtype") == "bool" else values


def _column(description: Mapping[str, Any], values: np.ndarray) -> Column:
    kind = description["kind"]
    if kind == Numeric.kind:
        return Numeric(values, description["integer"])
    if kind == Factor.kind:
        told = {k: description[k] for k in ("ordered", "text", "ranked", "caveat") if k in description}
        levels = description["levels"]
        if None in levels or (len(levels) and not -1 <= values.min(initial=-1) <= values.max(initial=-1) < len(levels)):
            raise ValueError("codes of a factor have no level")
        return Factor(values, tuple(description["levels"]), **told)
    return Logical(values == 1, values < 0 if (values < 0).any() else None)


def _data2(names: Mapping[str, list[str] | None], matrices: list[np.ndarray]) -> dict[str, Any]:
    """Matrices as the user may have given them: data frames where rows had names."""

    def one(matrix: np.ndarray, index: list[str] | None) -> Any:
        if index is None:
            return matrix
        import pandas as pd

        return pd.DataFrame(matrix, index=index)

    return {name: one(matrix, index) for (name, index), matrix in zip(names.items(), matrices, strict=True)}


def _posterior(model: Model, values: Mapping[str, np.ndarray], extra: list[str], partial: bool) -> Posterior:
    """Draws by the keys of the model's reported arrays; parts of one array (``rows``) are joined; ``partial``: some were not kept."""
    reported = model.reported()
    sizes: dict[str, int] = {}
    for q in reported:
        if q.rows is not None:
            sizes[q.key] = max(sizes.get(q.key, 0), q.rows[1])
    arrays: dict[str, np.ndarray] = {}
    for q in reported:
        if partial and safe_name(q.label) not in values:
            continue
        part = values[safe_name(q.label)]
        if part.shape[2:] != np.shape(q.names):
            raise BrimError(f"the draws of '{q.label}' have the shape {part.shape[2:]}, in the model of the file it is {np.shape(q.names)}")
        if q.rows is None or q.rows == (0, sizes[q.key]):  # all there is, read in place where it stays on the disk
            arrays[q.key] = part
            continue
        whole = arrays.setdefault(q.key, np.empty((*part.shape[:2], sizes[q.key], *part.shape[3:])))
        whole[:, :, q.rows[0] : q.rows[1]] = part
    arrays.update({name: values[name] for name in EXTRA if name in values})
    return Posterior(reported, arrays, {name: values[safe_name(name)] for name in extra})


# --------------------------------------------------------------------------- comparing


def same_model(a: FitRecord, b: FitRecord) -> bool:
    """Whether two fits were asked for the same: formula, family, priors, settings, the data they use, and ``data2``."""
    return not differences(a, b)


#: Parts of a ``request`` that go by another name.
_PARTS = {"priors": "prior", "rescor": "formula", "multivariate": "formula"}


def differences(a: FitRecord, b: FitRecord) -> list[str]:
    """In which parts two fits were asked for different things, by the names of ``brm``'s arguments."""
    one, other = request(a), request(b)
    mine, its = one.pop("settings"), other.pop("settings")
    found = [_PARTS.get(part, part) for part in one if one[part] != other[part]]
    found += [] if same_data(a, b) else ["data"]
    found += [] if _same_matrices(read_data2(a.data2), read_data2(b.data2)) else ["data2"]
    return list(dict.fromkeys([*found, *(name for name in mine if mine[name] != its[name])]))


def _same_matrices(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        one[k][1] == other[k][1] and np.array_equal(one[k][0], other[k][0], equal_nan=True) for k in one
    )


def same_data(a: FitRecord, b: FitRecord) -> bool:
    """Whether two fits use the same columns with the same values."""
    if a.frame.total != b.frame.total or a.frame.n != b.frame.n or a.frame.reduced != b.frame.reduced:
        return False
    if a.frame.counts is not None and b.frame.counts is not None and not np.array_equal(a.frame.counts, b.frame.counts):
        return False
    return _used(a) == _used(b) and all(_same_column(a.frame[name], b.frame[name]) for name in _used(a))


def _same_column(a: Column, b: Column) -> bool:
    return _describe(a) == _describe(b) and np.array_equal(_values(a), _values(b), equal_nan=a.kind == Numeric.kind)
