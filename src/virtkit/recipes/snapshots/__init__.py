"""Snapshots seen from both sides: what libvirt says of them, and what the images say themselves."""

from virtkit.recipes.snapshots.delete import delete
from virtkit.recipes.snapshots.listing import Kept, listing
from virtkit.recipes.snapshots.revert import revert

__all__ = ["Kept", "delete", "listing", "revert"]
