"""Programs compiled once, kept on disk.

May import: errors only.
"""
