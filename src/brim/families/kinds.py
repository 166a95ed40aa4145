"""What a response is: the kind of its values, which decides how it is read, predicted and drawn."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """What one row of a response holds.

    ``REAL``, ``POSITIVE``, ``PROPORTION`` and ``ANGLE`` are numbers, ``COUNT`` whole ones; ``BINARY``, ``ORDINAL`` and ``CATEGORY`` one of
    several levels; ``SIMPLEX`` shares of a whole, ``COUNTS`` counts of several categories.
    """

    REAL = "real"
    POSITIVE = "positive"
    PROPORTION = "proportion"
    ANGLE = "angle"
    COUNT = "count"
    BINARY = "binary"
    ORDINAL = "ordinal"
    CATEGORY = "category"
    SIMPLEX = "simplex"
    COUNTS = "counts"

    @property
    def coded(self) -> bool:
        """Whether values are levels of a factor, numbered."""
        return self in (Kind.BINARY, Kind.ORDINAL, Kind.CATEGORY)

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return self.coded or self is Kind.COUNT

    @property
    def matrix(self) -> bool:
        """Whether a row holds a number for each of several categories."""
        return self in (Kind.SIMPLEX, Kind.COUNTS)

    @property
    def several(self) -> bool:
        """Whether the mean of a row is a number for each of several categories, which have no order."""
        return self.matrix or self is Kind.CATEGORY

    @property
    def chosen(self) -> bool:
        """Whether a row holds one of several categories, ordered or not."""
        return self in (Kind.ORDINAL, Kind.CATEGORY)
