"""mixedup's tidy tables of mixed models, whichever of brim's functions fitted them.

May import: every other room.
"""

from __future__ import annotations

from brim.mixedup.compare import compare_estimates as compare_estimates
from brim.mixedup.tables import extract_cor_structure as extract_cor_structure
from brim.mixedup.tables import extract_fixed_effects as extract_fixed_effects
from brim.mixedup.tables import extract_het_var as extract_het_var
from brim.mixedup.tables import extract_random_coefs as extract_random_coefs
from brim.mixedup.tables import extract_random_effects as extract_random_effects
from brim.mixedup.tables import extract_vc as extract_vc
from brim.mixedup.tables import find_typical as find_typical
from brim.mixedup.tables import summarize_model as summarize_model

__all__ = [
    "compare_estimates",
    "extract_cor_structure",
    "extract_fixed_effects",
    "extract_het_var",
    "extract_random_coefs",
    "extract_random_effects",
    "extract_vc",
    "find_typical",
    "summarize_model",
]
