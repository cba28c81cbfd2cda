"""A refcount block in memory: one array of counts, added to and searched without looking at each one."""

from __future__ import annotations

import re
import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BYTE_ORDER = 3  # refcount order of counts that are one byte
_CODES = {4: "H", 5: "I", 6: "Q"}  # of arrays, by refcount order
_USED = re.compile(rb"[^\0]")
_FREE = re.compile(rb"\0+")


class Block:
    """Refcounts of the clusters of one block, numbered from 0. ``used``: a byte for each, 0 where it is free."""

    __slots__ = ("_counts", "_order", "dirty", "used")

    def __init__(self, data: bytes, order: int) -> None:
        self._order = order
        self._counts = _decoded(data, order)
        self.used = _used(self._counts)
        self.dirty = False

    def copy(self) -> Block:
        twin = Block.__new__(Block)
        twin._order, twin._counts, twin.used, twin.dirty = self._order, self._counts[:], self.used[:], False  # noqa: SLF001  our own
        return twin

    def __getitem__(self, index: int) -> int:
        return self._counts[index]

    def part(self, first: int, last: int) -> array[int]:
        return self._counts[first:last]

    def add(self, first: int, last: int, change: int) -> bool:
        """Add ``change`` to each of [first, last); False, and nothing is done, where that goes below 0 or too high."""
        part = self._counts[first:last]
        low, high = min(part), max(part)
        if low + change < 0 or high + change >= 1 << (1 << self._order):
            return False
        if low == high:
            part = array(part.typecode, (low + change,)) * len(part)
        else:
            ones = int.from_bytes((array(part.typecode, (1,)) * len(part)).tobytes(), sys.byteorder)
            number = int.from_bytes(part.tobytes(), sys.byteorder) + change * ones  # no count carries into the next
            part = array(part.typecode, number.to_bytes(len(part) * part.itemsize, sys.byteorder))
        self._counts[first:last] = part
        self.used[first:last] = _used(part)
        self.dirty = True
        return True

    def free_run(self, first: int, most: int) -> tuple[int, int] | None:
        """The first run of free clusters from ``first`` on, cut to ``most``: [from, to)."""
        begin = self.used.find(0, first)
        if begin < 0:
            return None
        end = min(begin + most, len(self.used))
        used = _USED.search(self.used, begin, end)
        return begin, used.start() if used else end

    def free_runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """All runs of free clusters within [first, last)."""
        for run in _FREE.finditer(self.used, first, last):
            yield run.span()

    def pack(self) -> bytes:
        """As in the image: big-endian; counts of less than a byte from the lowest bits up."""
        if self._order < _BYTE_ORDER:
            return _packed(self._counts.tobytes(), self._order)
        counts = self._counts[:]
        if sys.byteorder == "little":
            counts.byteswap()
        return counts.tobytes()


def _used(counts: array[int]) -> bytearray:
    data, width = counts.tobytes(), counts.itemsize
    if width == 1:
        return bytearray(data)
    number = 0
    for place in range(width):
        number |= int.from_bytes(data[place::width], "little")
    return bytearray(number.to_bytes(len(counts), "little"))


def _decoded(data: bytes, order: int) -> array[int]:
    if order < _BYTE_ORDER:
        data = b"".join(map(_split_bytes(order).__getitem__, data))
    counts = array(_CODES.get(order, "B"), data)
    if sys.byteorder == "little" and order > _BYTE_ORDER:
        counts.byteswap()
    return counts


@lru_cache
def _split_bytes(order: int) -> list[bytes]:
    """For each byte the counts of 1, 2 or 4 bits in it, the lowest bits first."""
    bits = 1 << order
    mask = (1 << bits) - 1
    return [bytes(byte >> shift & mask for shift in range(0, 8, bits)) for byte in range(256)]


def _packed(counts: bytes, order: int) -> bytes:
    """The counts at the same place of all bytes are shifted at once."""
    number, lanes = 0, 8 >> order
    for lane in range(lanes):
        number |= int.from_bytes(counts[lane::lanes], "little") << (lane << order)
    return number.to_bytes(len(counts) // lanes, "little")
