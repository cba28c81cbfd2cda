"""Refcounts of millions of clusters, read and changed a few megabytes at a time.

A page is the counts of some refcount blocks one after the other. What is to be counted waits, sorted by pages, until
it is much: long rows of clusters as such, what lies scattered as numbers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.units import divide_up
from virtkit.disk import bulk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from virtkit.core.errors import ImageError
    from virtkit.disk.bulk import Numbers, Ranges, Words
    from virtkit.disk.formats.qcow2.shadow import Shadow

_PAGE = 1 << 20  # counts
_LONG = 1 << 9  # numbers in a row that are sooner counted by themselves than among others
_MOST_WAITING = 1 << 19  # rows, or numbers
_MOST_PAGES = 256  # of which is known what is used once
_BYTE_ORDER = 3  # refcount order of counts that are one byte


class WideCounts:
    """Of ``shadow``, who must not be asked for counts before ``finish``."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow, self._allocator = shadow, shadow.allocator
        self._per_block = shadow.allocator.per_block
        self._order = shadow.allocator.order
        self._limit = (1 << (1 << self._order)) - 1
        self._size = max(_PAGE, self._per_block)
        self._page = -1
        self._counts = np.empty(0, np.uint8)
        self._changed: set[int] = set()  # blocks of the page
        self._rows: dict[int, list[tuple[int, int]]] = {}  # by page: [from, to) in it
        self._scattered: dict[int, list[Numbers]] = {}
        self._waiting = 0
        self._change = 0
        self._single: dict[int, NDArray[np.uint8]] = {}

    def add(self, numbers: Words, change: int) -> None:
        """``change`` is 1 or -1, and the same until ``finish``; a number may come again. As ``Shadow.add``."""
        self._change = change
        rows = bulk.rows(numbers)
        if len(numbers) >= _LONG * len(rows.first):
            for page, first, last in self._parts(rows):
                self._rows.setdefault(page, []).append((first, last))
                self._waiting += 1
        else:
            for page, part in self._pages(numbers):
                self._scattered.setdefault(page, []).append(part)
                self._waiting += len(part)
        if self._waiting >= _MOST_WAITING:
            self._add_waiting()

    def finish(self) -> None:
        """All counts are where ``shadow`` looks for them."""
        self._add_waiting()
        self._store()
        self._page = -1

    def single(self, numbers: Words) -> NDArray[np.bool_]:
        """Which of them are used once. Nothing is added any more when this was asked."""
        rows = bulk.rows(numbers)
        if len(numbers) and len(numbers) >= _LONG * len(rows.first):
            return np.concatenate([self._single_row(*part) for part in self._parts(rows)])
        found = np.zeros(len(numbers), np.bool_)
        for page, part in self._pages(numbers):
            bits = self._single_of(page)
            found[numbers // self._size == page] = bits[part >> 3] >> (part & 7).astype(np.uint8) & 1
        return found

    def _single_row(self, page: int, first: int, last: int) -> NDArray[np.bool_]:
        some = self._single_of(page)[first // 8 : divide_up(last, 8)]
        return np.unpackbits(some, bitorder="little")[first % 8 :][: last - first].view(np.bool_)

    def _single_of(self, page: int) -> NDArray[np.uint8]:
        """A bit for each cluster."""
        if page not in self._single:
            if len(self._single) == _MOST_PAGES:
                self._single.clear()
            self._load(page)
            self._single[page] = np.packbits(self._counts == 1, bitorder="little")
        return self._single[page]

    def _parts(self, rows: Ranges) -> Iterator[tuple[int, int, int]]:
        """(page, from, to) of each."""
        for begin, length in zip(rows.first.tolist(), rows.length.tolist(), strict=True):
            first, end = begin, begin + length
            while first < end:
                page, skip = divmod(first, self._size)
                stop = min(skip + end - first, self._size)
                yield page, skip, stop
                first += stop - skip

    def _pages(self, numbers: Words) -> Iterator[tuple[int, Numbers]]:
        """(page, those within it, numbered from its first)."""
        of = numbers // np.uint64(self._size)
        for page in bulk.tallied(of)[0] if len(of) else ():
            yield int(page), (numbers[of == page] - page * np.uint64(self._size)).astype(np.uint32)

    def _add_waiting(self) -> None:
        for page in sorted({*self._rows, *self._scattered}):
            self._load(page)
            for first, last in self._rows.get(page, ()):
                self._add_row(first, last)
            if page in self._scattered:
                self._add(np.concatenate(self._scattered.pop(page)))
        self._rows.clear()
        self._waiting = 0

    def _add(self, numbers: Numbers) -> None:
        places, times = bulk.tallied(numbers)
        self._touch(block for block, _ in self._blocks(places))
        counts = self._counts[places]
        wrong = times > (self._limit - counts if self._change > 0 else counts)
        if wrong.any():
            raise self._refuse(int(places[wrong.argmax()]))
        step = np.asarray(times).astype(counts.dtype)
        self._counts[places] = counts = counts + step if self._change > 0 else counts - step
        self._note_free(places[counts == 0])

    def _add_row(self, first: int, last: int) -> None:
        self._touch(range(first // self._per_block, divide_up(last, self._per_block)))
        counts = self._counts[first:last]
        most = int(counts.max() if self._change > 0 else counts.min())
        if most == (self._limit if self._change > 0 else 0):
            raise self._refuse(first + int((counts == most).argmax()))
        counts += np.asarray(self._change, np.int64).astype(counts.dtype)  # going down is going round
        if most == 1 and self._change < 0:
            self._note_free(first + np.flatnonzero(counts == 0))

    def _refuse(self, place: int) -> ImageError:
        return self._allocator.refuse(self._page * self._size + place, self._change)

    def _touch(self, blocks: Iterable[int]) -> None:
        """Within the page."""
        for block in blocks:
            self._shadow.require((self._first + block) * self._per_block)
            self._changed.add(block)

    def _note_free(self, places: NDArray[np.integer]) -> None:
        for block, count in self._blocks(places):
            self._shadow.freed(self._first + block, count)

    def _blocks(self, places: NDArray[np.integer]) -> Iterator[tuple[int, int]]:
        """Those of the page in which such places are, and how many."""
        found = np.bincount(places // self._per_block)
        return ((block, int(found[block])) for block in np.flatnonzero(found).tolist())

    def _load(self, page: int) -> None:
        if page == self._page:
            return
        self._store()
        self._page, cluster = page, self._allocator.cluster
        blocks = self._size // self._per_block
        data = np.zeros(blocks * cluster, np.uint8)
        for first, last, at in self._stretches(range(blocks)):
            room = data[first * cluster : last * cluster].data
            if at % cluster or self._shadow.file.read_into(at, room) < len(room):
                expected = "a cluster within the file"
                raise self._allocator.corrupt(f"refcount block {self._first + first}", f"at {at:#x}", expected, at)
        self._counts = _decoded(data, self._order)

    def _store(self) -> None:
        """Changed blocks go to their new places."""
        if not self._changed:
            return
        cluster, data = self._allocator.cluster, _encoded(self._counts, self._order)
        changed = sorted(self._changed)
        for block in changed:
            self._shadow.new_place(self._first + block)
        for first, last, at in self._stretches(changed):
            self._shadow.file.write(at, data[first * cluster : last * cluster].data)
        self._changed.clear()
        self._page = -1  # it was encoded where it is

    @property
    def _first(self) -> int:
        """The first block of the page."""
        return self._page * self._size // self._per_block

    def _stretches(self, blocks: range | list[int]) -> Iterator[tuple[int, int, int]]:
        """Blocks [from, to) of the page that lie one after the other in the file, and at which byte."""
        first = last = at = 0
        for block in blocks:
            place = self._shadow.place(self._first + block)
            if first < last == block and place == at + (last - first) * self._allocator.cluster:
                last = block + 1
                continue
            if first < last and at:
                yield first, last, at
            first, last, at = block, block + 1, place
        if first < last and at:
            yield first, last, at


def _decoded(data: NDArray[np.uint8], order: int) -> NDArray[np.unsignedinteger]:
    """Counts of the machine's own byte order, in place where they are one byte at least."""
    if order < _BYTE_ORDER:
        bits = 1 << order
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        return ((data[:, None] >> shifts) & np.uint8((1 << bits) - 1)).ravel()
    counts = data.view(f"=u{1 << order - _BYTE_ORDER}")
    return counts.byteswap(inplace=True) if sys.byteorder == "little" else counts


def _encoded(counts: NDArray[np.unsignedinteger], order: int) -> NDArray[np.uint8]:
    """What ``_decoded`` took, in place likewise."""
    if order < _BYTE_ORDER:
        parts = counts.reshape(-1, 8 >> order)
        data = np.zeros(len(parts), np.uint8)
        for place in range(8 >> order):
            data |= parts[:, place] << np.uint8(place << order)
        return data
    return (counts.byteswap(inplace=True) if sys.byteorder == "little" else counts).view(np.uint8)
