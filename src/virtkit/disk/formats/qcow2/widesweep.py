"""L2 tables with millions of entries, many tables at a time and all their entries at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import SECTOR
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2.layout import COMPRESSED, COPIED, ENTRY, OFFSET
from virtkit.disk.formats.qcow2.sweep import Batch, Named, Sweep
from virtkit.disk.formats.qcow2.widecounts import WideCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from virtkit.disk.bulk import Words
    from virtkit.disk.formats.qcow2.shadow import Shadow
    from virtkit.disk.formats.qcow2.written import WrittenQcow2

_FLAG = np.frombuffer(COPIED.to_bytes(ENTRY, "big"), np.uint64)[0]  # as it is in the file


class WideSweep(Sweep):
    def __init__(self, image: WrittenQcow2, shadow: Shadow) -> None:
        super().__init__(image, shadow)
        self.counts = WideCounts(shadow)

    def batches(self, named: list[Named]) -> Iterator[Batch]:
        size = self.file.size
        for index, at in named:
            if at % self.cluster or at + self.cluster > size:
                raise self._misplaced(index, at, size)
        for batch in bulk.batches(self.file, [at for _, at in named], self.cluster):
            yield _Tables(self, named[batch.first :][: batch.stored.nbytes // self.cluster], batch)
        self.counts.finish()

    def single(self, clusters: list[int]) -> list[bool]:
        return [bool(once) for once in self.counts.single(np.array(clusters, np.uint64))]

    def _misplaced(self, index: int, at: int, size: int) -> CorruptImageError:
        name, expected = f"L2 table {index}", f"a multiple of {self.cluster:#x} within {size:#x} bytes"
        return CorruptImageError(self.file.name, name, found=f"at {at:#x}", expected=expected, offset=at)


class _Tables:
    def __init__(self, sweep: WideSweep, named: list[Named], batch: bulk.Batch) -> None:
        self.named, self._sweep, self._counts = named, sweep, sweep.counts
        self._stored, self._bits = batch.stored, sweep.head.header.cluster_bits
        self._at, self._entries = batch.at, batch.words
        if sweep.words > 1:  # every other word is a bitmap
            first = batch.at % sweep.words == 0
            self._at, self._entries = batch.at[first], batch.words[first]

    def count(self, change: int) -> None:
        self._counts.add(np.array([at >> self._bits for _, at in self.named], np.uint64), change)
        numbers, which = self._plain()
        self._counts.add(numbers, change)
        if which is not None:
            coded = self._entries & np.uint64(COMPRESSED) != 0
            self._count_coded(self._entries[coded], change)

    def clear_flags(self) -> list[int]:
        return self._flip(self._flagged())

    def set_flags(self) -> list[int]:
        numbers, which = self._plain()
        once = self._counts.single(numbers)
        if which is not None:
            known, once = once, np.zeros(self._entries.size, np.bool_)
            once[which] = known
        return self._flip(once != self._flagged())

    def stored(self, first: int, last: int) -> memoryview:
        return self._stored.data.cast("B")[first * self._sweep.cluster : last * self._sweep.cluster]

    def _plain(self) -> tuple[Words, NDArray[np.bool_] | None]:
        """The clusters of entries that name one of their own, and which entries these are; None: all of them."""
        offsets = self._entries & np.uint64(OFFSET | COMPRESSED)
        which = None
        if offsets.size and (int(offsets.max()) >= COMPRESSED or not int(offsets.min())):
            which = (offsets > 0) & (offsets < COMPRESSED)
            offsets = offsets[which]
        offsets >>= np.uint64(self._bits)
        return offsets, which

    def _flagged(self) -> NDArray[np.bool_]:
        return self._entries >= np.uint64(COPIED)

    def _flip(self, which: NDArray[np.bool_]) -> list[int]:
        """The flags of some entries; returns which tables have such."""
        at = self._at if which.all() else self._at[which]
        if at.size == self._stored.size:
            self._stored ^= _FLAG
            return list(range(len(self.named)))
        self._stored[at] ^= _FLAG
        known = np.zeros(len(self.named), np.bool_)
        known[at // (self._stored.size // len(self.named))] = True
        return [int(slot) for slot in np.flatnonzero(known)]

    def _count_coded(self, entries: Words, change: int) -> None:
        """As ``compressed_place`` has it."""
        sector_bits = self._bits - 8
        offset_bits = 62 - sector_bits
        at = entries & np.uint64((1 << offset_bits) - 1)
        sectors = (entries >> np.uint64(offset_bits) & np.uint64((1 << sector_bits) - 1)) + np.uint64(1)
        number, last = at >> np.uint64(self._bits), (at // SECTOR + sectors) * SECTOR - 1 >> np.uint64(self._bits)
        while number.size:
            self._counts.add(number, change)
            more = number < last
            number, last = number[more] + np.uint64(1), last[more]
