"""Latent vectors integrated at each value of all other parameters, and drawn there: exactly, or without bias.

May import: model, terms, coordinates.adapted, coordinates.quadratic, coordinates.plan.
"""
