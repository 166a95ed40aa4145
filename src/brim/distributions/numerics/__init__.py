"""Special functions that laws are made of, in log space, with closed derivatives.

May import: nothing of brim.
"""
