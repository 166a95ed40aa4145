"""What is sampled: its unconstrained coordinates and its prior.

May import: design, language and what lies below.
"""
