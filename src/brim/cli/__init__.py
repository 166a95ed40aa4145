"""The command line: ``brim fit``, ``resume``, ``summary``, ``report``, ``predict``, ``loo``, ``plot``, ``demo``, ``data``.

Whatever is slow to import (JAX, pandas, matplotlib) is imported inside the command that needs it.
"""

from brim.cli import after, fitting  # they add their commands
from brim.cli.group import cli, main

__all__ = ["after", "cli", "fitting", "main"]
