"""Values of a formula's nodes: functions, transforms, contrasts, design matrices, splines.

May import: language, frames.
"""
