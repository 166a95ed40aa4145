"""What the log density of a model reads besides its coordinates."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

__all__ = ["ModelData"]


class ModelData(TypedDict):
    """What ``log_joint`` takes besides the unconstrained vector.

    Attributes
    ----------
    design
        The arrays of each term, response and family, by their keys.
    prior
        The arguments of each parameter's prior, by its name.
    fixed
        The constant elements of parameters, by name.
    """

    design: dict[str, Any]
    prior: dict[str, Any]
    fixed: dict[str, np.ndarray]
