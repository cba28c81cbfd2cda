"""A disk whose unreadable places read as zeros, and a list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, SystemCallError
from virtkit.core.units import KIB, SECTOR, round_down, round_up
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Buffer, Decode, Stretch

_STEP = 64 * KIB  # bytes that a map is asked for again where it cannot be read, if the image has no clusters
_UNREADABLE = (CorruptImageError, SystemCallError)


class Salvage:
    """``whole`` without errors: what cannot be read, be it data or map, is zeros and noted in ``lost``."""

    def __init__(self, whole: Source) -> None:
        self.name = whole.name
        self.size = whole.size
        self.layers: Sequence[Layer] = whole.layers
        self._whole = whole
        self._lost: list[Stretch] = []
        self._step = max([_STEP, *(layer.image.facts.cluster_size or 0 for layer in whole.layers)])

    @property
    def lost(self) -> tuple[Stretch, ...]:
        """In bytes of the disk, in order, neighbours joined."""
        joined: list[Stretch] = []
        for start, end in sorted(set(self._lost)):
            if joined and start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(end, joined[-1][1])
            else:
                joined.append((start, end))
        return tuple(joined)

    def found(self) -> list[Stretch]:
        """As they were found, also twice; the list only grows."""
        return list(self._lost)

    def lose(self, start: int, end: int) -> None:
        self._lost.append((start, min(end, self.size)))

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = self.size if length is None else start + length
        span = round_up(end, self._step)  # bytes that are asked for at once: halved on errors, then doubled again
        while start < end:
            until = min(round_down(start, self._step) + span, end)
            try:
                for extent in self._whole.extents(start, until - start):
                    yield self._tolerant(extent)
                    start = extent.end
                span *= 2
            except _UNREADABLE:
                if span > self._step:
                    span = max(span // 2 // self._step, 1) * self._step
                    continue
                self.lose(start, until)
                yield Extent(start, until - start, Kind.ZERO)
                start = until

    def _tolerant(self, extent: Extent) -> Extent:
        if not extent.file:
            return extent
        if extent.decode:
            file = _Stored(extent.file.fd, extent.file.name)
            return extent._replace(file=file, decode=_Decode(self, extent.decode))
        return extent._replace(file=_Tolerant(self, extent.file, extent.start - extent.at))


class _Tolerant(File):
    """The file of one extent; closed by its owner."""

    __slots__ = ("_salvage", "_shift")

    def __init__(self, salvage: Salvage, file: File, shift: int) -> None:
        super().__init__(file.fd, file.name)
        self._salvage = salvage
        self._shift = shift  # from its bytes to the disk's

    def read_into(self, at: int, room: memoryview) -> int:
        try:
            return super().read_into(at, room)
        except SystemCallError:
            for begin in range(0, len(room), SECTOR):
                self._read_sector(at + begin, room[begin : begin + SECTOR])
        return len(room)

    def _read_sector(self, at: int, room: memoryview) -> None:
        done = 0
        try:
            done = super().read_into(at, room)
        except SystemCallError:
            self._salvage.lose(at + self._shift, at + self._shift + len(room))
        room[done:] = bytes(len(room) - done)


class _Stored(File):
    """The file of one coded extent: what is missing makes the whole unit unreadable, and that is noted then."""

    __slots__ = ()

    def read(self, at: int, length: int) -> bytes:
        try:
            return super().read(at, length)
        except SystemCallError:
            return b""

    def read_into(self, at: int, room: memoryview) -> int:
        try:
            return super().read_into(at, room)
        except SystemCallError:
            return 0


class _Decode:
    """A unit that cannot be decoded is zeros."""

    def __init__(self, salvage: Salvage, decode: Decode) -> None:
        self._salvage = salvage
        self._decode = decode

    def __call__(self, extent: Extent, stored: Buffer) -> Buffer:
        try:
            plain = self._decode(extent, stored)
        except CorruptImageError:
            plain = b""
        if len(plain) >= extent.skip + extent.length:
            return plain
        self._salvage.lose(extent.start, extent.end)
        return bytes(extent.skip + extent.length)
