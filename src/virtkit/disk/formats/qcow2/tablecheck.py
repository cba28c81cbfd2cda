"""The check of one L2 table: where its entries point, and whether they say so correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.entries import compressed_place
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    COMPRESSED,
    COPIED,
    ENTRY,
    L2_RESERVED,
    OFFSET,
    SUBCLUSTERS,
    ZERO,
)
from virtkit.disk.runs import Run, runs

if TYPE_CHECKING:
    from array import array

    from virtkit.disk.formats.qcow2.ledger import Ledger

_NO_CLUSTER = frozenset({0, ZERO, COPIED, COPIED | ZERO})  # entries that name none, and may repeat
_NO_EXTERNAL_CLUSTER = _NO_CLUSTER - {COPIED}  # offset 0 of a data file is a place like any other


class TableCheck:
    """``weight`` L1 entries name the table at ``at``, ``active`` of them in the active L1 table."""

    def __init__(self, ledger: Ledger, at: int, *, weight: int, active: int) -> None:
        self.ledger, self.tally, self.at = ledger, ledger.tally, at
        self.weight, self.active = weight, active
        self.cluster = ledger.cluster
        self.external = ledger.external
        self.none = _NO_EXTERNAL_CLUSTER if self.external else _NO_CLUSTER
        self.broken: set[int] = set()  # compressed entries that name no data, by QEMU's count
        self.next_offset = 0  # where the next data cluster would not be a fragment

    def run(self) -> None:
        self.ledger.use("L2 table", self.at, self.cluster, self.weight)
        if self.at % self.cluster:
            self.tally.corrupt(f"L2 table is at {self.at:#x}, expected an aligned cluster", self.weight)
        table = self.ledger.read(self.at, self.cluster // ENTRY)
        if self.ledger.extended:
            table, subclusters = table[::2], table[1::2]
            self._check_subclusters(table, subclusters)
        first = 0
        while first < len(table):
            if table[first] & COMPRESSED:
                first = self._compressed(table, first)
            for run in runs(table, first, len(table), self.cluster, self.none):
                first = run.begin
                if run.entry & COMPRESSED:
                    break
                self._standard(run)
                first = run.end

    def _check_subclusters(self, table: array[int], subclusters: array[int]) -> None:
        for index, bits in enumerate(subclusters):
            if bits and (wrong := self._wrong_subclusters(table[index], bits)):
                self.tally.corrupt(f"L2 table at {self.at:#x}: entry {index} {wrong} ({bits:#x})", self.weight)
                if table[index] & COMPRESSED:
                    self.broken.add(index)

    def _wrong_subclusters(self, entry: int, bits: int) -> str:
        if entry & COMPRESSED:
            return "" if self.external else "is compressed and has subclusters"
        if self._names_cluster(entry):
            return "has subclusters with data that are zeros too" if bits >> SUBCLUSTERS & bits else ""
        return "has subclusters with data and no cluster" if bits & ALL_SUBCLUSTERS else ""

    def _names_cluster(self, entry: int) -> bool:
        return bool(entry & OFFSET) or (self.external and entry & (COPIED | ZERO) == COPIED)

    def _standard(self, run: Run) -> None:
        count, offset = run.end - run.begin, run.entry & OFFSET
        if run.entry & L2_RESERVED:
            detail = f"L2 table at {self.at:#x}: entry {run.begin} is {run.entry:#x}, expected no reserved bits"
            self.tally.corrupt(detail, count * self.weight)
        if not self._names_cluster(run.entry):  # the next entry of a ramp does
            count, offset = (count - 1, self.cluster) if run.stride else (0, 0)
        if not count:
            return
        if self.active:
            self.tally.allocated += count * self.active
            if self.next_offset and offset != self.next_offset:
                self.tally.fragmented += self.active
            if self.at:  # as QEMU: a table in the header is bad enough
                self._check_copied(run.entry, offset, count)
        self.next_offset = offset + count * self.cluster
        if offset % self.cluster:
            self._misaligned(offset, count)
        elif not self.external:
            self._aligned(offset, count)

    def _aligned(self, offset: int, count: int) -> None:
        there = min(max(divide_up(self.ledger.file_size - offset, self.cluster), 0), count)
        if there < count:
            detail = f"data clusters from {offset + there * self.cluster:#x} on lie behind the file's end"
            self.tally.corrupt(detail, (count - there) * self.weight)
        if there and (over := self.ledger.references.add(offset // self.cluster, there, self.weight)):
            self.tally.miscount(f"data at {offset:#x} is used more often than a refcount can say", over)

    def _misaligned(self, offset: int, count: int) -> None:
        for at in range(offset, offset + count * self.cluster, self.cluster):
            self.tally.corrupt(f"data is at {at:#x}, expected an aligned cluster", self.weight)
            if not self.external:
                self.ledger.use("data", at, self.cluster, self.weight)

    def _check_copied(self, entry: int, offset: int, count: int) -> None:
        """The flag says that the refcount is exactly one, as it always is in a data file."""
        single = count if self.external else self.ledger.refcounts.get(offset // self.cluster, count).count(1)
        wrong = count - single if entry & COPIED else single
        if wrong:
            flag = "set" if entry & COPIED else "not set"
            detail = f"data at {offset:#x}: the copied flag is {flag} against the refcounts of {wrong} clusters"
            self.tally.misflag(detail, wrong * self.active)

    def _compressed(self, table: array[int], first: int) -> int:
        """Consecutive compressed entries from ``first`` on; returns where they end."""
        end = next((index for index in range(first, len(table)) if not table[index] & COMPRESSED), len(table))
        for index in range(first, end):
            at, stored = compressed_place(table[index], self.ledger.head.header.cluster_bits)
            if table[index] & COPIED:
                self.tally.corrupt(f"compressed data at {at:#x} have the copied flag", self.weight)
            if self.external:
                self.tally.corrupt(f"compressed data at {at:#x} in an image with a data file", self.weight)
            elif index not in self.broken:
                self._use_compressed(at, stored)
                self._count_compressed()
        return end

    def _use_compressed(self, at: int, stored: int) -> None:
        first, last = at // self.cluster, (at + stored - 1) // self.cluster
        if at + stored >= self.ledger.file_size + self.cluster:
            self.tally.corrupt(f"compressed data at {at:#x} lie behind the file's end", self.weight)
        elif over := self.ledger.references.add(first, last - first + 1, self.weight):
            self.tally.miscount(f"compressed data at {at:#x} are used more often than a refcount can say", over)

    def _count_compressed(self) -> None:
        self.tally.allocated += self.active
        self.tally.compressed += self.active
        self.tally.fragmented += self.active  # QEMU's view: they share sectors with their neighbours
