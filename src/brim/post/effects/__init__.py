"""Conditional effects: what is varied, what is held, tables and plots.

May import: fit, model, post.predict.
"""
