"""The bitmap of a COW file: one bit per sector, the lowest bit of a byte first. Set: the sector is in this file.

Changed pages of it wait in memory; ``store`` writes them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import KIB, divide_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

PAGE = 4 * KIB  # bytes; 16 MiB of the disk
MOST_WAITING = 1024  # pages
_PIECE = 64 * KIB  # bytes looked at at once
_ALIKE = re.compile(rb"\x00+|\xff+|[^\x00\xff]", re.DOTALL)


class Run(NamedTuple):
    """Sectors [begin, end) that are all in the file, or all not."""

    begin: int
    end: int
    here: bool


class Bitmap:
    def __init__(self, file: File, offset: int, sectors: int) -> None:
        self._file, self._offset = file, offset
        self._size = divide_up(sectors, 8)
        self._waiting: dict[int, bytearray] = {}

    @property
    def waiting(self) -> int:
        """Pages that were changed and not stored."""
        return len(self._waiting)

    def runs(self, first: int, last: int) -> Iterator[Run]:
        """The sectors [first, last) in runs as long as possible."""
        open_run = Run(first, first, here=False)
        for run in self._pieces(first, last):
            if run.here is open_run.here or open_run.begin == open_run.end:
                open_run = Run(open_run.begin, run.end, run.here)
            else:
                yield open_run
                open_run = run
        if open_run.begin < open_run.end:
            yield open_run

    def _pieces(self, first: int, last: int) -> Iterator[Run]:
        for base in range(first // 8, divide_up(last, 8), _PIECE):
            stored = self._read(base, min(_PIECE, divide_up(last, 8) - base))
            at = 8 * base
            for alike in _ALIKE.finditer(stored):
                width = 8 * (alike.end() - alike.start())
                for begin, end, here in _parts(stored[alike.start()], width):
                    start, stop = max(at + begin, first), min(at + end, last)
                    if start < stop:
                        yield Run(start, stop, here)
                at += width

    def change(self, first: int, last: int, *, here: bool) -> None:
        """Say of the sectors [first, last) that they are in the file, or that they are not."""
        while first < last:
            index = first // (8 * PAGE)
            end = min(last, (index + 1) * 8 * PAGE)
            _fill(self._page(index), first - index * 8 * PAGE, end - index * 8 * PAGE, here=here)
            first = end

    def store(self) -> None:
        for index, page in self._waiting.items():
            self._file.write(self._offset + index * PAGE, page)
        self._waiting.clear()

    def forget_beyond(self, sectors: int) -> None:
        """The disk has that many sectors now."""
        self._size = divide_up(sectors, 8)

    def _page(self, index: int) -> bytearray:
        if index not in self._waiting:
            length = min(PAGE, self._size - index * PAGE)
            self._waiting[index] = bytearray(self._file.read(self._offset + index * PAGE, length).ljust(length, b"\0"))
        return self._waiting[index]

    def _read(self, at: int, length: int) -> bytes:
        stored = self._file.read(self._offset + at, length)
        if len(stored) < length:
            found, where = f"{len(stored)} bytes long", self._offset + at
            raise CorruptImageError(self._file.name, "bitmap", found=found, expected=f"{length} bytes", offset=where)
        if not self._waiting:
            return stored
        patched = bytearray(stored)
        for index in range(at // PAGE, (at + length - 1) // PAGE + 1):
            if page := self._waiting.get(index):
                begin, end = max(at, index * PAGE), min(at + length, index * PAGE + len(page))
                patched[begin - at : end - at] = page[begin - index * PAGE : end - index * PAGE]
        return bytes(patched)


def _fill(page: bytearray, first: int, last: int, *, here: bool) -> None:
    begin, end = divide_up(first, 8), last // 8
    if begin < end:
        page[begin:end] = (b"\xff" if here else b"\0") * (end - begin)
    edges = range(first, last) if begin > end else (*range(first, 8 * begin), *range(8 * end, last))
    for bit in edges:
        if here:
            page[bit // 8] |= 1 << bit % 8
        else:
            page[bit // 8] &= ~(1 << bit % 8) & 0xFF


def _parts(byte: int, width: int) -> tuple[tuple[int, int, bool], ...]:
    return ((0, width, byte != 0),) if byte in {0, 0xFF} else _parts_of_one(byte)


@lru_cache(maxsize=256)
def _parts_of_one(byte: int) -> tuple[tuple[int, int, bool], ...]:
    """The runs of equal bits in a byte, the lowest bit first."""
    bits = [bool(byte >> index & 1) for index in range(8)]
    edges = [0, *(index for index in range(1, 8) if bits[index] != bits[index - 1]), 8]
    return tuple((begin, end, bits[begin]) for begin, end in pairwise(edges))
