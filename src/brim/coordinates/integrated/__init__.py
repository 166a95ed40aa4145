"""Latent normal vectors of Gaussian models, integrated out exactly.

May import: model, terms, coordinates.quadratic.
"""
