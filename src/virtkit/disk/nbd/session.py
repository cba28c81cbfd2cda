"""The requests of one client, one after the other. Big ones are read, stored and answered in small steps."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, SystemCallError, UsageError, VirtkitError
from virtkit.core.units import MIB, round_down
from virtkit.disk.nbd.protocol import (
    ALLOCATION_ID,
    LARGEST_PAYLOAD,
    REQUEST_MAGIC,
    SIMPLE_REPLY_MAGIC,
    STRUCTURED_REPLY_MAGIC,
    U32,
    U64,
    Allocation,
    BlockStatus,
    Chunk,
    ChunkFlag,
    ChunkType,
    Command,
    CommandFlag,
    Error,
    ErrorHead,
    OffsetHole,
    Request,
    SimpleReply,
)
from virtkit.disk.nbd.wire import HangUpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.nbd.handshake import Agreed, Offer
    from virtkit.disk.nbd.wire import Wire

_STEP = 2 * MIB  # bytes in memory at once; the largest cluster is in one step whole
_MOST_EXTENTS = 4096  # looked at for one BLOCK_STATUS; a shorter answer than was asked for is legal
_LONGEST_MESSAGE = 1024  # bytes
_FLAGS: dict[int, int] = {  # that a command may have besides FUA, which all may have
    Command.READ: CommandFlag.DF,
    Command.WRITE_ZEROES: CommandFlag.NO_HOLE | CommandFlag.FAST_ZERO,
    Command.BLOCK_STATUS: CommandFlag.REQ_ONE,
}
_WRITING = (Command.WRITE, Command.WRITE_ZEROES, Command.TRIM)
_BOUNDED = (Command.READ, Command.WRITE, Command.CACHE)
_SILENT = int(Allocation.HOLE | Allocation.ZERO)
_ERRORS = {
    errno.EPERM: Error.EPERM,
    errno.EACCES: Error.EPERM,
    errno.EROFS: Error.EPERM,
    errno.ENOMEM: Error.ENOMEM,
    errno.ENOSPC: Error.ENOSPC,
    errno.EDQUOT: Error.ENOSPC,
    errno.EFBIG: Error.ENOSPC,
}


class _FailedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, error: Error, why: str) -> None:
        super().__init__(why)
        self.error = error


class Session:
    def __init__(self, wire: Wire, offer: Offer, agreed: Agreed) -> None:
        self._wire = wire
        self._offer = offer
        self._export = offer.export
        self._agreed = agreed
        self._answers: dict[int, Callable[[Request], None]] = {
            Command.READ: self._read,
            Command.WRITE: self._write,
            Command.FLUSH: self._flush,
            Command.TRIM: self._trim,
            Command.CACHE: self._cache,
            Command.WRITE_ZEROES: self._write_zeroes,
            Command.BLOCK_STATUS: self._block_status,
        }

    def serve_next(self) -> bool:
        """Answer one request; False where the client has said goodbye. HangUpError."""
        header = self._wire.read_next(Request.SIZE)
        if header is None:
            return False
        request = Request.parse(header)
        if request.magic != REQUEST_MAGIC:
            raise HangUpError
        if request.type == Command.DISC:
            return False
        try:
            self._answer(request)
        except _FailedError as failed:
            self._fail(request, failed.error, str(failed))
        except VirtkitError as error:
            self._fail(request, _number(error), error.message)
        return True

    def _answer(self, request: Request) -> None:
        """What is refused here has had its payload taken off the wire."""
        trouble = self._trouble(request)
        if trouble:
            if request.type == Command.WRITE:
                self._drop_payload(request.length)
            raise trouble
        self._answers[request.type](request)

    def _trouble(self, request: Request) -> _FailedError | None:
        if request.type not in self._answers:
            return _FailedError(Error.EINVAL, f"command {request.type} is not known")
        if request.flags & ~CommandFlag.FUA.value & ~_FLAGS.get(request.type, 0):
            return _FailedError(Error.EINVAL, f"flags of command {request.type} are {request.flags:#x}")
        if request.type in _WRITING and not self._export.writable:
            return _FailedError(Error.EPERM, "the export is read-only")
        if request.offset + request.length > self._export.size:
            error = Error.ENOSPC if request.type in _WRITING else Error.EINVAL
            return _FailedError(error, f"the range ends behind the disk, which has {self._export.size} bytes")
        if request.type in _BOUNDED and request.length > LARGEST_PAYLOAD:
            return _FailedError(Error.EINVAL, f"length is {request.length}, expected at most {LARGEST_PAYLOAD}")
        return None

    def _drop_payload(self, length: int) -> None:
        if length > LARGEST_PAYLOAD:  # nothing that a sane client sends
            raise HangUpError
        self._wire.drop(length)

    def _read(self, request: Request) -> None:
        if not request.length:
            self._succeed(request)
        elif not self._agreed.structured:
            head = SimpleReply(SIMPLE_REPLY_MAGIC, 0, request.cookie).pack()
            self._send_whole(request, head)
        elif request.flags & CommandFlag.DF:
            head = self._chunk(request, ChunkType.OFFSET_DATA, U64.SIZE + request.length, done=True)
            self._send_whole(request, head + U64(request.offset).pack())
        else:
            self._send_in_chunks(request)

    def _send_whole(self, request: Request, head: bytes) -> None:
        """An error behind the first step cannot be told any more: it ends the connection."""
        for at, length in _steps(request.offset, request.length):
            try:
                data = self._export.read(at, length)
            except VirtkitError as error:
                if at == request.offset:
                    raise
                raise HangUpError from error
            self._wire.send(head, data)
            head = b""

    def _send_in_chunks(self, request: Request) -> None:
        end = request.offset + request.length
        for stretch in self._export.stretches(request.offset, request.length):
            if stretch.silent:
                head = self._chunk(request, ChunkType.OFFSET_HOLE, OffsetHole.SIZE, done=stretch.end == end)
                self._wire.send(head, OffsetHole(stretch.start, stretch.length).pack())
                continue
            for at, length in _steps(stretch.start, stretch.length):
                data = self._export.read(at, length)
                head = self._chunk(request, ChunkType.OFFSET_DATA, U64.SIZE + length, done=at + length == end)
                self._wire.send(head, U64(at).pack(), data)

    def _write(self, request: Request) -> None:
        left = request.length
        try:
            for at, length in _steps(request.offset, request.length):
                data = self._wire.read(length)
                left -= length
                self._export.write(at, data)
        except VirtkitError:
            self._wire.drop(left)
            raise
        self._stored(request)

    def _write_zeroes(self, request: Request) -> None:
        whole = request.flags & CommandFlag.NO_HOLE
        if request.flags & CommandFlag.FAST_ZERO and (whole or not self._export.zeroes_fast):
            raise _FailedError(Error.ENOTSUP, "zeros are not faster here than a write")
        if whole:
            self._export.fill(request.offset, request.length)
        else:
            self._export.zero(request.offset, request.length)
        self._stored(request)

    def _trim(self, request: Request) -> None:
        if self._offer.discard:
            self._export.discard(request.offset, request.length)
        self._stored(request)

    def _flush(self, request: Request) -> None:
        self._export.flush()
        self._succeed(request)

    def _cache(self, request: Request) -> None:
        self._export.fetch(request.offset, request.length)
        self._succeed(request)

    def _block_status(self, request: Request) -> None:
        if not self._agreed.allocation or not request.length:
            raise _FailedError(Error.EINVAL, "base:allocation was not chosen, or the range is empty")
        found = self._export.stretches(request.offset, request.length, _MOST_EXTENTS)
        if request.flags & CommandFlag.REQ_ONE:
            found = found[:1]
        told = [BlockStatus(stretch.length, _SILENT if stretch.silent else 0).pack() for stretch in found]
        payload = U32(ALLOCATION_ID).pack() + b"".join(told)
        self._wire.send(self._chunk(request, ChunkType.BLOCK_STATUS, len(payload), done=True), payload)

    def _stored(self, request: Request) -> None:
        if request.flags & CommandFlag.FUA:
            self._export.flush()
        self._succeed(request)

    def _succeed(self, request: Request) -> None:
        if self._agreed.structured:
            self._wire.send(self._chunk(request, ChunkType.NONE, 0, done=True))
        else:
            self._wire.send(SimpleReply(SIMPLE_REPLY_MAGIC, 0, request.cookie).pack())

    def _fail(self, request: Request, error: Error, why: str) -> None:
        if not self._agreed.structured:
            self._wire.send(SimpleReply(SIMPLE_REPLY_MAGIC, error, request.cookie).pack())
            return
        said = why.encode(errors="replace")[:_LONGEST_MESSAGE]
        head = self._chunk(request, ChunkType.ERROR, ErrorHead.SIZE + len(said), done=True)
        self._wire.send(head, ErrorHead(error, len(said)).pack(), said)

    def _chunk(self, request: Request, kind: ChunkType, length: int, *, done: bool) -> bytes:
        flags = ChunkFlag.DONE if done else 0
        return Chunk(STRUCTURED_REPLY_MAGIC, flags, kind, request.cookie, length).pack()


def _steps(start: int, length: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of pieces that end at multiples of _STEP."""
    end = start + length
    while start < end:
        stop = min(round_down(start, _STEP) + _STEP, end)
        yield start, stop - start
        start = stop


def _number(error: VirtkitError) -> Error:
    if isinstance(error, SystemCallError):
        return _ERRORS.get(error.errno or 0, Error.EIO)
    if isinstance(error, NotSupportedError):
        return Error.ENOTSUP
    return Error.EINVAL if isinstance(error, UsageError) else Error.EIO
