"""Refcounts of millions of clusters, read and changed a few megabytes at a time.

A page is the counts of some refcount blocks one after the other. What a batch of tables names mostly lies in one page;
what lies scattered waits, sorted by pages, until it is much.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from virtkit.core.units import divide_up
from virtkit.disk import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from virtkit.core.errors import ImageError
    from virtkit.disk.bulk import Words
    from virtkit.disk.formats.qcow2.shadow import Shadow

Numbers: TypeAlias = "NDArray[np.unsignedinteger]"  # of clusters, in any order

_PAGE = 1 << 20  # counts
_MANY = 1 << 12  # numbers for which another page is looked at
_MOST_WAITING = 1 << 20  # numbers
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
        self._waiting: dict[int, list[NDArray[np.uint32]]] = {}
        self._waiting_size = 0
        self._change = 0
        self._single: dict[int, NDArray[np.uint8]] = {}

    def add(self, numbers: Numbers, change: int) -> None:
        """``change`` is 1 or -1, and the same until ``finish``; a number may come again. As ``Shadow.add``."""
        self._change = change
        if len(numbers) >= _MANY and _is_row(numbers):
            for page, first, last in self._row(numbers):
                self._load(page)
                self._add_row(first, last)
            return
        for page, part in self._pages(numbers):
            if page == self._page:
                self._add(page, part)
            else:
                self._waiting.setdefault(page, []).append(part)
                self._waiting_size += len(part)
        if self._waiting_size >= _MOST_WAITING:
            self._add_waiting()

    def finish(self) -> None:
        """All counts are where ``shadow`` looks for them."""
        self._add_waiting()
        self._store()
        self._page = -1

    def single(self, numbers: Words) -> NDArray[np.bool_]:
        """Which of them are used once. Nothing is added any more when this was asked."""
        if len(numbers) >= _MANY and _is_row(numbers):
            return np.concatenate([self._single_row(*row) for row in self._row(numbers)])
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

    def _row(self, numbers: Numbers) -> Iterator[tuple[int, int, int]]:
        """(page, from, to) of a row."""
        first, end = int(numbers[0]), int(numbers[-1]) + 1
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
        for page, parts in sorted(self._waiting.items()):
            self._add(page, np.concatenate(parts))
        self._waiting.clear()
        self._waiting_size = 0

    def _add(self, page: int, numbers: Numbers) -> None:
        self._load(page)
        places, repeated = np.unique(numbers, return_counts=True)
        self._touch(places)
        counts, times = self._counts[places], repeated.astype(np.uint64)
        wrong = counts > self._limit - times if self._change > 0 else counts < times
        if wrong.any():
            raise self._refuse(int(places[wrong.argmax()]))
        step = times.astype(counts.dtype)
        self._counts[places] = counts = counts + step if self._change > 0 else counts - step
        self._note_emptied(places[counts == 0])

    def _add_row(self, first: int, last: int) -> None:
        self._touch(np.array([*range(first, last, self._per_block), last - 1], np.uint64))
        counts = self._counts[first:last]
        most = int(counts.max() if self._change > 0 else counts.min())
        if most == (self._limit if self._change > 0 else 0):
            raise self._refuse(first + int((counts == most).argmax()))
        counts += np.asarray(self._change, np.int64).astype(counts.dtype)  # going down is going round
        if most == 1 and self._change < 0:
            self._note_emptied(first + np.flatnonzero(counts == 0).astype(np.uint64))

    def _refuse(self, place: int) -> ImageError:
        return self._allocator.refuse(self._page * self._size + place, self._change)

    def _touch(self, places: Numbers) -> None:
        """Within the page."""
        for block in self._blocks(places):
            self._shadow.require((self._first + block) * self._per_block)
            self._changed.add(block)

    def _note_emptied(self, places: Numbers) -> None:
        for block in self._blocks(places):
            self._shadow.emptied(self._first + block)

    def _blocks(self, places: Numbers) -> list[int]:
        """Of the page."""
        return [int(block) for block in np.unique(places // np.asarray(self._per_block, places.dtype))]

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


def _is_row(numbers: Numbers) -> bool:
    """Whether each is the one before and one more."""
    if int(numbers[-1]) - int(numbers[0]) != len(numbers) - 1:
        return False
    return bool((numbers[1:] > numbers[:-1]).all())


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
