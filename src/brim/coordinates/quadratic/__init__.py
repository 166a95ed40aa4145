"""The normal law of latent vectors given everything else: integrals and draws.

May import: linalg, terms' factorisations.
"""
