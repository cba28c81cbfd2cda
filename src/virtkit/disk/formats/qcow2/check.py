"""Hold the metadata of a qcow2 image against each other.

The question is whether every cluster is used as often as its refcount says.

What counts as one corruption or one leak is QEMU's decision (block/qcow2-refcount.c), so that numbers compare.
An L2 table that many L1 entries name is walked once and counted many times.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import MIB, divide_up
from virtkit.disk.format import Findings
from virtkit.disk.formats.qcow2 import bitmaps, snapshots
from virtkit.disk.formats.qcow2.layout import (
    COPIED,
    ENTRY,
    L1_RESERVED,
    MAX_L1_SIZE,
    OFFSET,
    REFCOUNT_TABLE_RESERVED,
    V2,
    EncryptionHeader,
    Extension,
    Incompatible,
)
from virtkit.disk.formats.qcow2.ledger import Ledger
from virtkit.disk.formats.qcow2.refcounts import References
from virtkit.disk.formats.qcow2.tablecheck import TableCheck
from virtkit.disk.runs import runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.ledger import Counting

_MOST_OVERLAPPING = 64 * MIB  # bytes of tables
_LEAST_EXTRA = 16  # bytes of extra data that a snapshot of version 3 has


class _Table:
    """An L2 table, and how many L1 entries name it."""

    def __init__(self) -> None:
        self.active = 0
        self.all = 0


class Check:
    """``unsound``: the refcounts themselves cannot be put right one by one, they have to be made anew."""

    def __init__(self, file: File, head: Head, references: Counting | None = None) -> None:
        self.ledger = Ledger(file, head, references or References(file, head))
        self.file, self.head = file, head
        self.tally = self.ledger.tally
        self.tables: dict[int, _Table] = {}
        self.last_used = 0  # cluster
        self.unsound = False

    def findings(self) -> Findings:
        tally, cluster = self.tally, self.head.cluster_size
        return Findings(
            corruptions=tally.corruptions,
            leaks=tally.leaks,
            image_end=(self.last_used + 1) * cluster,
            total_clusters=divide_up(self.head.header.size, cluster),
            allocated_clusters=tally.allocated,
            fragmented_clusters=tally.fragmented,
            compressed_clusters=tally.compressed,
            details=tuple(tally.details),
        )

    def run(self) -> None:
        self.count_references()
        self.count_refcount_blocks()
        self.compare()

    def count_references(self) -> None:
        header, cluster = self.head.header, self.head.cluster_size
        self.tables.clear()
        self.ledger.use("header", 0, cluster)
        self._count_l1("L1 table", header.l1_offset, header.l1_size, 1, active=True)
        self._count_snapshots()
        self._count_tables()
        if encryption := self.head.extensions.get(Extension.ENCRYPTION):
            place = EncryptionHeader.parse(encryption, source=self.file.name)
            self.ledger.use("encryption header", place.offset, place.length)
        self._count_bitmaps()

    def _count_tables(self) -> None:
        for at, table in self.tables.items():
            TableCheck(self.ledger, at, weight=table.all, active=table.active).run()

    def _count_l1(self, what: str, at: int, entries: int, weight: int, *, active: bool) -> None:
        self.ledger.use(what, at, entries * ENTRY, weight)
        for entry, count in self.ledger.count_entries(at, entries).items():
            if entry & L1_RESERVED:
                self.tally.corrupt(f"{what}: an entry is {entry:#x}, expected no reserved bits", count * weight)
            table = self.tables.setdefault(entry & OFFSET, _Table())
            table.all += count * weight
            if active:
                table.active += count
                if not self.tally.repeated:
                    self._check_copied(what, entry, count)

    def _check_copied(self, what: str, entry: int, count: int) -> None:
        offset = entry & OFFSET
        (refcount,) = self.ledger.refcounts.get(offset // self.head.cluster_size, 1)
        if offset and (refcount == 1) != bool(entry & COPIED):
            detail = f"{what}: an entry is {entry:#x}, but the refcount of its table is {refcount}"
            self.tally.misflag(detail, count)

    def _count_snapshots(self) -> None:
        header = self.head.header
        end = header.snapshots_offset
        l1_tables: Counter[tuple[int, int]] = Counter()
        if header.snapshot_count and self.head.has(Incompatible.DATA_FILE):
            self.tally.corrupt(f"{header.snapshot_count} snapshots, expected none in an image with a data file")
        for snapshot in snapshots.read(self.file, self.head):
            end = snapshot.end
            what = f"snapshot {snapshot.id}"
            at, entries = snapshot.header.l1_offset, snapshot.header.l1_size
            if header.version > V2 and len(snapshot.extra) < _LEAST_EXTRA:  # version 2 has no such rule
                self.tally.corrupt(f"{what}: extra data is {len(snapshot.extra)} bytes, expected {_LEAST_EXTRA}")
            if at % self.head.cluster_size:
                self.tally.corrupt(f"{what}: L1 table is at {at:#x}, expected an aligned cluster")
            elif entries * ENTRY > MAX_L1_SIZE:
                self.tally.corrupt(f"{what}: L1 table has {entries} entries, expected {MAX_L1_SIZE // ENTRY} at most")
            else:
                l1_tables[at, entries] += 1
        for (at, entries), weight in self._apart("L1 tables of snapshots", l1_tables):
            self._count_l1("L1 table of a snapshot", at, entries, weight, active=False)
        self.ledger.use("snapshot table", header.snapshots_offset, end - header.snapshots_offset)

    def _apart(self, what: str, places: Counter[tuple[int, int]]) -> list[tuple[tuple[int, int], int]]:
        """Tables in the order of their offsets. Many that overlap would let a small file ask for work without end."""
        found = sorted(place for place in places.items() if place[0][1])
        apart = all(at + entries * ENTRY <= following for ((at, entries), _), ((following, _), _) in pairwise(found))
        total = sum(entries * ENTRY for (_, entries), _ in found)
        if not apart and total > _MOST_OVERLAPPING:
            at, expected = found[0][0][0], f"at most {_MOST_OVERLAPPING} bytes where they overlap"
            raise CorruptImageError(self.file.name, what, found=f"{total} bytes", expected=expected, offset=at)
        return found

    def _count_bitmaps(self) -> None:
        directory = bitmaps.directory(self.head, self.file.name)
        if directory is None:
            return
        self.ledger.use("bitmap directory", directory.directory_offset, directory.directory_size)
        tables: Counter[tuple[int, int]] = Counter()
        for bitmap in bitmaps.read(self.file, self.head):
            at, entries = bitmap.entry.table_offset, bitmap.entry.table_size
            if entries > bitmaps.MAX_TABLE or at + entries * ENTRY > self.ledger.file_size:
                detail = f"bitmap {bitmap.name}: table of {entries} entries at {at:#x} ends behind the end of the file"
                self.tally.corrupt(detail)
            else:
                tables[at, entries] += 1
        for (at, entries), weight in self._apart("bitmap tables", tables):
            self.ledger.use("bitmap table", at, entries * ENTRY, weight)
            for entry, count in self.ledger.count_entries(at, entries).items():
                self._count_bitmap_entry(entry, count * weight)

    def _count_bitmap_entry(self, entry: int, weight: int) -> None:
        offset = entry & OFFSET
        misplaced = offset % self.head.cluster_size or (offset and entry & bitmaps.ALL_ONES)
        if entry & bitmaps.RESERVED or misplaced:
            self.tally.corrupt(f"bitmap table: an entry is {entry:#x}, expected an aligned cluster", weight)
        elif offset:
            self.ledger.use("bitmap", offset, self.head.cluster_size, weight)

    def count_refcount_blocks(self) -> None:
        """And the table that names them, in QEMU's order: the last of all."""
        header, cluster = self.head.header, self.head.cluster_size
        self.ledger.use("refcount table", header.refcount_table_offset, header.refcount_table_clusters * cluster)
        blocks_end = divide_up(self.ledger.file_size, cluster) * cluster
        for run in runs(self.ledger.refcounts.table, 0, len(self.ledger.refcounts.table), cluster, (0,)):
            if not run.stride:
                continue
            for index in range(run.begin, run.end):
                entry = run.entry + (index - run.begin) * cluster
                what = f"refcount block {index}"
                if wrong := self._misplaced(what, entry, blocks_end):
                    self.tally.corrupt(wrong)
                    self.unsound = True
                    continue
                self.ledger.use(what, entry, cluster)
                used = self.ledger.references.times(entry // cluster)
                if used not in {1, None}:
                    self.tally.miscount(f"{what} at {entry:#x} is used {used} times, expected once")
                    self.unsound = True

    def _misplaced(self, what: str, entry: int, blocks_end: int) -> str:
        if entry & REFCOUNT_TABLE_RESERVED or entry % self.head.cluster_size:
            return f"{what} is at {entry:#x}, expected an aligned cluster"
        return f"{what} is at {entry:#x}, expected one within {blocks_end:#x} bytes" if entry >= blocks_end else ""

    def compare(self) -> None:
        """Refcounts against references, refcount block by refcount block."""
        step, last = self.ledger.refcounts.block_entries, self.ledger.references.clusters
        for first in range(0, last, step):
            end = min(first + step, last)
            stored = self.ledger.refcounts.get(first, end - first)
            counted = self.ledger.references.counted(first, end - first)
            if stored.tobytes() != counted.tobytes():
                self._tell_differences(first, stored, counted)
            if used := max(len(stored.tobytes().rstrip(b"\0")), len(counted.tobytes().rstrip(b"\0"))):
                self.last_used = first + (used - 1) // stored.itemsize

    def _tell_differences(self, first: int, stored: Iterable[int], counted: Iterable[int]) -> None:
        if self.ledger.refcounts.readable(first // self.ledger.refcounts.block_entries):
            for cluster, (says, uses) in enumerate(zip(stored, counted, strict=True), first):
                if says != uses:
                    self._tell_difference(cluster, says, uses)

    def _tell_difference(self, cluster: int, says: int, uses: int) -> None:
        detail = f"{self._place(cluster)}: refcount is {says}, used {uses} times"
        if says < uses:
            self.tally.miscount(detail)
        else:
            self.tally.leak(detail)

    def _place(self, cluster: int) -> str:
        return f"cluster {cluster} at {cluster * self.head.cluster_size:#x}"
