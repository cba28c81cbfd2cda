"""The bits of dirty bitmaps as stretches of the disk, and back. The first bit is the lowest of the first byte."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.units import divide_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Stretch

_SAME = re.compile(rb"\0+|\xff+|[^\0\xff]", re.DOTALL)  # bytes that are looked at together
_BYTE = 8  # bits
_ALL = 0xFF


def runs_of(bits: bytes) -> Iterator[Stretch]:
    """[from, to) of the bits that are set; neighbours are one."""
    start = end = 0
    for found in _SAME.finditer(bits):
        first, last, byte = found.start() * _BYTE, found.end() * _BYTE, bits[found.start()]
        for begin, stop in ((first, last),) if byte == _ALL else _within(first, byte):
            if begin != end:
                if start < end:
                    yield start, end
                start = begin
            end = stop
    if start < end:
        yield start, end


def _within(first: int, byte: int) -> Iterator[Stretch]:
    for bit in range(_BYTE):
        if byte >> bit & 1:
            yield first + bit, first + bit + 1


def bits_of(runs: Iterable[Stretch], size: int) -> bytes:
    """``size`` bytes whose bits [from, to) of each run are set."""
    room = bytearray(size)
    for begin, end in runs:
        first, last = divide_up(begin, _BYTE), end // _BYTE
        if first < last:
            room[first:last] = b"\xff" * (last - first)
        for bit in (*range(begin, min(first * _BYTE, end)), *range(max(last * _BYTE, begin), end)):
            room[bit // _BYTE] |= 1 << bit % _BYTE
    return bytes(room)


def merged(stretches: Iterable[Stretch], size: int) -> Iterator[Stretch]:
    """Neighbours joined; nothing behind ``size``."""
    start = end = 0
    for begin, stop in stretches:
        if begin > end:
            if start < end:
                yield start, min(end, size)
            start = begin
        end = max(end, stop)
        if start >= size:
            return
    if start < end:
        yield start, min(end, size)


def united(one: Iterable[Stretch], other: Iterable[Stretch]) -> Iterator[Stretch]:
    """Two ordered rows as one: ordered, apart."""
    from heapq import merge

    start = end = -1
    for begin, stop in merge(one, other):
        if begin > end:
            if start < end:
                yield start, end
            start, end = begin, stop
        end = max(end, stop)
    if start < end:
        yield start, end
