"""Whether the draws of a fit can be trusted, in words.

May import: fit, model, post.comparison, post.arviz.
"""
