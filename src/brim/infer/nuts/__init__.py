"""The no-U-turn sampler: one iteration, warm-up, chains.

May import: compile.
"""
