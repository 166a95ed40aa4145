"""Which brim this is: told by the package, by saved fits and by reports."""

__all__ = ["__version__"]

__version__ = "0.1.0"
