"""Group-level effects: ``(x | g)``, ``gr()``, ``mm()``.

May import: terms.base, parameters, design.
"""
