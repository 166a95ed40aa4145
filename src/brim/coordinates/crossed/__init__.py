"""Crossed factors of many levels, integrated out of a Gaussian model by a sparse factorisation and a surface through its values.

May import: model, terms, linalg, coordinates.integrated, coordinates.quadratic.
"""
