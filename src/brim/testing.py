"""Conformance suites: what every term, family and engine must satisfy, whoever wrote it: ``AssertionError`` on the first rule broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brim.compile.session import float64
from brim.compile.xla import options
from brim.families.conformance import check_family
from brim.frames.frame import Frame
from brim.infer.conformance import check_engine
from brim.model.model import Model
from brim.parameters.param import Layout, unconstrained_size
from brim.parameters.prior import log_density, prior_args
from brim.terms.base import AbstractTerm

__all__ = ["check_engine", "check_family", "check_model"]


def check_model(model: Model, frame: Frame, other: Frame, seed: int = 0) -> None:
    """Check every term of a model against the protocol.

    Parameters
    ----------
    model
        A model built on ``frame``.
    frame
        Its training rows.
    other
        Different rows with the same columns and the same levels.

    Raises
    ------
    AssertionError
        The message names the term and the rule.

    Examples
    --------
    >>> import brim
    >>> from brim.testing import check_model
    >>> fit = brim.brm("Reaction ~ Days + (1 + Days | Subject)", data=brim.load_data("sleepstudy"), empty=True)
    >>> check_model(fit.model, fit.frame, fit.frame.take(range(90)))
    """
    with float64():
        params, reported = _params(model, frame, seed)
        for term in model.terms():
            _check_structure(term)
            _check_params(term)
            _check_learning(term, frame, other)
            _check_design(term, frame)
            _check_apply(term, model, frame, params)
        _check_reported(model, reported)
        _check_inverse(model, frame, params, reported)
        _check_gradient(model, frame, seed)


def _params(model: Model, frame: Frame, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters at a random point, and everything computed from them."""
    data = model.data(frame)
    q = np.random.default_rng(seed).normal(size=model.layout.dim) * 0.5
    params, _ = model.layout.constrain(q, data["fixed"])
    return params, model.transform(params, data["design"])


def _say(term: AbstractTerm, rule: str) -> str:
    return f"{type(term).__name__} '{term.key}': {rule}"


def _check_structure(term: AbstractTerm) -> None:
    assert hash(term) == hash(term), _say(term, "must be hashable: learned arrays are fields with compare=False")
    assert getattr(type(term), "__final__", False), _say(term, "must be decorated with @final")
    assert term.__dataclass_params__.frozen, _say(term, "must be a frozen dataclass")  # type: ignore[attr-defined]
    assert term.traits.stage in (0, 1, 2), _say(term, "stage must be 0, 1 or 2")


def _check_params(term: AbstractTerm) -> None:
    for p in term.params():
        own = type(term).log_prior is not AbstractTerm.log_prior or type(term).log_density is not AbstractTerm.log_density
        assert p.slots or p.pieces or own, _say(term, f"'{p.name}' has no prior")
        assert len(p.slots) in (0, 1, p.size), _say(term, f"'{p.name}' has {len(p.slots)} slots for {p.size} elements")
        p = replace(p, lb=p.symbols.get(p.lb, p.lb), ub=p.symbols.get(p.ub, p.ub))
        q = np.full(unconstrained_size(p), 0.3)
        values, _ = Layout((p,)).constrain(q, {})
        assert np.shape(values[p.name]) == p.shape, _say(term, f"'{p.name}' does not have its shape")
        assert np.isfinite(log_density(p, values, prior_args((p,))[p.name])), _say(term, f"the prior of '{p.name}' is not finite")


def _check_learning(term: AbstractTerm, frame: Frame, other: Frame) -> None:
    again = term.learn(frame)
    assert again == term, _say(term, "learning twice from the same rows gives another structure")
    same(term.design(frame), again.design(frame), _say(term, "learning twice from the same rows gives another design"))
    term.design(other)
    same(term.design(frame), again.design(frame), _say(term, "a design for new rows changed what was learned"))


def _check_design(term: AbstractTerm, frame: Frame) -> None:
    """Rows of the design do not depend on which other rows are there."""
    whole = term.design(frame)
    rows = np.arange(0, frame.n, 3)
    part = term.design(frame.take(rows))
    for key, value in whole.items():
        value = np.asarray(value)
        if np.array_equal(value, np.asarray(part[key]), equal_nan=value.dtype.kind == "f"):
            continue  # the same for all rows
        axes = [i for i, n in enumerate(value.shape) if n == frame.n]
        if axes and term.traits.stage == 0:
            np.testing.assert_array_equal(
                np.take(value, rows, axes[-1]), part[key], err_msg=_say(term, f"design['{key}'] depends on other rows")
            )


