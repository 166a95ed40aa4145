"""A fit as a value: how it was asked for, its draws, the verdict on them.

May import: coordinates, model, infer and what lies below.
"""
