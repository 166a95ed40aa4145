"""Arrays in annotations: ``Float[Array, "rows columns"]``.

Type checkers alone import this (``if TYPE_CHECKING:``), so that it costs a program nothing. NumPy's and JAX's arrays are alike
``Array``; a name stands for one length throughout a signature, ``...`` for any axes, ``#n`` for an axis of length ``n`` or 1.
"""

from typing import Any

from jaxtyping import Bool, Float, Int, Shaped

__all__ = ["Array", "Bool", "Float", "Int", "Shaped"]

Array = Any
