"""Modes, Laplace and Pathfinder approximations, variational inference, importance weights.

May import: compile, infer.nuts.
"""
