"""L2 tables one after the other, by runs of entries."""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING

from virtkit.disk.formats.qcow2.entries import NO_ROOM, compressed_place
from virtkit.disk.formats.qcow2.layout import COMPRESSED, COPIED, ENTRY, OFFSET
from virtkit.disk.formats.qcow2.sweep import Batch, Named, Sweep
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator


class PlainSweep(Sweep):
    def batches(self, named: list[Named]) -> Iterator[Batch]:
        for index, at in named:
            yield _Table(self, (index, at), self.image.tables.read(index, at))

    def single(self, clusters: list[int]) -> list[bool]:
        return [self.shadow.counts(cluster, 1)[0] == 1 for cluster in clusters]


class _Table:
    def __init__(self, sweep: PlainSweep, named: Named, table: array[int]) -> None:
        self.named, self._table = [named], table
        self._shadow, self._cluster, self._words = sweep.shadow, sweep.cluster, sweep.words
        self._cluster_bits = sweep.head.header.cluster_bits

    def count(self, change: int) -> None:
        self._shadow.add(self.named[0][1] // self._cluster, 1, change)
        entries = self._plain()[:: self._words]
        for run in runs(entries, 0, len(entries), self._cluster, NO_ROOM):
            if run.entry & COMPRESSED:
                for entry in range(run.entry, run.entry + (run.end - run.begin) * self._cluster, self._cluster):
                    at, stored = compressed_place(entry, self._cluster_bits)
                    first, last = at // self._cluster, (at + stored - 1) // self._cluster
                    self._shadow.add(first, last - first + 1, change)
            elif run.stride:
                self._shadow.add((run.entry & OFFSET) // self._cluster, run.end - run.begin, change)

    def clear_flags(self) -> list[int]:
        return self._become(self._plain())

    def set_flags(self) -> list[int]:
        flagged = self._plain()
        entries = flagged[:: self._words]
        for run in runs(entries, 0, len(entries), self._cluster, NO_ROOM):
            if not run.stride or run.entry & COMPRESSED:
                continue
            counts = self._shadow.counts((run.entry & OFFSET) // self._cluster, run.end - run.begin)
            single = counts.count(1)
            if single == len(counts):
                first = run.entry | COPIED
                row = range(first, first + len(counts) * self._cluster, self._cluster)
                entries[run.begin : run.end] = array("Q", row)
            elif single:
                for index, count in enumerate(counts, run.begin):
                    entries[index] |= COPIED if count == 1 else 0
        flagged[:: self._words] = entries
        return self._become(flagged)

    def stored(self, first: int, last: int) -> bytes:
        return stored_table(self._table, endian="big")

    def _become(self, table: array[int]) -> list[int]:
        if table == self._table:
            return []
        self._table = table
        return [0]

    def _plain(self) -> array[int]:
        """Without copied flags; no bitmap of subclusters is touched."""
        table = self._table
        number = int.from_bytes(table.tobytes(), sys.byteorder) & ~_copied_flags(len(table), self._words)
        return array("Q", number.to_bytes(len(table) * ENTRY, sys.byteorder))


@lru_cache(maxsize=4)
def _copied_flags(words: int, step: int) -> int:
    """The flag in every ``step``-th of so many words, as one long integer."""
    return int.from_bytes(array("Q", [COPIED, *[0] * (step - 1)] * (words // step)).tobytes(), sys.byteorder)
