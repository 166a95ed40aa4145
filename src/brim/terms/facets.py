"""What some terms say besides what all do: facets of ``AbstractTerm``, each with what holds for the terms that say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from brim.frames.frame import Frame
from brim.terms.latent import Incidence, Part

if TYPE_CHECKING:
    from brim.terms.base import AbstractTerm

__all__ = ["Design", "LatentFacet", "LinearFacet", "Params", "Traits"]

Design = dict[str, Any]
Params = Mapping[str, Any]


class Traits:
    """What others must know of a term before they use it."""

    @property
    def stage(self) -> int:
        """Its place among the terms of a predictor.

        0 adds to eta, 1 needs the finished eta (residual autocorrelation), 2 changes its shape (category-specific effects).
        """
        return 0

    @property
    def autocor(self) -> bool:
        """Whether it structures residuals: ``incl_autocor = False`` leaves such terms out of predictions."""
        return False

    @property
    def reads(self) -> tuple[str, ...]:
        """Distributional parameters of its response whose values it finds among ``params``, as ``dpar:<name>``."""
        return ()

    @property
    def hides_prior(self) -> bool:
        """Whether ``lprior`` depends on parameters of it that are not reported."""
        return False

    @property
    def countable(self) -> bool:
        """Whether what it learns depends on which rows there are, not on how often each occurs; but for means, which ``average`` takes."""
        return False

    @property
    def rowwise(self) -> bool:
        """Whether what it adds to a row depends on the values of that row alone, given the parameters: equal rows are equal to it."""
        return self.countable

    def gives(self) -> tuple[str, ...]:
        """The keys of ``given``."""
        return ()


class LinearFacet:
    """A term that is linear in known columns: ``apply`` is ``eta + columns @ coefficients``."""

    def coefficients(self, params: Params) -> Any:
        """What a linear term multiplies its columns with, (columns,): ``apply`` is ``eta + columns @ coefficients``. ``None``: not linear.

        ``params`` are transformed; neither this nor ``transform`` of such a term reads arrays with a row for each observation.
        """
        return None

    def columns(self, design: Design) -> Any:
        """The known columns of a linear term, (rows, columns)."""
        return None

    def linear(self) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the parameters that its ``coefficients`` are in this order; none where they are computed from parameters."""
        return ()

    def shift(self, params: Params, design: Design) -> Any:
        """How far the predictor's zero was moved by centring its columns: ``mean(X) b``."""
        return 0.0

    def unpenalised(self, frame: Frame) -> tuple[tuple[str, Any, bool], ...]:
        """The columns (rows, columns) that elements of its parameters multiply as they are, where their prior may be flat.

        Each with the parameter's name, and whether what is constant in them is left to an intercept.
        """
        return ()


class LatentFacet:
    """A term that adds part of a latent vector, standard normal given the rest."""

    @property
    def latent(self) -> Part | None:
        """The part of a latent vector that the term adds to its predictor."""
        return None

    def incidence(self, frame: Frame, codes: Any, known: Params) -> Incidence:
        """Where its part of the latent vector stands in these rows.

        ``codes`` are those that the vector found; ``known`` has what earlier terms of the predictor give.
        """
        raise NotImplementedError

    def without(self, gone: frozenset[str]) -> AbstractTerm | None:
        """What is left of the term without the latent vectors ``z`` of these names; ``None``: nothing."""
        return cast("AbstractTerm", self)
