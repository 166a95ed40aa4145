"""Data in: columns and frames; the only place that knows data frame libraries.

May import: errors only.
"""
