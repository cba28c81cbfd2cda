"""The L1 and L2 tables of a new image: the newest in memory, the others in the file already."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.units import MIB, divide_up, format_size
from virtkit.disk.formats.qcow2.counts import big_endian, write_words
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    ALL_ZERO,
    COPIED,
    ENTRY,
    MAX_CLUSTER_BITS,
    MAX_L1_SIZE,
    ZERO,
)
from virtkit.disk.runs import read_table

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.counts import Counts

_BATCH = MIB  # bytes per write
TABLES_KEPT = 16  # L2 tables in memory; the source comes in order, so older ones are hardly touched again


class Shape(NamedTuple):
    """The sizes that the tables follow from."""

    size: int  # bytes of the guest's disk
    cluster: int  # bytes
    extended: bool

    @property
    def words(self) -> int:
        """Of an L2 entry."""
        return 2 if self.extended else 1

    @property
    def entries(self) -> int:
        """Of an L2 table."""
        return self.cluster // (ENTRY * self.words)

    @property
    def clusters(self) -> int:
        return divide_up(self.size, self.cluster)

    @property
    def tables(self) -> int:
        """UsageError where no L1 table has room for as many L2 tables."""
        tables = divide_up(self.clusters, self.entries)
        if not self.fits:
            raise UsageError(
                f"qcow2: disk size is {format_size(self.size)}, too big for clusters of {format_size(self.cluster)}",
                hint=self._larger(),
            )
        return tables

    @property
    def fits(self) -> bool:
        return ENTRY * divide_up(self.clusters, self.entries) <= MAX_L1_SIZE

    def _larger(self) -> str:
        """The option for the smallest clusters that do; where there are none, the format for such disks."""
        sizes = (1 << bits for bits in range(self.cluster.bit_length(), MAX_CLUSTER_BITS + 1))
        found = next((size for size in sizes if self._replace(cluster=size).fits), None)
        return f"-o cluster_size={found}" if found else "a raw disk: -f raw, or -O raw"


class Entry(NamedTuple):
    """What the entries of neighbouring clusters say: each is ``step`` more than the one before."""

    word: int
    step: int = 0
    subclusters: int = 0  # second word of an extended entry

    @classmethod
    def data(cls, at: int, cluster: int) -> Entry:
        return cls(at | COPIED, cluster, ALL_SUBCLUSTERS)

    @classmethod
    def zeros(cls, *, extended: bool) -> Entry:
        return cls(0, 0, ALL_ZERO) if extended else cls(ZERO)


class Tables:
    """``filled``: what all entries say beforehand, that of the first cluster given; None: nothing is allocated."""

    def __init__(self, file: File, shape: Shape, counts: Counts, filled: Entry | None) -> None:
        self._file, self._shape, self._counts, self._filled = file, shape, counts, filled
        self.l1_at = counts.take(divide_up(ENTRY * shape.tables, shape.cluster))
        self.l1 = array("Q", bytes(ENTRY * shape.tables))
        self._stored = bytearray(shape.tables)  # 1: the table is in the file, or was put aside there
        self._kept: dict[int, array[int]] = {}
        self._most = max(TABLES_KEPT, MIB // shape.cluster)
        if filled:
            first = counts.take(shape.tables)
            self.l1 = array("Q", range(first | COPIED, (first | COPIED) + shape.tables * shape.cluster, shape.cluster))

    def make(self, first: int, count: int) -> None:
        """Room for the L2 tables of ``count`` guest clusters from the one with index ``first`` on."""
        for index in range(first // self._shape.entries, (first + count - 1) // self._shape.entries + 1):
            if not self.l1[index]:
                self.l1[index] = self._counts.take(1) | COPIED

    def fill(self, first: int, count: int, entry: Entry) -> None:
        """Entries for ``count`` guest clusters from index ``first`` on; their tables have been made."""
        while count:
            index, slot = divmod(first, self._shape.entries)
            fitting = min(count, self._shape.entries - slot)
            self._put(self._table(index), slot, fitting, entry)
            entry = entry._replace(word=entry.word + fitting * entry.step)
            first, count = first + fitting, count - fitting
            while len(self._kept) > self._most:
                oldest = next(iter(self._kept))
                self._save(oldest, self._kept.pop(oldest))

    def flush(self) -> None:
        """Write all that is not in the file yet, the L1 table last."""
        for index, table in self._kept.items():
            self._save(index, table)
        self._kept.clear()
        if self._filled:
            self._fill_up(self._filled)
        write_words(self._file, self.l1_at, self.l1)

    def _fill_up(self, filled: Entry) -> None:
        """The tables that nothing was put into; those of one stretch stand in a row in the file."""
        whole = self._shape.clusters // self._shape.entries
        first = self._stored.find(0)
        while first >= 0:
            end = self._stored.find(1, first) % (self._shape.tables + 1)  # -1: there are no more
            if first < whole:
                self._save_alike(first, min(end, whole), filled.step * self._shape.entries)
            if whole < end:
                self._save(whole, self._fresh(whole))
            self._stored[first:end] = b"\1" * (end - first)
            first = self._stored.find(0, end)

    def _save_alike(self, first: int, end: int, more: int) -> None:
        """Tables [first, end), in each of which all entries are ``more`` than in the one before.

        As long integers with an entry in every 64 bits, the next is made by one addition.
        """
        cluster, each = self._shape.cluster, ENTRY * self._shape.words
        table = int.from_bytes(big_endian(self._fresh(first)), "big")
        step = int.from_bytes((b"\0" * (ENTRY - 1) + b"\1").ljust(each, b"\0") * (cluster // each), "big") * more
        at, batch = self.l1[first] & ~COPIED, max(_BATCH // cluster, 1)
        for begin in range(first, end, batch):
            tables: list[bytes] = []
            for _ in range(begin, min(begin + batch, end)):
                tables.append(table.to_bytes(cluster, "big"))
                table += step
            self._file.write(at, b"".join(tables))
            at += len(tables) * cluster

    def _table(self, index: int) -> array[int]:
        if index not in self._kept:
            if self._stored[index]:
                at, count = self.l1[index] & ~COPIED, self._shape.cluster // ENTRY
                self._kept[index] = read_table(self._file, "L2 table", at, count, code="Q", endian="big")
            else:
                self._kept[index] = self._fresh(index)
        return self._kept[index]

    def _fresh(self, index: int) -> array[int]:
        table = array("Q", bytes(self._shape.cluster))
        if self._filled:
            first = index * self._shape.entries
            count = min(self._shape.entries, self._shape.clusters - first)
            self._put(table, 0, count, self._filled._replace(word=self._filled.word + first * self._filled.step))
        return table

    def _put(self, table: array[int], slot: int, count: int, entry: Entry) -> None:
        words = array("Q", _row(entry.word, entry.step, count))
        if self._shape.extended:
            table[2 * slot : 2 * (slot + count) : 2] = words
            table[2 * slot + 1 : 2 * (slot + count) : 2] = array("Q", [entry.subclusters]) * count
        else:
            table[slot : slot + count] = words

    def _save(self, index: int, table: array[int]) -> None:
        write_words(self._file, self.l1[index] & ~COPIED, table)
        self._stored[index] = 1


def _row(word: int, step: int, count: int) -> array[int] | range:
    return range(word, word + count * step, step) if step else array("Q", [word]) * count
