"""Kinds of term, by what they are: each is learned once from the training data.

May import: parameters, distributions, design and what lies below; not each other.
"""
