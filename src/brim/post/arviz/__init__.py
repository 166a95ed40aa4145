"""A fit as ArviZ takes it.

May import: fit, model, post.predictions.
"""
