"""L2 tables one after the other, by runs of entries."""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from virtkit.disk.formats.qcow2.entries import NO_ROOM, compressed_place
from virtkit.disk.formats.qcow2.layout import COMPRESSED, COPIED, ENTRY, OFFSET
from virtkit.disk.formats.qcow2.sweep import Batch, Named, Sweep
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.shadow import Shadow
    from virtkit.disk.formats.qcow2.written import WrittenQcow2

_MOST = 1 << 16  # runs that are kept until they are counted
Run = tuple[int, int]
"""Clusters one after the other: the first, how many."""


class PlainSweep(Sweep):
    """What all tables name is counted in the order of the file: scattered clusters are neighbours there."""

    def __init__(self, image: WrittenQcow2, shadow: Shadow) -> None:
        super().__init__(image, shadow)
        self.found: list[Run] = []
        self.change = 0

    def batches(self, named: list[Named]) -> Iterator[Batch]:
        for index, at in named:
            yield _Table(self, (index, at), self.image.tables.read(index, at))
            if len(self.found) >= _MOST:
                self._count()
        self._count()

    def _count(self) -> None:
        for first, count, times in _joined(Counter(self.found)):
            self.shadow.add(first, count, times * self.change)
        self.found.clear()

    def single(self, clusters: list[int]) -> list[bool]:
        return [self.shadow.counts(cluster, 1)[0] == 1 for cluster in clusters]


def _joined(found: Counter[Run]) -> Iterator[tuple[int, int, int]]:
    """(first, count, times): neighbours that are there as often are one."""
    first = end = times = 0
    for (begin, count), often in sorted(found.items()):
        if begin == end and often == times:
            end += count
            continue
        if times:
            yield first, end - first, times
        first, end, times = begin, begin + count, often
    if times:
        yield first, end - first, times


class _Table:
    def __init__(self, sweep: PlainSweep, named: Named, table: array[int]) -> None:
        self.named, self._table, self._sweep = [named], table, sweep
        self._shadow, self._cluster, self._words = sweep.shadow, sweep.cluster, sweep.words
        self._cluster_bits = sweep.head.header.cluster_bits

    def count(self, change: int) -> None:
        self._sweep.change = change
        found = self._sweep.found
        found.append((self.named[0][1] // self._cluster, 1))
        entries = self._plain()[:: self._words]
        for run in runs(entries, 0, len(entries), self._cluster, NO_ROOM):
            if run.entry & COMPRESSED:
                for entry in range(run.entry, run.entry + (run.end - run.begin) * self._cluster, self._cluster):
                    at, stored = compressed_place(entry, self._cluster_bits)
                    first, last = at // self._cluster, (at + stored - 1) // self._cluster
                    found.append((first, last - first + 1))
            elif run.stride:
                found.append(((run.entry & OFFSET) // self._cluster, run.end - run.begin))

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
