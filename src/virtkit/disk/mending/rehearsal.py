"""A file that only pretends to be written: what a repair would change can be told without changing it."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import MIB
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.format import Buffer

_PAGE = 4096  # bytes that a rehearsal keeps at once


class Change(NamedTuple):
    """A stretch that was written, in bytes."""

    at: int
    length: int

    @property
    def end(self) -> int:
        return self.at + self.length


class Rehearsal(File):
    """Reads as if it had been written, but the file is left alone."""

    __slots__ = ("_end", "_kept", "_pages", "changes")

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self._pages: dict[int, bytearray] = {}
        self._end = self._kept = super().size  # kept: what was never cut off, of the file's own bytes
        self.changes: list[Change] = []

    @property
    def size(self) -> int:
        return self._end

    def read(self, at: int, length: int) -> bytes:
        length = max(min(length, self._end - at), 0)
        data = self._own(at, length)
        for index in range(at // _PAGE, (at + length - 1) // _PAGE + 1) if length else ():
            if page := self._pages.get(index):
                start, end = max(index * _PAGE, at), min((index + 1) * _PAGE, at + length)
                data[start - at : end - at] = page[start - index * _PAGE : end - index * _PAGE]
        return bytes(data)

    def read_into(self, at: int, room: memoryview) -> int:
        data = self.read(at, len(room))
        room[: len(data)] = data
        return len(data)

    def write(self, at: int, data: Buffer) -> None:
        data = memoryview(data).cast("B")
        self.changes.append(Change(at, len(data)))
        end = at + len(data)
        self._end = max(self._end, end)
        for index in range(at // _PAGE, (end - 1) // _PAGE + 1) if len(data) else ():
            base = index * _PAGE
            page = self._page(index)
            start, stop = max(base, at), min(base + _PAGE, end)
            page[start - base : stop - base] = data[start - at : stop - at]

    def _page(self, index: int) -> bytearray:
        if index not in self._pages:
            self._pages[index] = self._own(index * _PAGE, _PAGE)
        return self._pages[index]

    def _own(self, at: int, length: int) -> bytearray:
        return bytearray(super().read(at, max(min(length, self._kept - at), 0)).ljust(length, b"\0"))

    def resize(self, size: int) -> None:
        self.changes.append(Change(min(size, self._end), abs(size - self._end)))
        for index in [index for index in self._pages if (index + 1) * _PAGE > size]:
            kept = max(size - index * _PAGE, 0)
            self._pages[index][kept:] = bytes(_PAGE - kept)
        self._end, self._kept = size, min(size, self._kept)

    def zero(self, start: int, length: int) -> None:
        end = min(start + length, self._end)
        for at in range(start, end, MIB):
            self.write(at, bytes(min(MIB, end - at)))

    def discard(self, start: int, length: int) -> None:
        """What is discarded may keep its bytes."""

    def allocate(self, start: int, length: int) -> None:
        self._end = max(self._end, start + length)

    def data(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Holes of the file too, where nothing was written into them."""
        pages = ((index * _PAGE, (index + 1) * _PAGE) for index in sorted(self._pages))
        own = super().data(start, min(end, self._kept)) if start < min(end, self._kept) else iter(())
        begin = stop = start
        for first, last in heapq.merge(own, pages):
            if max(first, start) > stop:
                if begin < stop:
                    yield begin, stop
                begin = max(first, start)
            stop = max(stop, min(last, end, self._end))
        if begin < stop:
            yield begin, stop

    def sync_data(self) -> None:
        """There is nothing to sync."""

    def sync(self) -> None:
        """There is nothing to sync."""

    def stretches(self) -> list[Change]:
        """What would differ in the file, in order and apart; a cut tail counts."""
        found: list[Change] = []
        for change in sorted(self.changes):
            if found and change.at <= found[-1].end:
                found[-1] = Change(found[-1].at, max(found[-1].end, change.end) - found[-1].at)
            elif change.length:
                found.append(change)
        return found
