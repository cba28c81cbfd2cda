"""A machine goes, with its files: what it has, who else needs it, and how it is taken away."""

from virtkit.recipes.removal.plan import Way, remove

__all__ = ["Way", "remove"]
