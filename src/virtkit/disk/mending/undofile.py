"""A file whose changes can be taken back: before bytes are overwritten, they are on stable storage in an undo file.

An undo file is a Head and then Pieces, each followed by its bytes, the newest last. A piece that a power cut left half
written was never followed by the change that it is for, and ends the list.
"""

from __future__ import annotations

from binascii import crc32
from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.errors import ConflictError, UsageError
from virtkit.core.structs import Struct, array, layout, u32, u64
from virtkit.core.units import MIB
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Buffer

MAGIC = b"virtkit undo 1\n\0"
_BYTES, _HOLE, _SEAL, _BEGUN = range(4)  # kinds of pieces
_MOST = MIB  # bytes of a piece


@layout("<")
class Head(Struct):
    magic: Annotated[bytes, array(16)]
    size: u64  # bytes of the file before


@layout("<")
class Piece(Struct):
    """``_SEAL``: how the file was left, as a digest; ``_BEGUN``: taking back has begun. The last of these counts."""

    at: u64
    length: u64  # bytes; of a hole too, which none follow
    kind: u32
    checksum: u32  # CRC-32 of the fields above and of the bytes that follow

    @classmethod
    def made(cls, kind: int, at: int, length: int, data: bytes = b"") -> bytes:
        fields = cls(at, length, kind, 0).pack()[:-4]
        return cls(at, length, kind, crc32(data, crc32(fields))).pack() + data


class Recorded(File):
    """Owns the undo file ``log`` too."""

    __slots__ = ("_log",)

    def __init__(self, fd: int, name: str, log: File) -> None:
        super().__init__(fd, name)
        self._log = log
        log.write(0, Head(MAGIC, super().size).pack())
        log.sync()

    @property
    def changed(self) -> bool:
        return self._log.size > Head.SIZE

    def write(self, at: int, data: Buffer) -> None:
        self._record(at, len(data))
        super().write(at, data)

    def share(self, at: int, source: File, source_at: int, length: int) -> bool:
        self._record(at, length)
        return super().share(at, source, source_at, length)

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

    def seal(self) -> None:
        """All is done: from now on only a file that is still as it is now will be taken back."""
        _seal(self, self._log)

    def close(self) -> None:
        self._log.close()
        super().close()

    def _record(self, start: int, length: int) -> None:
        end = min(start + length, self.size)
        for begin, stop in self.data(start, end):
            for at in range(begin, stop, _MOST):
                old = self.read(at, min(_MOST, stop - at))
                self._log.write(self._log.size, Piece.made(_BYTES, at, len(old), old))
        for begin, stop in _gaps(self.data(start, end), start, end):
            self._log.write(self._log.size, Piece.made(_HOLE, begin, stop - begin))
        self._log.sync_data()


def _gaps(stretches: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for begin, stop in stretches:
        if start < begin:
            yield start, begin
        start = stop
    if start < end:
        yield start, end


class _Found(NamedTuple):
    kind: int
    at: int
    length: int
    where: int  # of its bytes, in the undo file
    end: int  # likewise, where the next piece begins


def take_back(file: File, log: File, *, force: bool = False) -> int:
    """Put back what an undo file holds, the newest first; returns how many pieces. May be broken off and done again.

    UsageError where ``log`` is none; ConflictError where ``file`` was changed since, unless ``force``.
    """
    head = log.read(0, Head.SIZE)
    if len(head) < Head.SIZE or not head.startswith(MAGIC):
        raise UsageError(f"{log.name}: is no undo file of virtkit")
    everything = list(_pieces(log))
    found = _old(everything)
    marks = [piece for piece in everything if piece.kind in {_SEAL, _BEGUN}]
    if marks and marks[-1].kind == _SEAL and not force:
        _require_as_left(file, log, found, marks[-1])
    log.write(everything[-1].end if everything else Head.SIZE, Piece.made(_BEGUN, 0, 0))
    log.sync_data()
    for piece in reversed(found):
        if piece.kind == _HOLE:
            file.zero(piece.at, piece.length)
        else:
            file.write(piece.at, log.read(piece.where, piece.length))
    if not file.is_device:
        file.resize(Head.parse(head).size)
    file.sync()
    _seal(file, log)
    return len(found)


def _old(pieces: Iterable[_Found]) -> list[_Found]:
    return [piece for piece in pieces if piece.kind in {_BYTES, _HOLE}]


def _seal(file: File, log: File) -> None:
    pieces = list(_pieces(log))
    digest = _digest(file, _old(pieces))
    log.write(pieces[-1].end if pieces else Head.SIZE, Piece.made(_SEAL, file.size, len(digest), digest))
    log.sync_data()


def _require_as_left(file: File, log: File, pieces: list[_Found], seal: _Found) -> None:
    if log.read(seal.where, seal.length) != _digest(file, pieces):
        raise ConflictError(
            f"{file.name}: was changed after {log.name} was written, or is another file",
            hint="--force puts the old bytes back all the same, and what was written since may be lost",
        )


def _digest(file: File, pieces: list[_Found]) -> bytes:
    """Of the size, and of the bytes that are now where ``pieces`` were taken from."""
    from hashlib import sha256

    digest = sha256(str(file.size).encode())
    for piece in pieces:
        for at in range(piece.at, piece.at + piece.length, _MOST):
            digest.update(file.read(at, min(_MOST, piece.at + piece.length - at)))
    return digest.digest()


def _pieces(log: File) -> Iterator[_Found]:
    where, end = Head.SIZE, log.size
    while where + Piece.SIZE <= end:
        record = log.read(where, Piece.SIZE)
        piece = Piece.parse(record, source=log.name)
        where += Piece.SIZE
        stored = piece.length if piece.kind in {_BYTES, _SEAL} else 0
        data = log.read(where, stored) if stored <= _MOST else b""
        if len(data) < stored or crc32(data, crc32(record[:-4])) != piece.checksum:
            return
        yield _Found(piece.kind, piece.at, piece.length, where, where + stored)
        where += stored
