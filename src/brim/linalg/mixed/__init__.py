"""The matrix of a linear mixed model with crossed factors, factorised block by block in NumPy and SciPy.

May import: errors.
"""
