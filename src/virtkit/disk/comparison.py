"""Do two images show a guest the same disk? What both know to be zeros, or share, is not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.progress import Advanced, Finished, Sink, Started
from virtkit.core.units import SECTOR, round_down
from virtkit.disk import crew, pieces
from virtkit.disk.copy import BUFFER
from virtkit.disk.format import Extent, Kind
from virtkit.disk.pieces import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.chain import Chain

_SILENT = (Kind.ZERO, Kind.HOLE)


class Comparison(NamedTuple):
    """Sizes and offsets in bytes."""

    left_size: int
    right_size: int
    offset: int | None  # of the first sector that differs
    status_offset: int | None = None  # where one has data and the other zeros, though they read alike

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


def compare(left: Chain, right: Chain, report: Sink, *, strict: bool = False) -> Comparison:
    """With ``strict`` it also looks for stretches that are data here and zeros there."""
    sizes = (left.size, right.size)
    if strict and (differs := _first_status(left, right)) is not None:
        return Comparison(*sizes, None, differs)
    step = f"compare {left.name}"
    report(Started(step, max(sizes)))
    reached = _Reached()
    hands = [_Comparing(reached) for _ in range(crew.size())]
    work = crew.Crew(_jobs(left, right), hands, lambda: report(Advanced(step, reached.offset)))
    try:
        work.run()
    except _FoundError as found:
        return Comparison(*sizes, found.offset)
    finally:
        report(Finished(step))
    return Comparison(*sizes, None)


def _padded(chain: Chain, size: int) -> Iterator[Extent]:
    yield from chain.extents()
    if chain.size < size:
        yield Extent(chain.size, size - chain.size, Kind.ZERO)


def _pairs(left: Chain, right: Chain) -> Iterator[tuple[Extent, Extent]]:
    """Both maps, cut where either changes."""
    size = max(left.size, right.size)
    others = _padded(right, size)
    other = next(others, None)
    for one in _padded(left, size):
        start = one.start
        while start < one.end and other:
            end = min(one.end, other.end)
            yield pieces.part(one, start, end), pieces.part(other, start, end)
            start = end
            if end == other.end:
                other = next(others, None)


def _first_status(left: Chain, right: Chain) -> int | None:
    for one, other in _pairs(left, right):
        if (one.kind in _SILENT) != (other.kind in _SILENT):
            return one.start
    return None


def _jobs(left: Chain, right: Chain) -> Iterator[_Both]:
    limit = max(BUFFER, *(layer.image.facts.cluster_size or 0 for layer in left.layers + right.layers))
    pairs: list[tuple[Extent, Extent]] = []
    for pair in _cut(_pairs(left, right), limit):
        if pairs and (pair[0].start != pairs[-1][0].end or pair[0].start % limit == 0):
            yield _both(pairs)
            pairs = []
        pairs.append(pair)
    if pairs:
        yield _both(pairs)


def _cut(pairs: Iterable[tuple[Extent, Extent]], limit: int) -> Iterator[tuple[Extent, Extent]]:
    for one, other in pairs:
        if not _alike(one, other):
            yield from zip(pieces.cut([one], limit), pieces.cut([other], limit), strict=True)


def _alike(one: Extent, other: Extent) -> bool:
    """Without reading: both are zeros, or both are the same bytes of the same file."""
    if one.kind in _SILENT or other.kind in _SILENT:
        return one.kind in _SILENT and other.kind in _SILENT
    if (one.kind, one.at, one.skip) != (other.kind, other.at, other.skip) or not one.file or not other.file:
        return False
    return one.file.identity == other.file.identity


def _both(pairs: list[tuple[Extent, Extent]]) -> _Both:
    start, length = pairs[0][0].start, pairs[-1][0].end - pairs[0][0].start
    return _Both(Job(start, length, [one for one, _ in pairs]), Job(start, length, [other for _, other in pairs]))


class _Reached:
    offset = 0


class _Comparing:
    def __init__(self, reached: _Reached) -> None:
        self._reached = reached
        self._end = 0
        self._difference: int | None = None
        self._left = bytearray()
        self._right = bytearray()

    def prepare(self, job: _Both) -> None:
        length = job.left.length
        if len(self._left) != length:
            self._left, self._right = bytearray(length), bytearray(length)
        pieces.fill(job.left, memoryview(self._left))
        pieces.fill(job.right, memoryview(self._right))
        self._end = job.left.start + length
        self._difference = None if self._left == self._right else job.left.start + self._first()

    def _first(self) -> int:
        for at in range(0, len(self._left), SECTOR):
            if self._left[at : at + SECTOR] != self._right[at : at + SECTOR]:
                return round_down(at, SECTOR)
        return len(self._left)

    def in_order(self) -> None:
        self._reached.offset = self._end
        if self._difference is not None:
            raise _FoundError(self._difference)

    def complete(self) -> None:
        """There is nothing to write."""
