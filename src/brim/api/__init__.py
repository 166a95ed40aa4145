"""What the user calls: ``brm()``, ``Fit``, ``load()``.

May import: every other room.
"""
