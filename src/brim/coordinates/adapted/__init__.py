"""Latent normal vectors sampled in coordinates that follow their conditional law, expanded at the data.

May import: model, terms, coordinates.quadratic.
"""
