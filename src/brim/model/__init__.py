"""From formula, family and frame to learned predictors and one log density.

May import: terms, families and what lies below.
"""
