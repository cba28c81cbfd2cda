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

FEW = 256  # ranges; numpy gains nothing where it is called for less
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


class Singles:
    """Which clusters have a refcount of exactly one: a bit for each."""

    def __init__(self, refcounts: Refcounts, clusters: int) -> None:
        self._bits: NDArray[np.uint8] = np.zeros(divide_up(clusters, 8) + 1, np.uint8)
        for index, entry in enumerate(refcounts.table):
            if entry and index * refcounts.block_entries < clusters:
                found = np.packbits(read(refcounts, index) == 1, bitorder="little")
                first = index * refcounts.block_entries // 8
                if found.any():  # memory is taken where something is written
                    self._bits[first : first + found.size] = found

    def among(self, ranges: Ranges) -> Words:
        """How many there are in each of the ranges."""
        first, count = ranges
        if first.size <= FEW:
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
