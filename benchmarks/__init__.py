"""Times brim and its peers side by side on the same models; see README.md beside this file.

Imports nothing outside the standard library: the interpreters of the peers load this package too.
"""
