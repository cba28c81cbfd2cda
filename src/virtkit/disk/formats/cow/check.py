"""Hold the bitmap of a COW file against the file's length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.format import Findings

if TYPE_CHECKING:
    from virtkit.disk.formats.cow.image import CowImage


def check(image: CowImage) -> Findings:
    """Clusters are sectors here; one that is marked and lies behind the file's end is corrupt."""
    there = max(divide_up(image.file.size - image.head.data_offset, SECTOR), 0)
    sectors, allocated, missing, end = image.size // SECTOR, 0, 0, 0
    for run in image.bits.runs(0, sectors):
        if run.here:
            allocated += run.end - run.begin
            missing += max(run.end - max(run.begin, there), 0)
            end = run.end
    details = (f"{missing} sectors are marked as used and lie behind the file's end",) if missing else ()
    return Findings(
        corruptions=missing,
        leaks=0,
        image_end=image.head.data_offset + end * SECTOR,
        total_clusters=sectors,
        allocated_clusters=allocated,
        details=details,
    )
