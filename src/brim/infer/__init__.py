"""Samplers: from a ``Target`` to ``Draws``; they see no model.

May import: compile.
"""
