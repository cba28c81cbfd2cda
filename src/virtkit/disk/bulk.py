"""Millions of table entries at once, with numpy.

Its import takes 65 ms and 25 MiB, as much as a loop needs for a good hundred thousand entries. So numpy is imported by
these functions alone, whoever calls them asks ``pays`` first, and smaller tables go through the loops of ``disk/runs``.
A batch is 2 MiB: it stays in the processor's cache while it is read, swapped, compared and counted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray

    from virtkit.disk.file import File

    Words: TypeAlias = NDArray[np.uint64]
    Numbers: TypeAlias = NDArray[np.unsignedinteger]
    Places: TypeAlias = NDArray[np.intp]

BATCH = 2 * MIB  # bytes of tables looked at together
_ENTRY = 8  # bytes
_BLOCK = 8192  # entries; what is made of them on the way is small enough to be made in the same place again
_MANY_TABLES = 8192  # even empty ones
_MANY_ENTRIES = 1 << 20


class Batch(NamedTuple):
    """Tables one after the other; valid until the next batch is asked for. Positions count the entries of all."""

    first: int  # which of the tables asked for comes first
    stored: Words  # all entries, as the file has them: big-endian
    at: Places  # positions of the entries that are not 0
    words: Words  # these entries


class Ranges(NamedTuple):
    """Numbers [first, first + length), time and again; none is empty."""

    first: Words
    length: Words


def pays(tables: int, entries: int) -> bool:
    """Whether numpy saves more time than its import takes. ``entries``: of those, the most that are not 0."""
    return tables > _MANY_TABLES or entries > _MANY_ENTRIES


def batches(file: File, places: Sequence[int], size: int) -> Iterator[Batch]:
    """Tables of ``size`` bytes at those bytes of the file, in this order; what lies behind its end reads as zeros."""
    import numpy as np

    most = max(BATCH // size, 1)
    entries = min(most, len(places)) * size // _ENTRY
    room, numbers, everywhere = np.zeros(entries, np.uint64), np.empty(entries, np.uint64), np.arange(entries)
    for first in range(0, len(places), most):
        some = places[first : first + most]
        stored = room[: len(some) * size // _ENTRY]
        _read(file, some, size, stored.data.cast("B"))
        filled = stored != 0
        if filled.all():  # rooms that are used again cost no page faults
            at, words = everywhere[: stored.size], numbers[: stored.size]
            words[:] = stored
        else:
            at = np.flatnonzero(filled)
            words = stored[at]
        yield Batch(first, stored, at, words.byteswap(inplace=True) if sys.byteorder == "little" else words)


def _read(file: File, places: Sequence[int], size: int, room: memoryview) -> None:
    """Neighbours in the file are read in one go."""
    begin = 0
    while begin < len(places):
        end = begin + 1
        while end < len(places) and places[end] == places[end - 1] + size:
            end += 1
        part = room[begin * size : end * size]
        there = file.read_into(places[begin], part)
        if there < len(part):
            part[there:] = bytes(len(part) - there)
        begin = end


def as_numbers(stored: Words) -> Words:
    """Big-endian entries as numbers, and numbers as such entries."""
    return stored.byteswap() if sys.byteorder == "little" else stored


def tallied(numbers: Numbers) -> tuple[Numbers, Words | int]:
    """Each number once, in order, and how often it is there: an array, or 1 where no number is there twice."""
    import numpy as np

    if bool((numbers[1:] > numbers[:-1]).all()):
        return numbers, 1
    ordered = np.sort(numbers)
    begins = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), ordered[1:] != ordered[:-1])))
    if begins.size == ordered.size:
        return ordered, 1
    return ordered[begins], np.diff(begins, append=ordered.size).astype(np.uint64)


def ramps(at: Places, words: Words, step: int) -> Places:
    """Where runs begin: each entry of a run is ``step`` more than the one before, and right behind it."""
    import numpy as np

    if not at.size:
        return np.zeros(0, np.intp)
    breaks = np.empty(at.size - 1, np.bool_)
    for begin in range(0, at.size - 1, _BLOCK):
        part = words[begin : begin + _BLOCK + 1]
        np.not_equal(part[1:] - part[:-1], step, out=breaks[begin : begin + _BLOCK])
    if int(words.max()) + step >= 1 << 64:
        breaks |= words[1:] < words[:-1]
    if int(at[-1] - at[0]) >= at.size:
        breaks |= at[1:] - at[:-1] != 1
    return np.concatenate((np.zeros(1, np.intp), np.flatnonzero(breaks) + 1))


def rows(numbers: Words) -> Ranges:
    """Numbers in any order as ranges, as long as each is the one before and one more."""
    import numpy as np

    begins = np.flatnonzero(np.concatenate((np.ones(min(numbers.size, 1), np.bool_), numbers[1:] - numbers[:-1] != 1)))
    return Ranges(numbers[begins], np.diff(begins, append=numbers.size).astype(np.uint64))


def joined(ranges: Ranges) -> Ranges:
    """Those that begin where the one before ends become one with it."""
    import numpy as np

    first, length = ranges
    if first.size <= 1:
        return ranges
    begins = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), first[1:] != first[:-1] + length[:-1])))
    return Ranges(first[begins], np.add.reduceat(length, begins))


def spread(ranges: Ranges) -> Words:
    """All numbers of the ranges, one range after the other."""
    import numpy as np

    first, length = ranges
    if not first.size or int(length.max()) == 1:
        return first
    ends = np.cumsum(length)
    return np.repeat(first - (ends - length), length.astype(np.intp)) + np.arange(int(ends[-1]), dtype=np.uint64)
