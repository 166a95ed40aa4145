"""Text to tree to terms: parser, expansion, and the formula objects of brms.

May import: errors only.
"""
