"""Refcounts put right: single ones where they are, or all of them in a new place that the header then names."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtkit.core.errors import UsageError
from virtkit.core.units import divide_up, format_size
from virtkit.disk.formats.qcow2.counts import encoded, write_words
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_REFCOUNT_TABLE_SIZE, REFCOUNT_TABLE_RESERVED
from virtkit.disk.formats.qcow2.patches import write_changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.ledger import Ledger


class Counted(Protocol):
    """How often clusters are used."""

    @property
    def clusters(self) -> int:
        """None from here on is."""
        ...

    def counted(self, first: int, count: int) -> array[int]:
        """Of clusters [first, first + count)."""
        ...


class Mended(NamedTuple):
    """A refcount block that was put right."""

    number: int
    at: int  # bytes
    wrong: int  # how many counts were


def mend_blocks(ledger: Ledger, *, lower_only: bool) -> Iterator[Mended]:
    """Refcounts become what was counted; with ``lower_only`` those that are too high. Missing blocks stay missing."""
    head, step = ledger.head, ledger.refcounts.block_entries
    for index, entry in enumerate(ledger.refcounts.table):
        at = entry & ~REFCOUNT_TABLE_RESERVED
        if not at or at != entry or at % ledger.cluster or at >= ledger.file_size:
            continue
        stored = ledger.refcounts.get(index * step, step)
        counted = ledger.references.counted(index * step, step)
        wanted = array("I", map(min, stored, counted)) if lower_only else counted
        if wanted != stored:
            write_changed(ledger.file, at, encoded(wanted, head.features.refcount_order))
            wrong = sum(map(int.__ne__, wanted, stored))
            yield Mended(index, at, wrong)


def lacks_blocks(ledger: Ledger) -> bool:
    """Whether clusters are used that no refcount block is for."""
    step, table = ledger.refcounts.block_entries, ledger.refcounts.table
    there = {index for index, entry in enumerate(table) if entry}
    return any(index not in there for index in _used_blocks(ledger.references, step))


def _used_blocks(counts: Counted, step: int) -> Iterator[int]:
    for index in range(divide_up(counts.clusters, step)):
        if counts.counted(index * step, step).tobytes().rstrip(b"\0"):
            yield index


def store_anew(file: File, cluster: int, counts: Counted, first: int, order: int) -> tuple[int, int]:
    """Write what was counted, and the new refcounts' own clusters from ``first`` on, which nothing uses.

    Returns where the table is and how many clusters it has. UsageError where a count or the table does not fit.
    """
    layout = _Layout(file, cluster, counts, first, order)
    if layout.table_clusters * cluster > MAX_REFCOUNT_TABLE_SIZE:
        raise UsageError(f"{file.name}: is {format_size(first * cluster)} long, too long for its refcounts")
    table = array("Q", bytes(ENTRY * (layout.blocks[-1] + 1)))
    at = (first + layout.table_clusters) * cluster
    for index in layout.blocks:
        table[index] = at
        file.write(at, encoded(layout.counts(index), order))
        at += cluster
    write_words(file, first * cluster, table, room=layout.table_clusters * cluster)
    return first * cluster, layout.table_clusters


class _Layout:
    """Which refcount blocks there have to be: those of clusters in use, and those of the table and the blocks."""

    def __init__(self, file: File, cluster: int, counts: Counted, first: int, order: int) -> None:
        self._file, self._counts, self._first, self._order = file, counts, first, order
        self._entries = cluster * 8 >> order
        used = set(_used_blocks(counts, self._entries))
        self.blocks: list[int] = []
        self.table_clusters = 0
        while len(self.blocks) < len(used):
            self.blocks = sorted(used)
            self.table_clusters = divide_up(ENTRY * (self.blocks[-1] + 1), cluster)
            used |= set(range(first // self._entries, (self._end - 1) // self._entries + 1))

    @property
    def _end(self) -> int:
        """The cluster behind the last block."""
        return self._first + self.table_clusters + len(self.blocks)

    def counts(self, index: int) -> array[int]:
        first = index * self._entries
        counts = self._counts.counted(first, self._entries)
        for cluster in range(max(first, self._first), min(first + self._entries, self._end)):
            counts[cluster - first] = 1
        most = (1 << (1 << self._order)) - 1
        if max(counts) > most:
            name = self._file.name
            raise UsageError(f"{name}: a cluster is used {max(counts)} times, refcounts of that width end at {most}")
        return counts
