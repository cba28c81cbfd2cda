"""Blocks of a disk as a new image, as ``qemu-img dd`` counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.disk.row import Part

if TYPE_CHECKING:
    from virtkit.disk.source import Source


class Blocks(NamedTuple):
    size: int = 512  # bytes of a block
    limit: int | None = None  # where to end: counted from the start of the input, skipped ones included
    skip: int = 0  # blocks at the start that are left out

    def of(self, whole: Source) -> Part:
        """The stretch of ``whole``; empty where all is skipped."""
        if self.size < 1:
            raise UsageError(f"bs is {self.size}, expected 1 or more")
        end = whole.size if self.limit is None else min(self.limit * self.size, whole.size)
        return Part(whole, min(self.skip * self.size, end), end)
