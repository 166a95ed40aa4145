"""Samplers of other packages, for the same density.

May import: compile.
"""
