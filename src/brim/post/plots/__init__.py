"""Posterior predictive checks, densities and traces.

May import: fit, model, post.predict.
"""
