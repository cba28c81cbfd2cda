"""What in-place writers of all formats share: a write that begins or ends within a unit, made whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import round_down, round_up
from virtkit.disk import pieces

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer, Image


def read(image: Image, start: int, length: int) -> bytearray:
    """The bytes of this image alone; HOLEs read as zeros."""
    room = bytearray(length)
    view = memoryview(room)
    for extent in image.extents(start, length):
        pieces.load(extent, view[extent.start - start : extent.end - start])
    return room


def whole_units(image: Image, start: int, data: Buffer, unit: int) -> tuple[int, Buffer]:
    """``data`` at ``start`` with what ``image`` holds around it, from the first unit's start to the last one's end.

    Behind the end of the disk there are zeros: the result is always whole units.
    """
    end = start + len(data)
    first, last = round_down(start, unit), round_up(end, unit)
    if first == start and last == end:
        return start, data
    room = bytearray(last - first)
    if first < start:
        room[: start - first] = read(image, first, start - first)
    room[start - first : end - first] = data
    known = min(last, image.size)
    if end < known:
        room[end - first : known - first] = read(image, end, known - end)
    return first, room
