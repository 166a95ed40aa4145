"""One page that says how far a fit can be trusted, what it estimates, and how well it describes the data.

May import: the other rooms of post.
"""
