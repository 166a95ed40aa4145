"""What is computed from a fit: predictions, tables, effects, plots, files.

May import: fit, model and what lies below.
"""
