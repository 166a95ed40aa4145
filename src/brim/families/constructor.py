"""What a user calls: ``student(link="log", link_nu="identity")``. One constructor a family, made from its one entry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brim.errors import BrimError, suggest
from brim.families.base import DparSpec, Family, Seen, Support, as_it_is, no_base
from brim.families.kinds import Kind
from brim.families.links import LINKS

__all__ = ["Constructor"]


@dataclass(frozen=True, repr=False)
class Constructor:
    """The entry of one family, callable with the links a user wants; attributes are those of ``Family``.

    ``options`` holds further arguments and their defaults, ``finish`` turns the family into the one that the options ask for.

    Examples
    --------
    >>> import brim
    >>> brim.student(link_nu="identity").links["nu"]
    'identity'
    >>> brim.student(link_sigma="lgo")
    Traceback (most recent call last):
    ...
    brim.errors.BrimError: link 'lgo' of sigma is not one of student's
    did you mean 'log'?
    """

    name: str
    summary: str
    dpars: tuple[DparSpec, ...]
    distribution: Callable[..., Any]
    support: Support
    kind: Kind = Kind.REAL
    additions: tuple[str, ...] = ()
    logscale: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    mus: tuple[str, ...] = ("mu",)
    intercepts: bool = True
    binding: Callable[[Family, Seen], Family] = as_it_is
    expectation: Callable[..., Any] | None = None
    finish: Callable[[Family], Family] = lambda family: family
    log_base: Callable[..., Any] = no_base

    def __post_init__(self) -> None:
        links = {spec.name: spec.links[0] for spec in self.dpars}
        shown = f"{self.name}({', '.join(f'{name} = {link}' for name, link in links.items())})"
        example = f"Examples\n--------\n>>> import brim\n>>> brim.{self.name}()\n{shown}\n"
        object.__setattr__(self, "__doc__", f"{self.summary}\n\nLinks, the default first: {self._links_text()}.\n\n{example}")
        object.__setattr__(self, "__name__", self.name)
        object.__setattr__(self, "__signature__", self._signature())

    def __call__(self, /, *args: Any, **kwargs: Any) -> Family:
        """The family with these links: ``link`` is that of ``mu``, ``link_<dpar>`` that of a further parameter."""
        known = self._signature().parameters
        for name in kwargs:
            if name not in known:
                raise BrimError(f"{self.name}() has no argument '{name}'", hint=suggest(name, known, "arguments"))
        try:
            given = self._signature().bind(*args, **kwargs)
        except TypeError:
            twice = next((name for name in list(known)[: len(args)] if name in kwargs), None)
            what = f"has {len(args)} arguments; it takes {len(known)}" if twice is None else f"is given '{twice}' twice"
            raise BrimError(f"{self.name}() {what}", hint=f"its arguments: {', '.join(known)}") from None
        given.apply_defaults()
        links = {spec.name: self._chosen(spec, given.arguments[_argument(spec)]) for spec in self.dpars}
        return self.finish(
            Family(
                name=self.name,
                dpars=self.dpars,
                links=links,
                distribution=self.distribution,
                support=self.support,
                kind=self.kind,
                additions=self.additions,
                options={name: given.arguments[name] for name in self.options},
                logscale=self.logscale,
                mus=self.mus,
                intercepts=self.intercepts,
                binding=self.binding,
                expectation=self.expectation,
                log_base=self.log_base,
            )
        )

    def __repr__(self) -> str:
        """As it is called, ``brim.poisson(link='log')``."""
        return f"brim.{self.name}{self._signature()}"

    def _chosen(self, spec: DparSpec, link: Any) -> str:
        if link not in spec.links:
            known = f"links of {self.name}'s {spec.name}: {', '.join(spec.links)}"
            hint = known if link in LINKS else suggest(str(link), spec.links, f"links of {self.name}'s {spec.name}")
            raise BrimError(f"link '{link}' of {spec.name} is not one of {self.name}'s", hint=hint)
        return str(link)

    def _signature(self) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        pairs = [(_argument(spec), spec.links[0]) for spec in self.dpars] + list(self.options.items())
        return inspect.Signature([inspect.Parameter(name, kind, default=default) for name, default in pairs])

    def _links_text(self) -> str:
        return "; ".join(f"{spec.name}: {', '.join(spec.links)}" for spec in self.dpars)


def _argument(spec: DparSpec) -> str:
    return "link" if spec.name == "mu" else f"link_{spec.name}"
