"""The refcounts of a large image, a block at a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.units import divide_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtkit.disk.bulk import Words
    from virtkit.disk.formats.qcow2.refcounts import Refcounts

    Numbers = NDArray[np.unsignedinteger]

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

    def among(self, clusters: Words) -> NDArray[np.bool_]:
        if clusters.size and int(clusters[-1]) - int(clusters[0]) == clusters.size - 1 and _ascend(clusters):
            first, skip = divmod(int(clusters[0]), 8)
            bits = self._bits[first : first + divide_up(skip + clusters.size, 8)]
            return np.unpackbits(bits, bitorder="little")[skip : skip + clusters.size].view(np.bool_)
        shifts = (clusters & np.uint64(7)).astype(np.uint8)
        found: NDArray[np.bool_] = self._bits[clusters >> np.uint64(3)] >> shifts & np.uint8(1) != 0
        return found


def _ascend(numbers: Words) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())
