"""A change of what an image's tables mean as a whole: a snapshot comes or goes, tables move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2 import snapshots
from virtkit.disk.formats.qcow2.layout import ENTRY, OFFSET
from virtkit.disk.formats.qcow2.plainsweep import PlainSweep
from virtkit.disk.formats.qcow2.shadow import Shadow
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from array import array
    from types import TracebackType
    from typing import Self

    from virtkit.disk.formats.qcow2.sweep import Sweep
    from virtkit.disk.formats.qcow2.written import WrittenQcow2


class Change:
    """Counts change with everything that a table names; then the header switches to it, or nothing has happened."""

    def __init__(self, image: WrittenQcow2) -> None:
        image.flush()
        image.begin()
        self.image, self.cluster = image, image.head.cluster_size
        self.shadow = Shadow(image.allocator)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error:
            self.shadow.forsake()

    def sweep(self, *l1s: array[int]) -> Sweep:
        """For the L2 tables of these L1 tables."""
        tables = sum(1 for l1 in l1s for entry in l1 if entry & OFFSET)
        if not bulk.pays(tables, tables * self.image.head.l2_entries):
            return PlainSweep(self.image, self.shadow)
        from virtkit.disk.formats.qcow2.widesweep import WideSweep

        return WideSweep(self.image, self.shadow)

    def drop_l1(self, at: int, entries: int) -> None:
        if entries:
            self.shadow.owe(at // self.cluster, divide_up(entries * ENTRY, self.cluster), -1)

    def switch(self, kept: list[snapshots.Snapshot], l1: array[int], **fields: int) -> None:
        """``kept`` and ``l1`` are what the image has from now on."""
        header, file = self.image.head.header, self.image.file
        old = snapshots.read(file, self.image.head)
        if old:
            size = old[-1].end - header.snapshots_offset
            self.shadow.owe(header.snapshots_offset // self.cluster, divide_up(size, self.cluster), -1)
        table_at = self.store_row(snapshots.pack(kept)) if kept else 0
        l1_at = self.store_l1(l1) if l1 else header.l1_offset  # of no entries: no room
        self.shadow.switch(
            l1_offset=l1_at, l1_size=len(l1), snapshots_offset=table_at, snapshot_count=len(kept), **fields
        )
        self.image.reload()

    def store_l1(self, l1: array[int]) -> int:
        """Its byte."""
        return self.store_row(stored_table(l1, endian="big"))

    def store_row(self, data: bytes) -> int:
        count = max(divide_up(len(data), self.cluster), 1)
        at = self.shadow.take_row(count) * self.cluster
        self.image.file.write(at, data.ljust(count * self.cluster, b"\0"))
        return at
