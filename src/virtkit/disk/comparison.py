"""Do two images show a guest the same disk? What both know to be zeros, or share, is not read."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.progress import Advanced, Finished, Sink, Started
from virtkit.core.units import SECTOR
from virtkit.disk import equality, pieces
from virtkit.disk.copying import crew
from virtkit.disk.copying.hands import BUFFER
from virtkit.disk.copying.overlay import SILENT
from virtkit.disk.copying.source import largest_cluster
from virtkit.disk.format import Extent, Kind
from virtkit.disk.pieces import Job
from virtkit.disk.sameblocks import SameBlocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.copying.source import Source


class Comparison(NamedTuple):
    """Sizes and offsets in bytes. What comes first decides: only one of the offsets is told."""

    left_size: int
    right_size: int
    offset: int | None  # of the first sector that differs
    status_offset: int | None = None  # where one is allocated otherwise than the other, though they read alike

    @property
    def same_size(self) -> bool:
        return self.left_size == self.right_size

    @property
    def same_content(self) -> bool:
        """Where one disk is longer, the rest of it has to be zeros."""
        return self.offset is None


class _Both(NamedTuple):
    left: Job
    right: Job


class _FoundError(Exception):
    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


def compare(left: Source, right: Source, report: Sink, *, strict: bool = False) -> Comparison:
    """With ``strict`` both have to be allocated alike too; where the sizes differ, nothing else is looked at."""
    sizes = (left.size, right.size)
    if strict and left.size != right.size:
        return Comparison(*sizes, None)
    status = _first_status(left, right) if strict else None
    offset = _first_difference(left, right, max(sizes) if status is None else status, report)
    return Comparison(*sizes, offset, status if offset is None else None)


def _first_difference(left: Source, right: Source, end: int, report: Sink) -> int | None:
    step = f"compare {left.name}"
    report(Started(step, end))
    reached, limit = _Reached(), _limit(left, right)
    hands = [_Comparing(reached, limit) for _ in range(crew.size())]
    try:
        crew.run(_jobs(left, right, end, limit), hands, lambda: report(Advanced(step, reached.offset)))
        report(Advanced(step, end))  # what both know to be alike was not read
    except _FoundError as found:
        return found.offset
    finally:
        report(Finished(step))
    return None


def _padded(source: Source, start: int, end: int) -> Iterator[Extent]:
    there = max(min(source.size, end), start)
    if start < there:
        yield from source.extents(start, there - start)
    if there < end:
        yield Extent(there, end - there, Kind.HOLE)


def pairs(left: Source, right: Source, end: int, start: int = 0) -> Iterator[tuple[Extent, Extent]]:
    """Both maps of [start, end), cut where either changes; behind a disk's end there is a hole."""
    others = _padded(right, start, end)
    other = next(others, None)
    for one in _padded(left, start, end):
        start = one.start
        while start < one.end and other:
            stop = min(one.end, other.end)
            yield pieces.part(one, start, stop), pieces.part(other, start, stop)
            start = stop
            if stop == other.end:
                other = next(others, None)


def _first_status(left: Source, right: Source) -> int | None:
    for one, other in pairs(left, right, left.size):
        if _status(one) != _status(other):
            return one.start
    return None


def _status(extent: Extent) -> tuple[Kind, bool]:
    """What qemu-img compares: data or zeros, allocated or not, at a known place or not."""
    return extent.kind, extent.preallocated


def _limit(left: Source, right: Source) -> int:
    """Bytes of a job."""
    return max(BUFFER, largest_cluster(left), largest_cluster(right))


def _jobs(left: Source, right: Source, end: int, limit: int) -> Iterator[_Both]:
    found: list[tuple[Extent, Extent]] = []
    for pair in _cut(pairs(left, right, end), limit):
        if found and (pair[0].start != found[-1][0].end or pair[0].start % limit == 0):
            yield _both(found)
            found = []
        found.append(pair)
    if found:
        yield _both(found)


def _cut(pairs: Iterable[tuple[Extent, Extent]], limit: int) -> Iterator[tuple[Extent, Extent]]:
    blocks = SameBlocks()
    for one, other in pairs:
        for left, right in () if alike(one, other) else blocks.apart(one, other):
            yield from zip(pieces.cut([left], limit), pieces.cut([right], limit), strict=True)


def alike(one: Extent, other: Extent) -> bool:
    """Without reading: both are zeros, or both are the same bytes of the same file."""
    if one.kind in SILENT or other.kind in SILENT:
        return one.kind in SILENT and other.kind in SILENT
    if (one.kind, one.at, one.skip) != (other.kind, other.at, other.skip) or not one.file or not other.file:
        return False
    return one.file.identity == other.file.identity


def _both(found: list[tuple[Extent, Extent]]) -> _Both:
    start, length = found[0][0].start, found[-1][0].end - found[0][0].start
    return _Both(Job(start, length, [one for one, _ in found]), Job(start, length, [other for _, other in found]))


class _Reached:
    offset = 0


class _Comparing:
    """Each thread has its two buffers, which stay in the processor's cache from reading to comparing."""

    def __init__(self, reached: _Reached, size: int) -> None:
        self._reached = reached
        self._end = 0
        self._difference: int | None = None
        self._left, self._right = mmap.mmap(-1, size), mmap.mmap(-1, size)
        self._views = memoryview(self._left), memoryview(self._right)
        self._same = equality.comparer(self._left, self._right)

    def prepare(self, job: _Both) -> None:
        start, length = job.left.start, job.left.length
        pieces.fill(job.left, self._views[0])
        pieces.fill(job.right, self._views[1])
        self._end = start + length
        self._difference = None if self._same(length) else start + self._first(length)

    def _first(self, length: int) -> int:
        left, right = self._left, self._right
        return next(at for at in range(0, length, SECTOR) if left[at : at + SECTOR] != right[at : at + SECTOR])

    def in_order(self) -> None:
        self._reached.offset = self._end
        if self._difference is not None:
            raise _FoundError(self._difference)

    def complete(self) -> None:
        """There is nothing to write."""
