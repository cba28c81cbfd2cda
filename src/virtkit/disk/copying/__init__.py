"""Moves a disk's bytes: what has to be moved, in which pieces, by how many threads, and how each does it."""
