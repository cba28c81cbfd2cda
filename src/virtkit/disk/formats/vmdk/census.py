"""Who uses which part of a sparse file: every table is looked at, no data is read.

The file is seen as slots of one grain, beginning where the header says that data begin. Work and memory are bounded by
the tables that take room in the file, whatever the header says.
"""

from __future__ import annotations

import heapq
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.formats.vmdk.layout import ENTRY
from virtkit.disk.runs import read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from virtkit.disk.formats.vmdk.grains import SparsePart

    Stretch: TypeAlias = tuple[int, int]  # [from, to)

_CHUNK = 256  # slots in one long integer
_FULL = (1 << _CHUNK) - 1


class Slots:
    """A set of slots, kept as runs of bits."""

    def __init__(self) -> None:
        self._chunks: dict[int, int] = {}

    def add(self, first: int, last: int) -> int:
        """Take [first, last); returns how many of them were taken already."""
        taken = 0
        while first < last:
            number, begin = divmod(first, _CHUNK)
            end = min(last - number * _CHUNK, _CHUNK)
            mask = ((1 << end - begin) - 1) << begin
            before = self._chunks.get(number, 0)
            taken += (before & mask).bit_count()
            self._chunks[number] = before | mask
            first = number * _CHUNK + end
        return taken

    def __len__(self) -> int:
        return sum(chunk.bit_count() for chunk in self._chunks.values())

    def runs(self) -> Iterator[Stretch]:
        """Of slots that are taken, in order; those of one chunk at a time."""
        for number in sorted(self._chunks):
            yield from _bits(self._chunks[number], number * _CHUNK)


def gaps(taken: Iterable[Stretch], first: int, last: int) -> Iterator[Stretch]:
    """The runs of [first, last) that none of ``taken``, which are in order, covers."""
    begin = first
    for start, stop in taken:
        if begin < min(start, last):
            yield begin, min(start, last)
        begin = max(begin, stop)
    if begin < last:
        yield begin, last


def leaks(census: Census, data_sector: int) -> Iterator[Stretch]:
    """Stretches in bytes that take room in the file, behind ``data_sector``, and that nothing names."""
    end = census.sectors * SECTOR
    for first, last in census.free(divide_up(data_sector, census.step), divide_up(census.sectors, census.step)):
        begin, stop = census.sector_of(first) * SECTOR, min(census.sector_of(last) * SECTOR, end)
        if begin < stop:
            yield from census.part.file.data(begin, stop)


def _bits(chunk: int, base: int) -> Iterator[Stretch]:
    """Runs of ones."""
    if chunk == _FULL:
        yield base, base + _CHUNK
        return
    at = 0
    while chunk:
        zeros = (chunk & -chunk).bit_length() - 1
        chunk >>= zeros
        ones = (~chunk & chunk + 1).bit_length() - 1
        at += zeros
        yield base + at, base + at + ones
        chunk >>= ones
        at += ones


class Copies(NamedTuple):
    """One grain table as both directories have it; None where that copy is missing or not within the file."""

    number: int
    first: array[int] | None
    other: array[int] | None


class Census:
    def __init__(self, part: SparsePart) -> None:
        self.part = part
        self.step = part.shape.grain_size  # sectors of a slot
        self.sectors = divide_up(part.file.size, SECTOR)
        self.phase = part.shape.data_offset % self.step  # sectors; of the first slot
        self.metadata, self.grains = Slots(), Slots()
        self.odd = 0  # grains that begin elsewhere: they are not in ``grains``
        self._tables: set[int] = set()  # sectors of those that were seen

    def copies(self) -> Iterator[Copies]:
        """All tables that hold anything, in the order of the disk."""
        first, other = self.part.directory, self.part.redundant
        for index, _ in groupby(heapq.merge(*map(self._occupied, self.directories()))):
            yield Copies(index, self._load(first, index), None if other is None else self._load(other, index))

    def use_tables(self) -> int:
        """Everything that the directories name within the file, empty tables too; the sector behind the last one."""
        size, end = self.part.shape.table_sectors, 0
        for directory in self.directories():
            for run in runs(directory, 0, len(directory), size, (0,)):
                count = min(max((self.sectors - run.entry) // size, 0), run.end - run.begin) if run.stride else 0
                if count:
                    self.use_metadata(run.entry, count * size)
                    end = max(end, run.entry + count * size)
        return end

    def directories(self) -> list[array[int]]:
        other = self.part.redundant
        return [self.part.directory] if other is None else [self.part.directory, other]

    def name_table(self, sector: int) -> bool:
        """Whether this table was not named before."""
        if sector in self._tables:
            return False
        self._tables.add(sector)
        return True

    def use_metadata(self, sector: int, sectors: int) -> None:
        first, end = sector - self.phase, sector + sectors - self.phase
        self.metadata.add(max(first, 0) // self.step, divide_up(max(end, 0), self.step))

    def use_grains(self, sector: int, count: int) -> int:
        """Returns how many of them are used twice."""
        if sector % self.step != self.phase:
            self.odd += count
            return 0
        slot = self.slot_of(sector)
        return self.grains.add(slot, slot + count)

    def free(self, first: int, last: int) -> Iterator[Stretch]:
        """Runs of slots in [first, last) that are nobody's."""
        return gaps(heapq.merge(self.metadata.runs(), self.grains.runs()), first, last)

    @property
    def plausible(self) -> bool:
        """Whether the file has room for as many tables as a directory names."""
        most = self.sectors // self.part.shape.table_sectors
        return all(len(directory) - directory.count(0) <= most for directory in self.directories())

    def slot_of(self, sector: int) -> int:
        return (sector - self.phase) // self.step

    def sector_of(self, slot: int) -> int:
        return slot * self.step + self.phase

    def _occupied(self, directory: array[int]) -> Iterator[int]:
        """Indices of tables that lie outside of the file or are no hole in it, in order."""
        size, seen = self.part.shape.table_sectors, -1
        for run in runs(directory, 0, len(directory), size, (0,)):
            if not run.stride:
                continue
            inside = min(max((self.sectors - run.entry) // size, 0), run.end - run.begin)
            start = run.entry * SECTOR
            for begin, stop in self.part.file.data(start, start + inside * size * SECTOR):
                first = max(run.begin + (begin - start) // (size * SECTOR), seen + 1)
                last = run.begin + divide_up(stop - start, size * SECTOR)
                yield from range(first, last)
                seen = max(seen, last - 1)
            yield from range(run.begin + inside, run.end)

    def _load(self, directory: array[int], index: int) -> array[int] | None:
        at, shape = directory[index], self.part.shape
        if not at or at + shape.table_sectors > self.sectors:
            return None
        entries = divide_up(shape.table_sectors * SECTOR, ENTRY)
        count = min(shape.gtes_per_gt, entries)
        return read_table(self.part.file, "grain table", at * SECTOR, count, code="I", endian="little")
