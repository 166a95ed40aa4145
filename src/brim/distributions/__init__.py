"""Laws: densities, tails, samplers, censoring and truncation.

May import: linalg and errors only.
"""
