"""How often clusters are used: as the image says (its refcounts), and as its tables show (references)."""

from __future__ import annotations

import mmap
import sys
from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, SystemCallError
from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.layout import MAX_REFCOUNT_ORDER, REFCOUNT_TABLE_RESERVED
from virtkit.disk.runs import table_of

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head

_WIDTH = 4  # bytes that one count takes here
_MOST = (1 << 8 * _WIDTH) - 1
MAX_CLUSTERS = (1 << 31) - 1  # as QEMU
_LAZILY = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE, linux/mman.h
_CACHED = 1 << 20  # counts of decoded refcount blocks that are kept
_BYTE_ORDER = 3  # refcount order of counts that are one byte


class References:
    """Counts made by walking the tables; memory is taken only where something is counted."""

    def __init__(self, file: File, head: Head) -> None:
        cluster = head.cluster_size
        self.clusters = divide_up(file.size, cluster)
        if self.clusters > MAX_CLUSTERS:
            raise NotSupportedError(f"{file.name}: has {self.clusters} clusters, expected at most {MAX_CLUSTERS}")
        self.limit = most_of(head.features.refcount_order)
        try:
            room = mmap.mmap(-1, (self.clusters + 1) * _WIDTH, flags=_LAZILY)
        except OSError as error:
            raise SystemCallError(f"{file.name}: count {self.clusters} clusters", error) from error
        self.counts = memoryview(room).cast("I")  # one more: the last cluster may reach behind the file's end

    def add(self, first: int, count: int, weight: int = 1) -> int:
        """Count clusters [first, first + count); returns how often that went over what a refcount can say."""
        self.clusters = max(self.clusters, first + count)
        block = self.counts[first : first + count]
        if weight == 1 and count > 1 and block.tobytes() == bytes(_WIDTH * count):
            block[:] = memoryview(array("I", (1,)) * count)
            return 0
        over = 0
        for index, before in enumerate(block):
            after = before + weight
            if after > self.limit:
                over, after = over + after - self.limit, self.limit
            block[index] = after
        return over

    def times(self, cluster: int) -> int:
        return self.counts[cluster]

    def counted(self, first: int, count: int) -> array[int]:
        """The counts of clusters [first, first + count), as an array of ``count``."""
        found = array("I", self.counts[first : first + count].tobytes())
        found.extend(array("I", bytes(_WIDTH * (count - len(found)))))
        return found


def most_of(order: int) -> int:
    """The most that a refcount of that order says; above 2**32 - 1 all are the same here."""
    return min((1 << (1 << order)) - 1, _MOST)


class Refcounts:
    """The refcounts of the image, block by block. What lies behind the file's end reads as zeros, as in QEMU."""

    def __init__(self, file: File, head: Head) -> None:
        self._file, self._head = file, head
        self.order = head.features.refcount_order
        self.block_entries = head.cluster_size * 8 >> self.order
        self._clusters = divide_up(file.size, head.cluster_size) + 1
        size = head.header.refcount_table_clusters * head.cluster_size
        data = file.read(head.header.refcount_table_offset, size).ljust(size, b"\0")
        self.table = table_of(data, code="Q", endian="big")
        self._cache: dict[int, array[int]] = {}

    def readable(self, index: int) -> bool:
        """Whether block ``index`` is where a block can be."""
        at = self.table[index] & ~REFCOUNT_TABLE_RESERVED if index < len(self.table) else 0
        return at % self._head.cluster_size == 0

    def get(self, first: int, count: int) -> array[int]:
        """Refcounts of clusters [first, first + count); above 2**32 - 1 they read as that."""
        found = array("I")
        while count > 0:
            index, skip = divmod(first, self.block_entries)
            part = self.block(index)[skip : skip + count]
            part.extend(bytes(max(min(self.block_entries - skip, count) - len(part), 0)))
            found.extend(part)
            first, count = first + len(part), count - len(part)
        return found

    def block(self, index: int) -> array[int]:
        """Refcounts of all clusters that block ``index`` is for, as far as the file has clusters."""
        if index not in self._cache:
            while len(self._cache) * self.block_entries > _CACHED:
                del self._cache[next(iter(self._cache))]
            self._cache[index] = self._read(index)
        return self._cache[index]

    def entries(self, index: int) -> int:
        """How many of the file's clusters block ``index`` is for."""
        return max(min(self.block_entries, self._clusters - index * self.block_entries), 0)

    def stored(self, index: int) -> bytes:
        """Those refcounts as the file has them; nothing where there is no such block."""
        entries = self.entries(index)
        at = self.table[index] & ~REFCOUNT_TABLE_RESERVED if index < len(self.table) else 0
        if not at or at % self._head.cluster_size or not entries:
            return b""
        size = divide_up(entries << self.order, 8)
        return self._file.read(at, size).ljust(size, b"\0") if at < self._file.size else bytes(size)

    def _read(self, index: int) -> array[int]:
        entries = self.entries(index)
        data = self.stored(index)
        return _decoded(data, self.order)[:entries] if data else array("I", bytes(_WIDTH * entries))


def _decoded(data: bytes, order: int) -> array[int]:
    if order < _BYTE_ORDER:
        return array("I", b"".join(map(_split_bytes(order).__getitem__, data)))
    if order == MAX_REFCOUNT_ORDER:
        return array("I", (min(count, _MOST) for count in table_of(data, code="Q", endian="big")))
    return _widened(data, 1 << order - _BYTE_ORDER)


def _widened(data: bytes, width: int) -> array[int]:
    """Big-endian numbers of ``width`` bytes, at most four: every byte of all of them is put in its place at once."""
    wide = bytearray(len(data) // width * _WIDTH)
    for place in range(width):  # 0: the lowest byte
        to = place if sys.byteorder == "little" else _WIDTH - 1 - place
        wide[to::_WIDTH] = data[width - 1 - place :: width]
    return array("I", bytes(wide))


def _split_bytes(order: int) -> list[bytes]:
    """For each byte the counts of 1, 2 or 4 bits in it, the lowest bits first, as an array of the counts' type."""
    bits = 1 << order
    mask = (1 << bits) - 1
    return [array("I", [byte >> shift & mask for shift in range(0, 8, bits)]).tobytes() for byte in range(256)]
