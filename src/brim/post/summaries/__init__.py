"""Tables of draws and priors, and how they print.

May import: fit, model.
"""
