"""L2 entries of many tables at once, understood as ``tablecheck`` understands them one by one."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.units import SECTOR
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2.entries import compressed_bits
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    COMPRESSED,
    COPIED,
    L2_RESERVED,
    OFFSET,
    SUBCLUSTERS,
    ZERO,
    Incompatible,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtkit.disk.bulk import Batch, Places, Words
    from virtkit.disk.formats.qcow2.bulkcounts import Singles
    from virtkit.disk.formats.qcow2.head import Head

    Flags = NDArray[np.bool_]

_ALL = (1 << 64) - 1


class Entries:
    """Those of a batch that are not 0, in the order of their tables. ``file_size``: bytes."""

    def __init__(self, batch: Batch, head: Head, file_size: int) -> None:
        self._head, self._cluster, self._file_size = head, head.cluster_size, file_size
        self._one = np.uint64(head.cluster_size)
        self._external = head.has(Incompatible.DATA_FILE)
        self.bits: Words | None = None  # of subclusters
        self.at, self.words = batch.at, batch.words
        if head.has(Incompatible.EXTENDED_L2):
            pairs = batch.stored.reshape(-1, 2)
            self.at = np.unique(batch.at // 2)
            self.words, self.bits = bulk.as_numbers(pairs[self.at, 0]), bulk.as_numbers(pairs[self.at, 1])

    @cached_property
    def tables(self) -> Places:
        """Which table of the batch each entry is in."""
        return self.at // (self._cluster // self._head.entry_size)

    @cached_property
    def offsets(self) -> Words:
        return self.words & np.uint64(OFFSET)

    @cached_property
    def coded(self) -> Flags:
        return _has(self.words, COMPRESSED)

    @cached_property
    def plain(self) -> Flags:
        """Which name a cluster that is not compressed."""
        named = _has(self.words, OFFSET)
        if self._external:
            named |= _has(self.words, COPIED) & ~_has(self.words, ZERO)
        return named & ~self.coded

    @cached_property
    def _inside(self) -> Flags:
        inside: Flags = self.offsets < self._file_size
        return inside & self.plain

    @cached_property
    def _streams(self) -> tuple[Words, Words]:
        """Where compressed data begins and, at most, ends; of other entries something without a meaning."""
        offset_bits, sector_bits = compressed_bits(self._head.header.cluster_bits)
        begin = self.words & np.uint64((1 << offset_bits) - 1)
        sectors = (self.words >> np.uint64(offset_bits) & np.uint64((1 << sector_bits) - 1)) + np.uint64(1)
        return begin, (begin // np.uint64(SECTOR) + sectors) * np.uint64(SECTOR)

    @cached_property
    def _streams_inside(self) -> Flags:
        there: Flags = self._streams[1] < self._file_size + self._cluster
        there &= self.coded
        return there if self.bits is None else there & ~_has(self.bits, _ALL)

    def references(self) -> Words:
        """Clusters, in the order of their numbers or not; as often as they are named."""
        if self._external:
            return np.zeros(0, np.uint64)
        offsets = self.offsets if self._inside.all() else self.offsets[self._inside]
        found = [offsets // self._one]
        if (odd := _has(offsets, self._cluster - 1)).any():
            found.append(offsets[odd] // self._one + np.uint64(1))
        if self.coded.any():
            first, last = (bound[self._streams_inside] for bound in self._streams)
            first, last = first // self._one, (last - np.uint64(1)) // self._one
            while first.size:
                found.append(first)
                longer = first < last
                first, last = first[longer] + np.uint64(1), last[longer]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def faulty(self, singles: Singles | None) -> Flags:
        """Which have anything to be told. ``singles``: of active tables, whose copied flags must agree."""
        wrong = ~self.coded & _has(self.words, L2_RESERVED)
        wrong |= self.plain & (_has(self.offsets, self._cluster - 1) | ~(self._inside | self._external))
        if self.bits is not None:
            wrong |= self._wrong_subclusters(self.bits)
        if self.coded.any():
            wrong |= self.coded & (_has(self.words, COPIED) | ~self._streams_inside | self._external)
        if singles:
            wrong |= self._wrong_flags(singles)
        return wrong

    def _wrong_subclusters(self, bits: Words) -> Flags:
        both = self.plain & _has(bits >> np.uint64(SUBCLUSTERS) & bits, ALL_SUBCLUSTERS)
        return both | ~self.plain & ~self.coded & _has(bits, ALL_SUBCLUSTERS) | self.coded & _has(bits, _ALL)

    def _wrong_flags(self, singles: Singles) -> Flags:
        copied = _has(self.words, COPIED)
        if self._external:
            return self.plain & ~copied
        inside = self._inside
        wrong = np.zeros(inside.size, np.bool_)
        wrong[inside] = copied[inside] != singles.among(self.offsets[inside] // self._one)
        return wrong

    def fragments(self, among: Flags) -> int:
        """How many of these plain clusters do not lie behind the one before, in the same table."""
        offsets, tables = self.offsets[among], self.tables[among]
        apart = offsets[1:] - offsets[:-1] != self._one
        return int(np.count_nonzero(apart & (tables[1:] == tables[:-1])))


def _has(words: Words, mask: int) -> Flags:
    """Which have any of those bits."""
    found: Flags = words & np.uint64(mask) != 0
    return found
