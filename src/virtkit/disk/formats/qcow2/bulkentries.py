"""L2 entries of many tables at once, run by run, understood as ``tablecheck`` understands them in one table."""

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

    from virtkit.disk.bulk import Batch, Ranges, Words
    from virtkit.disk.formats.qcow2.bulkcounts import Singles
    from virtkit.disk.formats.qcow2.head import Head

    Flags = NDArray[np.bool_]

_ALL = (1 << 64) - 1


class Entries:
    """Runs of entries that are not 0 and count up by a cluster, none across tables; compressed ones are alone.

    ``file_size``: bytes.
    """

    def __init__(self, batch: Batch, head: Head, file_size: int) -> None:
        self._bits, self._cluster, self._file_size = head.header.cluster_bits, np.uint64(head.cluster_size), file_size
        self._external = head.has(Incompatible.DATA_FILE)
        at, words = batch.at, batch.words
        if head.has(Incompatible.EXTENDED_L2):
            pairs, at = batch.stored.reshape(-1, 2), np.unique(at // 2)
            words, self._subclusters = bulk.as_numbers(pairs[at, 0]), bulk.as_numbers(pairs[at, 1])
            begins = np.arange(at.size)
        else:
            self._subclusters = np.zeros(1, np.uint64)
            begins = _begins(at, words, head)
        self.tables = at[begins] // head.l2_entries  # of the batch
        self._first, lengths = words[begins], np.diff(begins, append=at.size).astype(np.uint64)
        self.coded = _has(self._first, COMPRESSED)
        bare = ~self.coded & ~self._named(self._first)  # only the first of a run can have no cluster
        self.words = np.where(bare, self._first + self._cluster, self._first)
        self.counts = lengths - bare
        self.plain = ~self.coded & (self.counts > 0)

    def _named(self, words: Words) -> Flags:
        named = _has(words, OFFSET)
        return named | _has(words, COPIED) & ~_has(words, ZERO) if self._external else named

    @cached_property
    def _offsets(self) -> Words:
        return self.words & np.uint64(OFFSET)

    @cached_property
    def _inside(self) -> Words:
        """How many clusters of each run begin within the file."""
        room = np.maximum(self._offsets, self._file_size + self._cluster - np.uint64(1)) - self._offsets
        room = np.where(self._offsets < self._file_size, room // self._cluster, np.uint64(0))
        return np.where(self.plain, np.minimum(self.counts, room), np.uint64(0))

    @cached_property
    def _misaligned(self) -> Flags:
        return self.plain & _has(self._offsets, int(self._cluster) - 1)

    @cached_property
    def _streams(self) -> tuple[Words, Words]:
        """Where compressed data begin and, at most, end; of other entries something without a meaning."""
        offset_bits, sector_bits = compressed_bits(self._bits)
        begin = self.words & np.uint64((1 << offset_bits) - 1)
        sectors = (self.words >> np.uint64(offset_bits) & np.uint64((1 << sector_bits) - 1)) + np.uint64(1)
        return begin, (begin // np.uint64(SECTOR) + sectors) * np.uint64(SECTOR)

    @cached_property
    def _streams_inside(self) -> Flags:
        there: Flags = self._streams[1] < self._file_size + self._cluster
        return self.coded & there & ~_has(self._subclusters, _ALL)

    def references(self) -> Ranges:
        if self._external:
            return bulk.Ranges(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
        some = self._inside > 0
        first, count = [self._offsets[some] // self._cluster], [self._inside[some]]
        if self._misaligned.any():
            some &= self._misaligned
            first.append(self._offsets[some] // self._cluster + np.uint64(1))
            count.append(self._inside[some])
        if self.coded.any():
            begin, end = (bound[self._streams_inside] for bound in self._streams)
            first.append(begin // self._cluster)
            count.append((end - np.uint64(1)) // self._cluster - first[-1] + np.uint64(1))
        return bulk.Ranges(np.concatenate(first), np.concatenate(count))

    def faulty(self, singles: Singles | None) -> Flags:
        """Which runs have anything to be told. ``singles``: of active tables, whose copied flags must agree."""
        wrong = self._misaligned | ~self.coded & _has(self._first, L2_RESERVED)
        if self.coded.any():
            wrong |= self.coded & (_has(self.words, COPIED) | ~self._streams_inside | self._external)
        if self._subclusters.size > 1 or self._subclusters.any():
            wrong |= self._wrong_subclusters(self._subclusters)
        if not self._external:
            wrong |= self.plain & (self._inside < self.counts)
        return wrong if singles is None else wrong | self._wrong_flags(singles)

    def _wrong_subclusters(self, bits: Words) -> Flags:
        both = self.plain & _has(bits >> np.uint64(SUBCLUSTERS) & bits, ALL_SUBCLUSTERS)
        return both | ~self.plain & ~self.coded & _has(bits, ALL_SUBCLUSTERS) | self.coded & _has(bits, _ALL)

    def _wrong_flags(self, singles: Singles) -> Flags:
        copied = _has(self.words, COPIED)
        if self._external:
            return self.plain & ~copied
        some = self._inside > 0
        count = self._inside[some]
        found = singles.among(bulk.Ranges(self._offsets[some] // self._cluster, count))
        wrong = np.zeros(some.size, np.bool_)
        wrong[some] = found != np.where(copied[some], count, np.uint64(0))
        return wrong

    def fragments(self, among: Flags) -> int:
        """How many of these plain runs do not lie behind the one before, in the same table."""
        begins, tables = self._offsets[among], self.tables[among]
        ends = begins + self.counts[among] * self._cluster
        return int(np.count_nonzero((begins[1:] != ends[:-1]) & (tables[1:] == tables[:-1])))


def _begins(at: NDArray[np.intp], words: Words, head: Head) -> NDArray[np.intp]:
    found = bulk.ramps(at, words, head.cluster_size)
    if not at.size:
        return found
    tables = np.searchsorted(at, np.arange(0, int(at[-1]) + 1, head.l2_entries))
    found = np.union1d(found, tables)
    if int(np.bitwise_or.reduce(words)) & COMPRESSED:
        coded = np.flatnonzero(_has(words, COMPRESSED))
        found = np.union1d(found, np.concatenate((coded, coded + 1)))
    return found[found < at.size]


def _has(words: Words, mask: int) -> Flags:
    """Which have any of those bits."""
    found: Flags = words & np.uint64(mask) != 0
    return found
