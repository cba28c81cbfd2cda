"""Tables of positions, as most formats keep them: read in one piece, split into runs, merged into extents.

A dense or an empty terabyte has millions of entries and hardly any runs. So nothing here looks at single entries
where a whole block of them can be compared at once.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from typing import Literal

    from virtkit.disk.file import File

_BLOCK = 512  # entries compared at once
_MOST = 12  # 1 << this: likewise, of entries that repeat
_WIDTHS: dict[Literal["I", "Q"], int] = {"I": 4, "Q": 8}


class Run(NamedTuple):
    """Entries [begin, end) of a table: each is ``stride`` more than the one before, the first is ``entry``."""

    begin: int
    end: int
    entry: int
    stride: int


def read_table(
    file: File, name: str, at: int, count: int, *, code: Literal["I", "Q"], endian: Literal["big", "little"]
) -> array[int]:
    """``count`` entries of 32 (I) or 64 (Q) bits at byte ``at``; CorruptImageError if the file ends before."""
    width = _WIDTHS[code]
    data = file.read(at, width * count)
    if len(data) < width * count:
        found = f"{len(data)} bytes long"
        raise CorruptImageError(file.name, name, found=found, expected=f"{width * count} bytes", offset=at)
    return table_of(data, code=code, endian=endian)


def table_of(data: bytes, *, code: Literal["I", "Q"], endian: Literal["big", "little"]) -> array[int]:
    table = array(code, data)
    if endian != sys.byteorder:
        table.byteswap()
    return table


def stored_table(table: array[int], *, endian: Literal["big", "little"]) -> bytes:
    """The bytes that ``table_of`` turns into ``table``."""
    if endian != sys.byteorder:
        table = table[:]
        table.byteswap()
    return table.tobytes()


def runs(table: array[int], first: int, last: int, step: int, special: Container[int]) -> Iterator[Run]:
    """Split ``table[first:last]``: ``special`` entries repeat, all others count up by ``step``."""
    base, width, raw = first, table.itemsize, b""
    while first < last:
        entry = table[first]
        stride = 0 if entry in special else step
        if stride:
            end = _end_of_ramp(table, first, last, stride)
        elif first + 1 == last or table[first + 1] != entry:
            end = first + 1
        else:
            raw = raw or memoryview(table)[base:last].tobytes()
            end = base + _end_of_repeat(raw, (first - base) * width, width) // width
        yield Run(first, end, entry, stride)
        first = end


def _end_of_repeat(raw: bytes, at: int, width: int) -> int:
    """Entries of ``width`` bytes: by stretches, ever longer ones, then by halves of the one that differs."""
    same, power = _repeated(raw[at : at + width]), 0
    while raw.startswith(same[power], at):
        at += width << power
        power = min(power + 1, _MOST)
    while power:
        power -= 1
        if raw.startswith(same[power], at):
            at += width << power
    return at


@lru_cache(maxsize=8)
def _repeated(entry: bytes) -> list[bytes]:
    return [entry * (1 << power) for power in range(_MOST + 1)]


def _end_of_ramp(table: array[int], first: int, last: int, stride: int) -> int:
    expected = table[first] + stride
    at = first + 1
    while at < last:
        if table[at] != expected:
            return at
        end = min(at + _BLOCK, last)
        if not _is_ramp(table[at:end], stride):
            return _end_within(table, at, end, stride)
        at, expected = end, expected + (end - at) * stride
    return last


def _end_within(table: array[int], at: int, end: int, stride: int) -> int:
    expected = table[at]
    for entry in table[at:end]:
        if entry != expected:
            return at
        at, expected = at + 1, expected + stride
    return end


def _is_ramp(block: array[int], stride: int) -> bool:
    """Whether each entry is ``stride`` more than the one before: one multiplication of long integers, not a loop."""
    if block[-1] != block[0] + (len(block) - 1) * stride:
        return False
    if len(block) < _BLOCK:
        return block == array(block.typecode, range(block[0], block[-1] + stride, stride))
    ones, ramp = _lanes(len(block), stride, 8 * block.itemsize)
    wanted = block[0] * ones + ramp
    return wanted.to_bytes(len(block) * block.itemsize, sys.byteorder) == block.tobytes()


@lru_cache(maxsize=64)
def _lanes(count: int, stride: int, bits: int) -> tuple[int, int]:
    """Two long integers made of lanes of ``bits``: all ones, and 0, stride, 2 * stride ..."""
    order = range(count) if sys.byteorder == "little" else range(count - 1, -1, -1)
    return sum(1 << bits * lane for lane in order), sum(
        index * stride << bits * lane for index, lane in enumerate(order)
    )


def merged(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Join neighbours that are one stretch in the guest's disk and in the file. CODED extents stay apart."""
    waiting: Extent | None = None
    for extent in extents:
        if waiting is None:
            waiting = extent
        elif _continues(waiting, extent):
            waiting = waiting._replace(length=waiting.length + extent.length)
        else:
            yield waiting
            waiting = extent
    if waiting is not None:
        yield waiting


def _continues(one: Extent, other: Extent) -> bool:
    if one.kind is not other.kind or one.kind is Kind.CODED or one.preallocated is not other.preallocated:
        return False
    placed = one.kind is Kind.DATA or one.preallocated
    return not placed or (one.file is other.file and one.at + one.length == other.at)
