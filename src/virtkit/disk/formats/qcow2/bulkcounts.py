"""The refcounts of a large image, a block at a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.units import divide_up
from virtkit.disk import bulk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtkit.disk.bulk import Ranges, Words
    from virtkit.disk.formats.qcow2.refcounts import Refcounts

    Numbers = NDArray[np.unsignedinteger]

_FEW, _LONG = 8, 64  # ranges; clusters in one
_ALL = 0xFF
TYPES = {3: "u1", 4: "u2", 5: "u4", 6: "u8"}  # by refcount order


def read(refcounts: Refcounts, index: int) -> Numbers:
    """Those of all clusters of the file that block ``index`` is for; none where there is no such block."""
    data, count = refcounts.stored(index), refcounts.entries(index)
    if not data:
        return np.zeros(0, np.uint32)
    if refcounts.order not in TYPES:
        return np.frombuffer(refcounts.get(index * refcounts.block_entries, count), np.uint32)
    found: Numbers = np.frombuffer(data, TYPES[refcounts.order])
    return found.byteswap() if sys.byteorder == "little" else found


def one_by_one(ranges: Ranges) -> bool:
    """Whether that is quicker than to write all their clusters down for numpy: there are few, or they are long."""
    return ranges.first.size <= _FEW or int(ranges.length.sum()) > _LONG * ranges.first.size


class Singles:
    """Which clusters have a refcount of exactly one: a bit for each.

    ``whole``: the refcount blocks that say so of all clusters there is room for, as most blocks of a large image do.
    """

    def __init__(self, refcounts: Refcounts, clusters: int) -> None:
        self._bits: NDArray[np.uint8] = np.zeros(divide_up(clusters, 8) + 1, np.uint8)
        self.whole: set[int] = set()
        ones = _ones(refcounts)
        for index, entry in enumerate(refcounts.table[: divide_up(clusters, refcounts.block_entries)]):
            if entry:
                self._note(refcounts, index, ones)

    def _note(self, refcounts: Refcounts, index: int, ones: bytes) -> None:
        first = index * refcounts.block_entries // 8
        if refcounts.stored(index) == ones:
            self.whole.add(index)
            self._bits[first : first + refcounts.block_entries // 8] = _ALL
            return
        found = np.packbits(read(refcounts, index) == 1, bitorder="little")
        if found.any():  # memory is taken where something is written
            self._bits[first : first + found.size] = found

    def has(self, cluster: int) -> bool:
        return cluster // 8 < self._bits.size and bool(self._bits[cluster // 8] >> cluster % 8 & 1)

    def among(self, ranges: Ranges) -> Words:
        """How many there are in each of the ranges."""
        first, count = ranges
        if one_by_one(ranges):
            pairs = zip(first.tolist(), count.tolist(), strict=True)
            return np.array([self._within(begin, length) for begin, length in pairs], np.uint64)
        clusters = bulk.spread(ranges)
        shifts = (clusters & np.uint64(7)).astype(np.uint8)
        flags = self._bits[clusters >> np.uint64(3)] >> shifts & np.uint8(1)
        return np.add.reduceat(flags, (np.cumsum(count) - count).astype(np.intp), dtype=np.uint64)

    def _within(self, first: int, count: int) -> int:
        skip = first % 8
        bits = np.unpackbits(self._bits[first // 8 : divide_up(first + count, 8)], bitorder="little")
        return int(np.count_nonzero(bits[skip : skip + count]))


def _ones(refcounts: Refcounts) -> bytes:
    """A block that counts one for each cluster, as the file has it."""
    if refcounts.order in TYPES:
        return (1).to_bytes(1 << refcounts.order - 3, "big") * refcounts.block_entries
    bits = 1 << refcounts.order
    return bytes((sum(1 << place for place in range(0, 8, bits)),)) * (refcounts.block_entries * bits // 8)
