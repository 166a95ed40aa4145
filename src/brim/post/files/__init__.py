"""Fits on disk.

May import: fit, model.
"""
