"""Posterior predictive checks: what is compared, and the panels that show it.

May import: post.plots' style and densities.
"""
