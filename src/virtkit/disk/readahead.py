"""What files hold of coded extents, for one job: those that lie side by side in a file are read at once."""

from __future__ import annotations

import mmap
import threading
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB, MIB
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Extent

LONGEST = MIB  # bytes read at once, unless one extent alone is longer
_NEAR = 8 * KIB  # bytes between two extents that cost less to read than another call


class _Span(NamedTuple):
    """Bytes [begin, end) of a file."""

    file: File
    begin: int
    end: int
    extents: list[Extent]


class _Own(threading.local):
    """Each thread's memory: a new one for every span would cost more in page faults than the reading."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, LONGEST)

    def room(self, length: int) -> memoryview:
        if length > len(self.memory):
            self.memory = mmap.mmap(-1, length)
        return memoryview(self.memory)[:length]


_own = _Own()


def with_stored(extents: Sequence[Extent]) -> Iterator[tuple[Extent, Buffer]]:
    """Each extent, and its stored bytes if it is CODED; fewer of them only at the end of the file.

    Coded ones come as they lie in their files, behind the others. Their bytes are to be used before the next comes.
    """
    coded: list[Extent] = []
    for extent in extents:
        if extent.kind is Kind.CODED and extent.file:
            coded.append(extent)
        else:
            yield extent, b""
    for span in _spans(coded):
        room = _own.room(span.end - span.begin)
        stored = room[: span.file.read_into(span.begin, room)]
        for extent in span.extents:
            begin = extent.at - span.begin
            yield extent, stored[begin : begin + extent.stored]


def _spans(coded: Iterable[Extent]) -> Iterator[_Span]:
    """Writers with several threads leave clusters in another order than the guest's."""
    span: _Span | None = None
    for extent in sorted(coded, key=lambda extent: extent.at):
        if not extent.file:
            continue
        stop = extent.at + extent.stored
        if span and extent.file is span.file and extent.at <= span.end + _NEAR and stop - span.begin <= LONGEST:
            span.extents.append(extent)
            span = span._replace(end=max(span.end, stop))
            continue
        if span:
            yield span
        span = _Span(extent.file, extent.at, stop, [extent])
    if span:
        yield span
