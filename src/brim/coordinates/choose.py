"""The coordinates that an algorithm works in, chosen by the structure of the model and its data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from brim.coordinates.adapted.which import better_together, obstacle
from brim.coordinates.adapted.which import find as find_adapted
from brim.coordinates.adapted.which import why_not as why_not_adapted
from brim.coordinates.base import Coordinates
from brim.coordinates.crossed.ratios import RoughError
from brim.coordinates.integrated.which import Integrated, check_marginalize, find_coefficients
from brim.coordinates.integrated.which import find as find_integrated
from brim.coordinates.integrated.which import why_not as why_not_integrated
from brim.coordinates.measured import find as find_measured
from brim.coordinates.plan import Plan, Treatment, around_of
from brim.coordinates.whitened import Map
from brim.coordinates.whitened import find as find_whitened
from brim.errors import BrimError
from brim.frames.frame import Frame
from brim.model.components import component_starts
from brim.model.model import Model
from brim.terms.latent import AbstractLatent

__all__ = ["NESTED", "Wish", "assign", "coordinates"]

NESTED = ("map", "laplace", "nested_laplace")  # algorithms that integrate effects out


@dataclass(frozen=True)
class Wish:
    """What the user asks for, as far as it chooses coordinates.

    Attributes
    ----------
    algorithm
        Which; empty for one that takes the density in coordinates of its own.
    marginalize
        ``"auto"``, ``True`` or ``False``: whether latent vectors are integrated out where that is exact.
    adapted
        Whether others are sampled in coordinates adapted to the data.
    spread
        Half-width of the uniform spread of starting points.
    scattered
        Whether many crossed levels may be integrated out by a surface.
    """

    algorithm: str = "sampling"
    marginalize: bool | str = "auto"
    adapted: bool = True
    spread: float = 1.0
    scattered: bool = True


def assign(model: Model, frame: Frame, wish: Wish) -> Plan:
    """What is done with each latent vector: ``plan.treatments`` says it vector by vector; sampled are the coordinates that follow.

    Modes and Laplace approximations integrate all effects out: where that is not possible at once, by the nested approximation, which is
    exact for normal likelihoods.

    Raises
    ------
    BrimError
        With ``marginalize=True``, when nothing can be integrated out: why.
    """
    here = frame.whole is None  # sums over rows know nothing of single ones
    integrated, why = _integrated(model, frame, wish)
    nested, follows = wish.algorithm in NESTED, here and wish.adapted and wish.algorithm in ("sampling", *NESTED)
    if integrated is not None and wish.marginalize is not True:
        if nested and integrated.rest.blocks:
            integrated, why = None, "all group effects have one approximation"
        elif follows and better_together(integrated, frame):
            integrated, why = None, "group effects are adapted together with those that cannot be"
    adapted = find_adapted(model, frame, integrated) if follows else None
    if adapted is not None and nested and not adapted.nests:
        adapted = None
    if adapted is not None and integrated is not None and wish.algorithm == "nested_laplace":
        integrated, why = None, "all latent vectors are integrated together"
        adapted = find_adapted(model, frame, None)
    inner = model if integrated is None else integrated.rest
    rest = inner if adapted is None else adapted.rest
    around = around_of(integrated, adapted)
    sampling = here and wish.algorithm == "sampling"
    measured = find_measured(rest, frame, around) if sampling and wish.adapted else None
    if sampling and wish.marginalize is not False and integrated is None and adapted is None and measured is None:
        integrated = find_coefficients(model, frame)
    plan = Plan(model, integrated, measured, adapted)
    return replace(plan, treatments=_treatments(plan, wish, why, here))


def _integrated(model: Model, frame: Frame, wish: Wish) -> tuple[Integrated | None, str]:
    """What can be integrated out, or why nothing is."""
    if check_marginalize(wish.marginalize) is False:
        return None, "marginalize = False"
    try:
        found = find_integrated(model, frame, wish.scattered)
    except BrimError as error:
        if wish.marginalize is True:
            raise
        return None, error.what.partition(": ")[2]
    return (found, "") if found.rest.layout.dim else (None, "all other parameters are constant")


def _treatments(plan: Plan, wish: Wish, reason: str, here: bool) -> tuple[Treatment, ...]:
    """Vector by vector; ``reason``: why nothing is integrated out; ``here``: whether the rows are in memory."""
    integrated, measured, adapted = plan.integrated, plan.measured, plan.adapted
    follows = {v.key: "the likelihood, expanded at the data" for v in (adapted.latents if adapted else ())}
    for v, informed in zip(measured.vectors, measured.informed, strict=True) if measured else ():
        names = [f"the response {plan.model.responses[i].name}" for i in informed]
        follows[v.key] = " and ".join(["measurements", *names])
    out = []
    for v in plan.model.latents():
        left = reason if integrated is None else why_not_integrated(v, integrated)
        if integrated is not None and v.key in {w.key for w in integrated.latents}:
            out.append(Treatment(v.label, "integrated", integrated.information))
        elif v.key in follows:
            out.append(Treatment(v.label, "adapted", follows[v.key], "" if v.values else left))
        else:
            out.append(Treatment(v.label, "sampled", why=_why_sampled(v, plan, wish) if here else "the rows are not in memory"))
    return tuple(out)


def _why_sampled(v: AbstractLatent, plan: Plan, wish: Wish) -> str:
    """Why a vector that is not integrated out does not follow the data."""
    if not wish.adapted:
        return "adapted_effects = False"
    if wish.algorithm not in ("sampling", *NESTED):
        return f"algorithm = '{wish.algorithm}'" if wish.algorithm else "the engine starts from an approximation"
    return obstacle(plan.model) or why_not_adapted(v, plan.model, plan.integrated) or "it has too many effects, or widths of their own"


def _may_turn(plan: Plan, frame: Frame, wish: Wish) -> bool:
    """Whether population coefficients may be sampled in other directions: no dense metric takes care of them."""
    return wish.algorithm == "sampling" and frame.whole is None and plan.adapted is None and not plan.regular


def coordinates(model: Model, frame: Frame, wish: Wish) -> Coordinates:
    """What an algorithm works in: latent vectors integrated out, adapted to the data, or as they are."""
    plan = assign(model, frame, wish)
    maps: tuple[Map, ...] = ()
    turned = find_whitened(plan.inner, frame) if _may_turn(plan, frame, wish) else None
    if turned is not None:
        plan, maps = replace(plan, whitened=turned[0]), turned[1]
    try:
        found = Coordinates.of(plan, frame, wish.spread, maps)
    except RoughError:
        return coordinates(model, frame, replace(wish, scattered=False))
    if plan.integrated or plan.measured or plan.adapted:
        return found
    starts = component_starts(model, frame)
    return replace(found, starts=starts if turned is None else tuple(turned[0].back(q, maps) for q in starts))
