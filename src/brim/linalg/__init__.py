"""Matrices inside compiled programs: LAPACK in pieces, triangular factors, batches of small matrices.

Every factorisation and solve of a compiled program goes through this room (see ``lapack``).
"""

from brim.linalg.batches import SMALL, AbstractBatch, Cells, Stacked, Unrolled, batch, lower_cells, sparse, sum_by, whitened
from brim.linalg.triangular import cholesky, inverse_lower, root_of, solve, solve_lower

__all__ = [
    "SMALL",
    "AbstractBatch",
    "Cells",
    "Stacked",
    "Unrolled",
    "batch",
    "cholesky",
    "inverse_lower",
    "lower_cells",
    "root_of",
    "solve",
    "solve_lower",
    "sparse",
    "sum_by",
    "whitened",
]
