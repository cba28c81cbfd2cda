"""The metadata of a qcow image held against each other.

Corrupt: what lies behind the end of the file, is not aligned, or overlaps something else. A leak is a cluster of the
file that nothing names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.format import Findings
from virtkit.disk.formats.qcow.extentmap import Used, used

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.disk.formats.qcow.mapping import QcowImage

_MOST_DETAILS = 100


def check(image: QcowImage) -> Findings:
    """CorruptImageError where a table cannot be read."""
    report = _Report(image)
    found = sorted(used(image))
    for stretch in found:
        report.look_at(stretch)
    report.look_between(found)
    return report.findings()


class _Report:
    def __init__(self, image: QcowImage) -> None:
        self.head = image.head
        self.file_end = image.file.size
        self.corruptions = self.leaks = self.allocated = self.compressed = self.fragmented = 0
        self.end = 0  # of the last thing that is used
        self.details: list[str] = []

    def look_at(self, stretch: Used) -> None:
        data = bool(stretch.clusters)
        if data and not stretch.compressed and stretch.begin % SECTOR:
            self._corrupt(f"{stretch.what} is at {stretch.begin:#x}, expected a multiple of {SECTOR}")
        elif data and self._beyond(stretch) > self.file_end:
            self._corrupt(f"{stretch.what} ends at {stretch.end:#x}, behind the end of the file at {self.file_end:#x}")
        self.allocated += stretch.clusters
        self.compressed += stretch.compressed

    def look_between(self, found: Iterable[Used]) -> None:
        """``found`` in order of their places."""
        cluster, before = self.head.cluster, Used(0, 0, "the start of the file")
        for stretch in found:
            if stretch.begin < before.end:
                self._corrupt(f"{stretch.what} at {stretch.begin:#x} overlaps {before.what} at {before.begin:#x}")
            else:
                self.leaks += max(stretch.begin - round_up(before.end, cluster), 0) // cluster
            self.fragmented += bool(stretch.clusters and before.clusters and stretch.begin > before.end)
            if stretch.end > before.end:
                before = stretch
        self.end = before.end
        self.leaks += max(self.file_end - round_up(before.end, cluster), 0) // cluster
        if self.leaks:
            self.details.append(f"{self.leaks} clusters of the file are not used")

    def findings(self) -> Findings:
        return Findings(
            corruptions=self.corruptions,
            leaks=self.leaks,
            image_end=round_up(self.end, self.head.cluster),
            total_clusters=divide_up(self.head.size, self.head.cluster),
            allocated_clusters=self.allocated,
            fragmented_clusters=self.fragmented,
            compressed_clusters=self.compressed,
            details=tuple(self.details[:_MOST_DETAILS]),
        )

    def _beyond(self, stretch: Used) -> int:
        """The file may end within the last cluster, behind what the guest sees of it."""
        return stretch.end if stretch.compressed else stretch.end - self.head.cluster + SECTOR

    def _corrupt(self, detail: str) -> None:
        self.corruptions += 1
        if len(self.details) < _MOST_DETAILS:
            self.details.append(detail)
