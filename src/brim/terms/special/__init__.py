"""Special variables and their products: ``mo()``, ``me()``, ``mi()``.

May import: terms.base, parameters, design.
"""
