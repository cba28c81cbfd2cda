"""Files that know what is done to them: one only pretends to be written, one keeps what it had before.

A repair runs on a Rehearsal to say what it would change, and on a Recorded file to be taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from virtkit.core.errors import CorruptImageError, UsageError
from virtkit.core.structs import Struct, array, layout, u64
from virtkit.core.units import MIB
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.format import Buffer

_PAGE = 4096  # bytes that a rehearsal keeps at once
MAGIC = b"virtkit undo 1\n\0"
"""An undo file: Head, then Piece and its bytes, the newest last."""


class Change(tuple[int, int]):
    """(at, length) of a stretch that was written, in bytes."""

    __slots__ = ()


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
        self.changes.append(Change((at, len(data))))
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
        self.changes.append(Change((min(size, self._end), abs(size - self._end))))
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
        if start < min(end, self._end):
            yield start, min(end, self._end)

    def sync_data(self) -> None:
        """There is nothing to sync."""

    def sync(self) -> None:
        """There is nothing to sync."""


@layout("<")
class Head(Struct):
    magic: Annotated[bytes, array(16)]
    size: u64  # bytes of the file before


@layout("<")
class Piece(Struct):
    at: u64
    length: u64


class Recorded(File):
    """Before bytes are overwritten or cut off, they are on stable storage in the undo file."""

    __slots__ = ("_log",)

    def __init__(self, fd: int, name: str, log: File) -> None:
        super().__init__(fd, name)
        self._log = log
        log.write(0, Head(MAGIC, super().size).pack())
        log.sync()

    def write(self, at: int, data: Buffer) -> None:
        self._record(at, len(data))
        super().write(at, data)

    def resize(self, size: int) -> None:
        if size < self.size:
            self._record(size, self.size - size)
        super().resize(size)

    def zero(self, start: int, length: int) -> None:
        self._record(start, length)
        super().zero(start, length)

    def discard(self, start: int, length: int) -> None:
        self._record(start, length)
        super().discard(start, length)

    def close(self) -> None:
        self._log.close()
        super().close()

    def _record(self, start: int, length: int) -> None:
        end = min(start + length, self.size)
        for begin, stop in self.data(start, end):
            for at in range(begin, stop, MIB):
                old = self.read(at, min(MIB, stop - at))
                self._log.write(self._log.size, Piece(at, len(old)).pack() + old)
        for begin, stop in _gaps(self.data(start, end), start, end):
            self._log.write(self._log.size, Piece(begin, stop - begin | _HOLE).pack())
        self._log.sync_data()


_HOLE = 1 << 63  # of Piece.length: no bytes follow, the stretch was a hole


def _gaps(stretches: Iterator[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for begin, stop in stretches:
        if start < begin:
            yield start, begin
        start = stop
    if start < end:
        yield start, end


def take_back(file: File, log: File) -> int:
    """Put back what an undo file holds, the newest first; returns how many pieces. UsageError, CorruptImageError."""
    head = Head.parse(log.read(0, Head.SIZE), source=log.name)
    if head.magic != MAGIC:
        raise UsageError(f"{log.name}: is no undo file of virtkit")
    found = list(_pieces(log))
    for at, length, where in reversed(found):
        if where is None:
            file.zero(at, length)
        else:
            file.write(at, log.read(where, length))
    file.resize(head.size)
    file.sync()
    return len(found)


def _pieces(log: File) -> Iterator[tuple[int, int, int | None]]:
    """(at, length, where its bytes are; None for a hole). A last piece that was cut off was never overwritten."""
    where, end = Head.SIZE, log.size
    while where + Piece.SIZE <= end:
        piece = Piece.parse(log.read(where, Piece.SIZE), source=log.name)
        where += Piece.SIZE
        if piece.length & _HOLE:
            yield piece.at, piece.length & ~_HOLE, None
            continue
        if piece.length > MIB:
            raise CorruptImageError(
                log.name, "piece", found=f"{piece.length} bytes long", expected=f"at most {MIB}", offset=where
            )
        if where + piece.length > end:
            return
        yield piece.at, piece.length, where
        where += piece.length
