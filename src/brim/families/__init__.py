"""Response families: one definition each, from which density, tails, sampler and mean follow.

>>> import brim
>>> brim.families.family("gaussian").links["sigma"]
'log'
>>> brim.families.family("gausian")
Traceback (most recent call last):
...
brim.errors.BrimError: unknown family 'gausian'
did you mean 'gaussian' or 'exgaussian' or 'inverse_gaussian'?
"""

from __future__ import annotations

from brim.distributions.base import Distribution as Distribution
from brim.families.base import Dpar as Dpar
from brim.families.base import DparSpec as DparSpec
from brim.families.base import Family as Family
from brim.families.base import Seen as Seen
from brim.families.constructor import Constructor as Constructor
from brim.families.custom import custom_family as custom_family
from brim.families.registry import CONSTRUCTORS
from brim.families.registry import family as family
from brim.families.registry import mixture as mixture

# the constructors are what `brim` offers under its own name; the rest is imported from here by name
__all__ = sorted([*CONSTRUCTORS, "custom_family", "mixture"])
globals().update(CONSTRUCTORS)
