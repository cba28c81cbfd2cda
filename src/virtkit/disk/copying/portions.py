"""A writer with large units (VDI's have up to 128 MiB), filled portion by portion: no buffer is as long as a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.copying.hands import GRANULE, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Buffer, Place, Writer

_ZEROS = memoryview(bytes(MIB))


class Portions:
    """``writer``'s units, placed whole when the first of their bytes is placed; in the order of the disk."""

    unit = GRANULE

    def __init__(self, writer: Writer, size: int) -> None:
        """``size``: bytes of the disk."""
        self._writer = writer
        self._size = size
        self._begun = -1  # where the last unit that was placed starts
        self._places: list[Place] = []  # of that unit

    def place(self, start: int, length: int) -> list[Place]:
        found: list[Place] = []
        while length:
            unit = round_down(start, self._writer.unit)
            portion = min(unit + self._writer.unit - start, length)
            found += _within(self._placed(unit), start - unit, start - unit + portion)
            start, length = start + portion, length - portion
        return found

    def blank(self, start: int, length: int) -> None:
        """A unit that is blank in part only is placed: what is not written there reads as zeros, too."""
        end = start + length
        first = round_up(start, self._writer.unit)
        last = end if end == self._size else round_down(end, self._writer.unit)
        if start < first:
            self._placed(first - self._writer.unit)
        if first < last:
            self._writer.blank(first, last - first)
        if last < end:
            self._placed(last)

    def store(self, start: int, coded: Buffer) -> None:
        self._writer.store(start, coded)

    def finish(self) -> None:
        self._writer.finish()

    def _placed(self, unit: int) -> list[Place]:
        if unit != self._begun:
            self._places = self._writer.place(unit, min(self._writer.unit, self._size - unit))
            self._begun = unit
            for place in self._places:
                _make_zeros(place)
        return self._places


def _within(places: Iterable[Place], begin: int, end: int) -> Iterator[Place]:
    """The bytes [begin, end) of what ``places`` have in a row."""
    for place in places:
        first, last = max(begin, 0), min(end, place.length)
        if first < last:
            yield place._replace(at=place.at + first, length=last - first)
        begin, end = begin - place.length, end - place.length


def _make_zeros(place: Place) -> None:
    """What will not be written there: a hole, unless that would be noise."""
    if not place.seal and not place.file.is_device:
        if place.file.size < place.at + place.length:
            place.file.resize(place.at + place.length)
        return
    for done in range(0, place.length, len(_ZEROS)):
        length = min(place.length - done, len(_ZEROS))
        put([place._replace(at=place.at + done, length=length)], _ZEROS)
