"""Joint models: longitudinal markers and the time of an event that depends on them.

May import: the rest of rstanarm's room and what lies below.
"""