def _check_apply(term: AbstractTerm, model: Model, frame: Frame, params: dict[str, Any]) -> None:
    design = model.design(frame)
    full = model.transform(params, design)
    if term.key not in design:
        return
    full.update({f"eta:{name}": eta for r in model.responses for name, eta in r.etas(full, design).items()})
    for other in model.terms():
        full.update(other.given(full, design[other.key]) if other.key in design else {})
    eta = jnp.linspace(-1.0, 1.0, frame.n)
    one, two = (term.apply(eta, full, design[term.key]) for _ in range(2))
    np.testing.assert_array_equal(one, two, err_msg=_say(term, "apply is not pure"))
    compiled = jax.jit(term.apply, compiler_options=options())(eta, full, design[term.key])
    np.testing.assert_allclose(one, compiled, rtol=1e-12, err_msg=_say(term, "apply differs under jit"))
    if term.traits.stage == 0 and one is not eta:
        shifted = term.apply(eta + 1.0, full, design[term.key])
        np.testing.assert_allclose(shifted - one, 1.0, rtol=1e-9, err_msg=_say(term, "a term of stage 0 must add to eta"))


def _check_reported(model: Model, full: dict[str, Any]) -> None:
    names = [str(n) for q in model.reported() for n in np.ravel(q.names)]
    assert len(names) == len(set(names)), f"reported names are not unique: {sorted({n for n in names if names.count(n) > 1})}"
    for q in model.reported():
        assert q.key in full, f"'{q.key}' is reported but not computed"
        shape = np.shape(full[q.key]) if q.rows is None else (q.rows[1] - q.rows[0], *np.shape(full[q.key])[1:])
        assert shape == q.names.shape, f"'{q.key}' has shape {shape}, its names {q.names.shape}"
        assert len(q.dims) == len(shape), f"'{q.key}' has {len(shape)} axes and dims {q.dims}"
        assert tuple(len(q.coords[d]) for d in q.dims) == shape, f"the coords of '{q.key}' do not fit its shape {shape}"


def _check_inverse(model: Model, frame: Frame, params: dict[str, Any], full: dict[str, Any]) -> None:
    """Parameters with a prior row come back from what is reported."""
    keys = {q.key for q in model.reported()}
    fixed = {p.name: params[p.name] for p in model.params if p.constants}
    back = model.invert({**fixed, **{k: v for k, v in full.items() if k in keys}}, model.design(frame))
    for p in model.params:
        if p.in_lprior:
            np.testing.assert_allclose(back[p.name], params[p.name], rtol=1e-9, atol=1e-12, err_msg=f"invert does not give '{p.name}' back")


def _check_gradient(model: Model, frame: Frame, seed: int) -> None:
    """The log joint density and its gradient are finite; the gradient is that of finite differences."""
    from brim.model.model import log_joint

    data = model.data(frame)
    rng = np.random.default_rng(seed)
    q, v = rng.normal(size=(2, model.layout.dim)) * 0.3
    f = jax.jit(lambda q: log_joint(model, q, data), compiler_options=options())
    g = jax.jit(jax.grad(lambda q: log_joint(model, q, data)), compiler_options=options())(q)
    assert np.isfinite(g).all(), "the gradient is not finite"
    h = 1e-3  # five points: an error of h^4, and little of the rounding of ill-conditioned densities
    slope = (8.0 * (f(q + h * v) - f(q - h * v)) - (f(q + 2.0 * h * v) - f(q - 2.0 * h * v))) / (12.0 * h)
    np.testing.assert_allclose(g @ v, slope, rtol=1e-5, atol=1e-5, err_msg="the gradient is not that of finite differences")


def same(one: dict[str, Any], two: dict[str, Any], message: str) -> None:
    """Two designs are equal."""
    assert one.keys() == two.keys(), message
    for key in one:
        np.testing.assert_array_equal(one[key], two[key], err_msg=f"{message} ({key})")
