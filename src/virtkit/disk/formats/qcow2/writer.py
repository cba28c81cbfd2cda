"""Lays out a new qcow2 version 3 image: header and L1 in front, then data in the order it comes, refcounts last.

An L2 table stands right before the first data that needs it. Nothing is written twice but L2 tables that were put
aside to bound the memory; the header goes last, so that an interrupted run leaves nothing that looks whole.
Specification: QEMU docs/interop/qcow2.txt.
"""

from __future__ import annotations

import threading
from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import MIB, SECTOR, divide_up, format_size, is_power_of_two, parse_size
from virtkit.disk.format import Place
from virtkit.disk.formats.qcow2.layout import (
    COMPRESSED,
    COMPRESSIONS,
    COPIED,
    ENTRY,
    MAGIC,
    MAX_CLUSTER_BITS,
    MAX_L1_SIZE,
    MIN_CLUSTER_BITS,
    Features,
    Header,
    Incompatible,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer

DEFAULT_CLUSTER = "64K"
TABLES_KEPT = 16  # L2 tables in memory; the source comes in order, so older ones are hardly touched again
BATCH = 4 * MIB  # bytes of compressed clusters per write
REFCOUNT_ORDER = 4  # refcounts of 16 bits
HEADER_SIZE = 112  # bytes; with the compression type


class Options:
    """``cluster_size``, ``compression_type`` and ``compat``, as ``qemu-img -o`` names them; UsageError."""

    def __init__(self, options: Mapping[str, str]) -> None:
        known = {"cluster_size": DEFAULT_CLUSTER, "compression_type": "zlib", "compat": "1.1"}
        chosen = {**known, **options}
        self.cluster_size = parse_size(chosen["cluster_size"])
        self.compression = chosen["compression_type"]
        if (
            not is_power_of_two(self.cluster_size)
            or not 1 << MIN_CLUSTER_BITS <= self.cluster_size <= 1 << MAX_CLUSTER_BITS
        ):
            raise UsageError(f"qcow2: cluster_size is {chosen['cluster_size']}, expected a power of two from 512 to 2M")
        if self.compression not in COMPRESSIONS:
            expected = " or ".join(COMPRESSIONS)
            raise UsageError(f"qcow2: compression_type is {self.compression}, expected {expected}")
        if chosen["compat"] not in {"1.1", "v3"}:
            raise UsageError(f"qcow2: compat is {chosen['compat']}, expected 1.1")


class Qcow2Writer:
    """``blank.data`` is not needed: refcounts go behind the data, where their size is known."""

    def __init__(self, file: File, blank: Blank) -> None:
        chosen, size = Options(blank.options), blank.size
        if blank.backing:
            raise NotSupportedError("qcow2: images with a backing file cannot be written yet")
        self.unit = chosen.cluster_size
        self._compression = chosen.compression
        self._file = file
        self._size = size
        self._lock = threading.Lock()
        entries = self.unit // ENTRY
        self._l1 = array("Q", bytes(ENTRY * divide_up(size, self.unit * entries)))
        if ENTRY * len(self._l1) > MAX_L1_SIZE:
            raise UsageError(
                f"qcow2: disk size is {format_size(size)}, too big for clusters of {format_size(self.unit)}",
                hint="-o cluster_size=64K or larger",
            )
        self._references = array("H", [1]) * (
            1 + divide_up(ENTRY * len(self._l1), self.unit)
        )  # one per cluster of the file
        self._tables = _Tables(file, self.unit, self._l1, self._take)
        self._streams = _Streams(file, self.unit, self._references, self._take)

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            count = divide_up(length, self.unit)
            first = start // self.unit
            self._tables.make(first, count)
            at = self._take(count)
            self._tables.fill(first, range(at | COPIED, (at + count * self.unit) | COPIED, self.unit))
            return [Place(self._file, at, length)]

    def blank(self, start: int, length: int) -> None:
        """There is no backing image below."""

    def store(self, start: int, coded: Buffer) -> None:
        with self._lock:
            index = start // self.unit
            self._tables.make(index, 1)
            at = self._streams.append(coded)
            extra = (at + len(coded) - 1) // SECTOR - at // SECTOR  # sectors after the one that holds the first byte
            shift = 62 - (self.unit.bit_length() - 1 - 8)
            self._tables.fill(index, [COMPRESSED | extra << shift | at])

    def finish(self) -> None:
        with self._lock:
            self._streams.flush()
            self._tables.flush()
            _write_words(self._file, self.unit, self._l1)
            table_offset, table_clusters = self._write_references()
            self._file.resize(len(self._references) * self.unit)
            self._file.write(0, self._header(table_offset, table_clusters))

    def _take(self, count: int) -> int:
        """The position of ``count`` new clusters at the end of the file."""
        at = len(self._references) * self.unit
        self._references.extend(array("H", [1]) * count)
        return at

    def _write_references(self) -> tuple[int, int]:
        """The refcount table's position and size in clusters. Table and blocks count themselves."""
        per_block, blocks, table = self.unit // 2, 0, 0
        while (total := len(self._references) + table + blocks) > blocks * per_block:
            blocks = divide_up(total, per_block)
            table = divide_up(ENTRY * blocks, self.unit)
        at = self._take(table)
        first_block = self._take(blocks)
        _write_words(self._file, at, array("Q", range(first_block, first_block + blocks * self.unit, self.unit)))
        counts = array("H", self._references)
        counts.byteswap()
        self._file.write(first_block, memoryview(counts).cast("B"))
        return at, table

    def _header(self, table_offset: int, table_clusters: int) -> bytes:
        header = Header(
            magic=MAGIC,
            version=3,
            backing_offset=0,
            backing_size=0,
            cluster_bits=self.unit.bit_length() - 1,
            size=self._size,
            crypt_method=0,
            l1_size=len(self._l1),
            l1_offset=self.unit,
            refcount_table_offset=table_offset,
            refcount_table_clusters=table_clusters,
            snapshot_count=0,
            snapshots_offset=0,
        )
        kind = COMPRESSIONS.index(self._compression)
        features = Features(Incompatible.COMPRESSION if kind else 0, 0, 0, REFCOUNT_ORDER, HEADER_SIZE)
        return (header.pack() + features.pack() + bytes([kind])).ljust(self.unit, b"\0")


class _Tables:
    """The L2 tables: the newest in memory, the others in the file already."""

    def __init__(self, file: File, unit: int, l1: array[int], take: Callable[[int], int]) -> None:
        self._file = file
        self._l1 = l1
        self._take = take
        self._entries = unit // ENTRY
        self._kept: dict[int, array[int]] = {}
        self._most = max(TABLES_KEPT, MIB // unit)

    def make(self, first: int, count: int) -> None:
        """Room for the L2 tables of ``count`` guest clusters from the one with index ``first``."""
        for index in range(first // self._entries, (first + count - 1) // self._entries + 1):
            if not self._l1[index]:
                self._l1[index] = self._take(1) | COPIED
                self._kept[index] = array("Q", bytes(ENTRY * self._entries))

    def fill(self, first: int, values: Sequence[int]) -> None:
        """Entries for the guest clusters from index ``first`` on; their tables have been made."""
        while values:
            index, slot = divmod(first, self._entries)
            fitting = values[: self._entries - slot]
            self._table(index)[slot : slot + len(fitting)] = array("Q", fitting)
            first, values = first + len(fitting), values[len(fitting) :]
        while len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            self._save(oldest, self._kept.pop(oldest))

    def flush(self) -> None:
        for index, table in self._kept.items():
            self._save(index, table)
        self._kept.clear()

    def _table(self, index: int) -> array[int]:
        if index not in self._kept:
            table = array("Q", self._file.read(self._l1[index] & ~COPIED, ENTRY * self._entries))
            table.byteswap()
            self._kept[index] = table
        return self._kept[index]

    def _save(self, index: int, table: array[int]) -> None:
        _write_words(self._file, self._l1[index] & ~COPIED, table)


class _Streams:
    """Compressed clusters, one behind the other; a stream may share its first and last host cluster with others."""

    def __init__(self, file: File, unit: int, references: array[int], take: Callable[[int], int]) -> None:
        self._file = file
        self._unit = unit
        self._references = references
        self._take = take
        self._next = self._end = 0  # free bytes of the open host cluster
        self._pending: list[Buffer] = []
        self._pending_size = 0

    def append(self, coded: Buffer) -> int:
        """The byte position of ``coded``, which is shorter than a cluster."""
        if len(coded) > self._end - self._next:
            self._open_another()
        at = self._next
        for cluster in range(at // self._unit, (at + len(coded) - 1) // self._unit + 1):
            self._references[cluster] += 1
        self._pending.append(coded)
        self._pending_size += len(coded)
        self._next += len(coded)
        if self._pending_size >= BATCH:
            self.flush()
        return at

    def _open_another(self) -> None:
        """Go on into the next host cluster if it follows; data that was placed meanwhile may lie between."""
        at = self._take(1)
        self._references[-1] = 0
        if at != self._end:
            self.flush()
            self._next = at
        self._end = at + self._unit

    def flush(self) -> None:
        self._file.write(self._next - self._pending_size, b"".join(self._pending))
        self._pending.clear()
        self._pending_size = 0


def _write_words(file: File, at: int, words: array[int]) -> None:
    """Big-endian, as everything in qcow2."""
    stored = words[:]
    stored.byteswap()
    file.write(at, memoryview(stored).cast("B"))
