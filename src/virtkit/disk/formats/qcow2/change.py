"""A change of what an image's tables mean as a whole: a snapshot comes or goes, tables move."""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2 import snapshots
from virtkit.disk.formats.qcow2.entries import NO_ROOM, compressed_place
from virtkit.disk.formats.qcow2.layout import COMPRESSED, COPIED, ENTRY, OFFSET
from virtkit.disk.formats.qcow2.shadow import Shadow
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.written import WrittenQcow2


class Change:
    """Counts change with everything that a table names; then the header switches to it."""

    def __init__(self, image: WrittenQcow2) -> None:
        image.flush()
        image.begin()
        self.image, self.cluster = image, image.head.cluster_size
        self.words = image.head.entry_size // ENTRY
        self.shadow = Shadow(image.allocator)

    def tables(self, l1: array[int]) -> Iterator[tuple[int, int, array[int]]]:
        """(index, entry of the L1 table, L2 table)."""
        for index in [index for index, entry in enumerate(l1) if entry & OFFSET]:
            yield index, l1[index], self.image.tables.read(index, l1[index] & OFFSET)

    def add_clusters(self, table: array[int], change: int) -> None:
        entries = self.without_copied(table)[:: self.words]
        for run in runs(entries, 0, len(entries), self.cluster, NO_ROOM):
            if run.entry & COMPRESSED:
                for entry in range(run.entry, run.entry + (run.end - run.begin) * self.cluster, self.cluster):
                    at, stored = compressed_place(entry, self.image.head.header.cluster_bits)
                    first, last = at // self.cluster, (at + stored - 1) // self.cluster
                    self.shadow.add(first, last - first + 1, change)
            elif run.stride:
                self.shadow.add((run.entry & OFFSET) // self.cluster, run.end - run.begin, change)

    def without_copied(self, table: array[int]) -> array[int]:
        """No bitmap of subclusters is touched."""
        number = int.from_bytes(table.tobytes(), sys.byteorder) & ~_copied_flags(len(table), self.words)
        return array("Q", number.to_bytes(len(table) * ENTRY, sys.byteorder))

    def with_copied(self, table: array[int]) -> array[int]:
        """The flag is set where a cluster is used once."""
        flagged = self.without_copied(table)
        entries = flagged[:: self.words]
        for run in runs(entries, 0, len(entries), self.cluster, NO_ROOM):
            if not run.stride or run.entry & COMPRESSED:
                continue
            counts = self.shadow.counts((run.entry & OFFSET) // self.cluster, run.end - run.begin)
            single = counts.count(1)
            if single == len(counts):
                first = run.entry | COPIED
                entries[run.begin : run.end] = array(
                    "Q", range(first, first + len(counts) * self.cluster, self.cluster)
                )
            elif single:
                for index, count in enumerate(counts, run.begin):
                    entries[index] |= COPIED if count == 1 else 0
        flagged[:: self.words] = entries
        return flagged

    def store_table(self, table: array[int]) -> int:
        """In a new cluster; its byte."""
        at = self.shadow.take(1)[0] * self.cluster
        self.image.file.write(at, stored_table(table, endian="big"))
        return at

    def drop_l1(self, at: int, entries: int) -> None:
        if entries:
            self.shadow.add(at // self.cluster, divide_up(entries * ENTRY, self.cluster), -1)

    def switch(self, kept: list[snapshots.Snapshot], l1: array[int], **fields: int) -> None:
        """``kept`` and ``l1`` are what the image has from now on."""
        header, file = self.image.head.header, self.image.file
        old = snapshots.read(file, self.image.head)
        if old:
            size = old[-1].end - header.snapshots_offset
            self.shadow.add(header.snapshots_offset // self.cluster, divide_up(size, self.cluster), -1)
        table_at = self.store_row(snapshots.pack(kept)) if kept else 0
        l1_at = self.store_row(stored_table(l1, endian="big")) if l1 else header.l1_offset  # of no entries: no room
        self.shadow.switch(
            l1_offset=l1_at, l1_size=len(l1), snapshots_offset=table_at, snapshot_count=len(kept), **fields
        )
        self.image.reload()

    def store_row(self, data: bytes) -> int:
        count = max(divide_up(len(data), self.cluster), 1)
        at = self.shadow.take_row(count) * self.cluster
        self.image.file.write(at, data.ljust(count * self.cluster, b"\0"))
        return at


@lru_cache(maxsize=4)
def _copied_flags(words: int, step: int) -> int:
    """The flag in every ``step``-th of so many words, as one long integer."""
    return int.from_bytes(array("Q", [COPIED, *[0] * (step - 1)] * (words // step)).tobytes(), sys.byteorder)
