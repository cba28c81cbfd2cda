"""Extents cut into jobs that fit a buffer, and the guest's bytes of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.decoded import Decoded
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer

SMALLEST_LOOK = MIB  # bytes; below, reading a hole in a file costs less than looking for it


class Job(NamedTuple):
    """A stretch of the guest's disk, in whole units; what no piece covers is zeros."""

    start: int
    length: int
    pieces: list[Extent]

    @property
    def weight(self) -> int:
        """Bytes that have to be moved."""
        return sum(piece.length for piece in self.pieces)


def part(extent: Extent, start: int, end: int) -> Extent:
    """The bytes [start, end) of ``extent``."""
    offset = start - extent.start
    if extent.kind is Kind.CODED:
        return extent._replace(start=start, length=end - start, skip=extent.skip + offset)
    return Extent(start, end - start, extent.kind, extent.file, extent.at + offset, depth=extent.depth)


def stored(extents: Iterable[Extent]) -> Iterator[Extent]:
    """What has to be read: DATA without the holes of its file, and CODED."""
    return (piece for piece in hollowed(extents) if piece.kind in {Kind.DATA, Kind.CODED})


def hollowed(extents: Iterable[Extent]) -> Iterator[Extent]:
    """The same bytes; DATA in a hole of its file is ZERO."""
    holey: dict[int, bool] = {}  # by descriptor
    for extent in extents:
        if extent.kind is not Kind.DATA or not extent.file or extent.length < SMALLEST_LOOK:
            yield extent
            continue
        fd = extent.file.fd
        if fd not in holey:
            holey[fd] = extent.file.allocated < extent.file.size
        if holey[fd]:
            yield from _with_holes(extent, extent.file)
        else:
            yield extent


def _with_holes(extent: Extent, file: File) -> Iterator[Extent]:
    shift, at = extent.start - extent.at, extent.start
    for begin, stop in file.data(extent.at, extent.at + extent.length):
        if at < begin + shift:
            yield Extent(at, begin + shift - at, Kind.ZERO, depth=extent.depth)
        at = stop + shift
        yield part(extent, begin + shift, at)
    if at < extent.end:
        yield Extent(at, extent.end - at, Kind.ZERO, depth=extent.depth)


def cut(extents: Iterable[Extent], limit: int) -> Iterator[Extent]:
    """The same bytes; none crosses a multiple of ``limit``."""
    for extent in extents:
        start, end = extent.start, extent.end
        edge = round_down(start, limit) + limit
        if end <= edge:
            yield extent
            continue
        while start < end:
            yield part(extent, start, min(edge, end))
            start, edge = edge, edge + limit


def jobs(extents: Iterable[Extent], *, unit: int, limit: int, end: int) -> Iterator[Job]:
    """Jobs in order: their edges are multiples of ``unit`` or ``end``; none crosses a multiple of ``limit``."""
    pieces: list[Extent] = []
    start = stop = window = 0
    for piece in cut(extents, limit):
        begin = round_down(piece.start, unit)
        if pieces and (begin > stop or piece.start >= window):
            yield Job(start, stop - start, pieces)
            pieces = []
        if not pieces:
            start, window = begin, round_down(begin, limit) + limit
        pieces.append(piece)
        stop = min(round_up(piece.end, unit), end)
    if pieces:
        yield Job(start, stop - start, pieces)


def load(extent: Extent, room: memoryview, decoded: Decoded | None = None, stored: Buffer | None = None) -> None:
    """The guest's bytes of ``extent`` into ``room``, which is as long.

    ``decoded``: where units are kept. ``stored``: what its file holds of a CODED extent, if that has been read.
    """
    done = 0
    if extent.file and extent.kind is Kind.DATA:
        done = extent.file.read_into(extent.at, room)
    elif extent.file and extent.decode:
        coded = extent.file.read(extent.at, extent.stored) if stored is None else stored
        unit = decoded.unit(extent, coded, extent.decode) if decoded else extent.decode(extent, coded)
        plain = memoryview(unit)[extent.skip : extent.skip + extent.length]
        done = len(plain)
        if done < extent.length:
            raise CorruptImageError(
                extent.file.name,
                "compressed data",
                found=f"{extent.skip + done} bytes long",
                expected=f"at least {extent.skip + extent.length}",
                offset=extent.at,
            )
        room[:done] = plain
    if done < len(room):
        room[done:] = bytes(len(room) - done)


def fill(job: Job, room: memoryview) -> None:
    """The guest's bytes of ``job`` into the front of ``room``."""
    from virtkit.disk import readahead  # who only asks where the data is needs no memory to read it into

    at = 0
    for piece in job.pieces:
        begin = piece.start - job.start
        if at < begin:
            room[at:begin] = bytes(begin - at)
        at = begin + piece.length
    if at < job.length:
        room[at : job.length] = bytes(job.length - at)
    for piece, stored in readahead.with_stored(job.pieces):
        begin = piece.start - job.start
        load(piece, room[begin : begin + piece.length], stored=stored)
