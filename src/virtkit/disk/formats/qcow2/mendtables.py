"""L1 and L2 tables put right: an entry that names no place in the file can only say that there is nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import round_up
from virtkit.disk.formats.qcow2.counts import big_endian
from virtkit.disk.formats.qcow2.entries import compressed_place
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    COMPRESSED,
    COPIED,
    ENTRY,
    L1_RESERVED,
    L2_RESERVED,
    OFFSET,
    SUBCLUSTERS,
    V2,
    ZERO,
    Incompatible,
)
from virtkit.disk.formats.qcow2.patches import write_changed
from virtkit.disk.runs import runs, table_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.refcounts import Refcounts

_PIECE = 1 << 19  # entries of an L1 table looked at together
_MAY_REPEAT = frozenset({0, ZERO, COPIED, COPIED | ZERO})


class TableMender:
    """Each table is mended once, whoever names it."""

    def __init__(self, file: File, head: Head) -> None:
        self._file, self._head, self._cluster = file, head, head.cluster_size
        self._end = round_up(file.size, self._cluster)
        self._extended, self._external = head.has(Incompatible.EXTENDED_L2), head.has(Incompatible.DATA_FILE)
        self._seen: set[int] = set()

    def mend_l1(self, what: str, at: int, entries: int) -> Iterator[str]:
        """Tells what it did, table by table; the L2 tables that are named too."""
        for first in range(0, entries, _PIECE):
            start, count = at + first * ENTRY, min(_PIECE, entries - first)
            if start >= self._end:
                return
            table = _read(self._file, start, count)
            wrong = [index for index, entry in enumerate(table) if entry and self._mended_l1(entry) != entry]
            for index in wrong:
                table[index] = self._mended_l1(table[index])
            if wrong:
                write_changed(self._file, start, big_endian(table))
                yield f"{what} at {at:#x}: {len(wrong)} entries that could not be"
            for entry in set(table) - {0}:
                yield from self._mend_l2(entry & OFFSET)

    def _mended_l1(self, entry: int) -> int:
        entry &= ~L1_RESERVED
        at = entry & OFFSET
        return entry if at and at % self._cluster == 0 and at < self._end else 0

    def _mend_l2(self, at: int) -> Iterator[str]:
        if at in self._seen:
            return
        self._seen.add(at)
        table = _read(self._file, at, self._cluster // ENTRY)
        before = table[:]
        words, bits = (table[::2], table[1::2]) if self._extended else (table, None)
        for index in self._suspects(words, bits):
            words[index], subclusters = self._mended(words[index], bits[index] if bits else 0)
            if bits:
                bits[index] = subclusters
        if bits:
            table[::2], table[1::2] = words, bits
        if wrong := sum(map(int.__ne__, table, before)):
            write_changed(self._file, at, big_endian(table))
            yield f"L2 table at {at:#x}: {wrong} entries that could not be"

    def _suspects(self, words: array[int], bits: array[int] | None) -> Iterator[int]:
        """Entries that are worth a look: all of a dense image's are in order, and in few runs."""
        for run in runs(words, 0, len(words), self._cluster, _MAY_REPEAT):
            last = run.entry + (run.end - run.begin - 1) * run.stride
            if bits is not None or any(self._mended(entry, 0) != (entry, 0) for entry in (run.entry, last)):
                yield from range(run.begin, run.end)

    def _mended(self, entry: int, bits: int) -> tuple[int, int]:
        """An L2 entry and its subclusters as they could be."""
        if entry & COMPRESSED:
            at, stored = compressed_place(entry, self._head.header.cluster_bits)
            there = at + stored < self._end + self._cluster and at < self._end and not self._external
            return (entry & ~COPIED, 0) if there else self._zeros(bits)
        entry &= ~L2_RESERVED
        at = entry & OFFSET
        if self._names_cluster(entry):
            there = at % self._cluster == 0 and (self._external or at < self._end)
            return (entry, _untangled(bits)) if there else self._zeros(bits)
        return entry, bits & ~ALL_SUBCLUSTERS

    def _names_cluster(self, entry: int) -> bool:
        return bool(entry & OFFSET) or (self._external and entry & (COPIED | ZERO) == COPIED)

    def _zeros(self, bits: int) -> tuple[int, int]:
        """As QEMU has it: subclusters with data become zeros; without zero flags the cluster is not allocated."""
        if self._extended:
            return 0, (bits | bits << SUBCLUSTERS) & ALL_SUBCLUSTERS << SUBCLUSTERS
        return (ZERO if self._head.header.version > V2 else 0), 0  # zero flags came with version 3


def mend_copied(file: File, head: Head, refcounts: Refcounts) -> Iterator[str]:
    """In the active tables the flag says that the refcount is exactly one."""
    at, count = head.header.l1_offset, head.header.l1_size
    table = _read(file, at, count)
    seen: set[int] = set()
    for index, entry in enumerate(table):
        offset = entry & OFFSET
        if not offset:
            continue
        (refcount,) = refcounts.get(offset // head.cluster_size, 1)
        table[index] = entry | COPIED if refcount == 1 else entry & ~COPIED
        if offset not in seen:
            seen.add(offset)
            yield from _mend_copied_l2(file, head, refcounts, offset)
    if write_changed(file, at, big_endian(table)):
        yield f"L1 table at {at:#x}: copied flags"


def _mend_copied_l2(file: File, head: Head, refcounts: Refcounts, at: int) -> Iterator[str]:
    cluster, external = head.cluster_size, head.has(Incompatible.DATA_FILE)
    table = _read(file, at, cluster // ENTRY)
    words = table[::2] if head.has(Incompatible.EXTENDED_L2) else table[:]
    none = _MAY_REPEAT - ({COPIED} if external else set())
    first = 0
    while first < len(words):
        entry = words[first]
        if entry & COMPRESSED or entry in none:
            first += 1
            continue
        run = next(runs(words, first, len(words), cluster, none))
        count = run.end - run.begin
        single = [1] * count if external else refcounts.get((entry & OFFSET) // cluster, count)
        for index, refcount in enumerate(single, first):
            words[index] = words[index] | COPIED if refcount == 1 else words[index] & ~COPIED
        first = run.end
    if head.has(Incompatible.EXTENDED_L2):
        table[::2] = words
    else:
        table = words
    if write_changed(file, at, big_endian(table)):
        yield f"L2 table at {at:#x}: copied flags"


def _untangled(bits: int) -> int:
    """Subclusters with data are no zeros: the data can still be looked at."""
    return bits & ~((bits & ALL_SUBCLUSTERS) << SUBCLUSTERS)


def _read(file: File, at: int, count: int) -> array[int]:
    return table_of(file.read(at, count * ENTRY).ljust(count * ENTRY, b"\0"), code="Q", endian="big")
