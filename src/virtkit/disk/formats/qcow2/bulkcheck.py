"""The check of an image with so many tables that numpy pays.

Where anything is wrong with the entries of a table, ``tablecheck`` tells it, as in small images. All others are looked
at and counted by the batch, and the tables are walked once for each window of clusters that they point into.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from virtkit.core.units import divide_up
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2 import bulkcounts
from virtkit.disk.formats.qcow2.bulkcounts import Singles
from virtkit.disk.formats.qcow2.bulkentries import Entries
from virtkit.disk.formats.qcow2.check import Check
from virtkit.disk.formats.qcow2.layout import COPIED, OFFSET
from virtkit.disk.formats.qcow2.ledger import MOST_DETAILS, Uncounted
from virtkit.disk.formats.qcow2.tablecheck import TableCheck
from virtkit.disk.formats.qcow2.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.bulk import Batch, Ranges
    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.bulkcounts import Numbers
    from virtkit.disk.formats.qcow2.head import Head


_FEW = 64  # ranges


class _Group(NamedTuple):
    """L2 tables that are named as often as each other."""

    places: list[int]  # bytes
    active: int
    weight: int


class _Named(NamedTuple):
    """The clusters that the tables of a batch name lie between these; ``ranges``: all of them, where they are few."""

    first: int
    last: int
    ranges: Ranges | None


class BulkCheck(Check):
    def __init__(self, file: File, head: Head) -> None:
        self.window = Window(file, head)
        super().__init__(file, head, self.window)
        self._teller = copy(self.ledger)
        self._teller.references = Uncounted()
        self._named: dict[tuple[int, ...], _Named] = {}

    def run(self) -> None:
        self._look()
        self.tally.repeated = True
        while self.window.advance(self._with_blocks):
            self._look()

    def _look(self) -> None:
        super().run()
        for excess in self.window.excesses:
            self.tally.miscount(f"{self._place(excess)} is used more often than a refcount can say", 0)
        self.tally.corruptions += self.window.over

    @cached_property
    def _with_blocks(self) -> set[int]:
        """Windows whose clusters have refcounts."""
        step, refcounts = self.window.size, self.ledger.refcounts
        last = divide_up(self.window.clusters, refcounts.block_entries)
        return {index * refcounts.block_entries // step for index, at in enumerate(refcounts.table[:last]) if at}

    @cached_property
    def _singles(self) -> Singles:
        return Singles(self.ledger.refcounts, divide_up(self.ledger.file_size, self.ledger.cluster))

    @cached_property
    def _ones(self) -> Numbers:
        return np.ones(self.ledger.refcounts.block_entries, self.window.counts.dtype)

    def _count_tables(self) -> None:
        groups: dict[tuple[int, int], list[int]] = {}
        for at, table in self.tables.items():
            groups.setdefault((table.active, table.all), []).append(at)
        for (active, weight), places in groups.items():
            group = _Group(places, active, weight)
            self._count_places(group)
            for batch, some in self._batches(group):
                self._count_batch(group, batch, some)

    def _count_places(self, group: _Group) -> None:
        """Of the tables themselves; as ``Ledger.use``, one that begins within the file is counted."""
        cluster = self.head.cluster_size
        places = np.array(group.places, np.uint64)
        inside = places[places < self.ledger.file_size]
        behind = inside[inside % cluster != 0] // cluster + 1
        self.window.add_numbers(np.concatenate((inside // cluster, behind)), group.weight)

    def _batches(self, group: _Group) -> Iterator[tuple[Batch, list[int]]]:
        """Those that point into the window, as far as that is not known by heart; at first, all."""
        most = max(bulk.BATCH // self.head.cluster_size, 1)
        met = [at for at in range(0, len(group.places), most) if self._is_wanted(group, at)]
        places = [place for at in met for place in group.places[at : at + most]]
        for batch in bulk.batches(self.file, places, self.head.cluster_size):
            yield batch, places[batch.first : batch.first + most]

    def _is_wanted(self, group: _Group, at: int) -> bool:
        known = self._named.get((group.active, group.weight, group.places[at]))
        if known is None:
            return True
        if not self.window.meets(known.first, known.last):
            return False
        if known.ranges is not None:
            self.window.add_ranges(known.ranges, group.weight)
        return known.ranges is None

    def _count_batch(self, group: _Group, batch: Batch, places: list[int]) -> None:
        entries = Entries(batch, self.head, self.ledger.file_size)
        ranges = bulk.joined(entries.references())
        self.window.add_ranges(ranges, group.weight)
        if not self.tally.repeated:
            ends = ranges.first + ranges.length
            first, last = (int(ranges.first.min()), int(ends.max()) - 1) if ends.size else (0, -1)
            known = _Named(first, last, ranges if ends.size <= _FEW else None)
            self._named[group.active, group.weight, places[0]] = known
            self._tell(group, entries, places)

    def _tell(self, group: _Group, entries: Entries, places: list[int]) -> None:
        wrong = np.zeros(len(places), np.bool_)
        wrong[entries.tables[entries.faulty(self._singles if group.active else None)]] = True
        wrong |= np.array([at % self.head.cluster_size or at >= self.ledger.file_size for at in places], np.bool_)
        for index in np.flatnonzero(wrong).tolist():
            TableCheck(self._teller, places[index], weight=group.weight, active=group.active).run()
        if group.active:
            sound = ~wrong[entries.tables]
            plain, coded = sound & entries.plain, int(np.count_nonzero(sound & entries.coded))
            self.tally.allocated += group.active * (int(entries.counts[plain].sum()) + coded)
            self.tally.compressed += group.active * coded
            self.tally.fragmented += group.active * (entries.fragments(plain) + coded)

    def _check_copied(self, what: str, entry: int, count: int) -> None:
        if not (entry & COPIED and self._singles.has((entry & OFFSET) // self.head.cluster_size)):
            super()._check_copied(what, entry, count)

    def compare(self) -> None:
        """As ``Check.compare``, within the window."""
        step, last = self.ledger.refcounts.block_entries, min(self.window.end, self.window.clusters)
        for first in range(self.window.first, last, step):
            begin, count = first - self.window.first, min(step, last - first)
            counted = self.window.counts[begin : begin + count]
            stored = self._stored(first // step, count)
            if stored is None and not counted.any():
                continue
            stored = np.zeros(count, counted.dtype) if stored is None else stored
            if not np.array_equal(stored, counted):
                self._tell_unequal(first, stored, counted)
            if counted[-1]:
                self.last_used = first + count - 1
            elif (used := np.flatnonzero(stored | counted)).size:
                self.last_used = first + int(used[-1])

    def _stored(self, index: int, count: int) -> Numbers | None:
        """What a block says; None where there is none."""
        if index in self._singles.whole and count == self._ones.size:
            return self._ones
        found = bulkcounts.read(self.ledger.refcounts, index)[:count]
        if not found.size:
            return None
        limited = np.minimum(found, self.window.limit) if found.itemsize > self.window.counts.itemsize else found
        return np.pad(limited, (0, count - limited.size))

    def _tell_unequal(self, first: int, stored: Numbers, counted: Numbers) -> None:
        if not self.ledger.refcounts.readable(first // self.ledger.refcounts.block_entries):
            return
        unequal = np.flatnonzero(stored != counted)
        for index in unequal[:MOST_DETAILS].tolist():
            self._tell_difference(first + index, int(stored[index]), int(counted[index]))
        rest = unequal[MOST_DETAILS:]
        corrupt = int(np.count_nonzero(stored[rest] < counted[rest]))
        self.tally.corruptions += corrupt
        self.tally.leaks += rest.size - corrupt
