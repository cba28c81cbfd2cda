"""The reading side of NBD: a disk that a running QEMU offers on a socket file, and what it says of it.

doc/proto.md of NetworkBlockDevice/nbd: fixed newstyle, structured replies, metadata contexts. The server is not
trusted: every length that it tells is held against what was asked for, and it has a minute for every message.
"""

from __future__ import annotations

import socket
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from virtkit.core.errors import ImageError, SystemCallError
from virtkit.core.units import GIB
from virtkit.disk.nbd import protocol
from virtkit.disk.nbd.protocol import (
    BlockStatus,
    Chunk,
    ChunkFlag,
    ChunkType,
    Command,
    HandshakeFlag,
    Option,
    OptionAnswer,
)
from virtkit.disk.nbd.wire import HangUpError, Wire

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

DIRTY_BITMAP = "qemu:dirty-bitmap:"  # a context of QEMU's: flag 1 is "was written"
DIRTY = 1
_IN_FLIGHT = 4  # requests on the way
_MOST_ANSWERS = 64  # to one option
_MOST_EXTENTS = 1 << 20  # in one answer to BLOCK_STATUS
_FLAGS = HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES


class Status(NamedTuple):
    start: int  # bytes
    length: int
    flags: int  # as the context means them

    @property
    def end(self) -> int:
        return self.start + self.length


class Piece(NamedTuple):
    start: int
    data: bytearray


class Remote:
    """One export of the server at the socket file ``path``, with those of ``contexts`` that the server knows.

    ImageError for a server that does not keep to the protocol, or refuses; SystemCallError where nobody answers.
    """

    def __init__(self, path: str, export: str, contexts: Sequence[str] = ()) -> None:
        self._name = f"nbd+unix:///{export}?socket={path}"
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(path)
            self._wire = Wire(self._socket)
            self._greet()
            self._contexts = self._negotiate(export, contexts)
            self.size = self._go(export)
        except HangUpError as error:
            self.close()
            raise self._broken("hung up") from error
        except OSError as error:
            self.close()
            raise SystemCallError(f"connect to {path}", error) from error
        except BaseException:
            self.close()
            raise
        self._cookie = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def knows(self, context: str) -> bool:
        return context in self._contexts

    def status(self, context: str) -> Iterator[Status]:
        """The whole disk in order, neighbours with the same flags as one."""
        last = Status(0, 0, 0)
        at = 0
        while at < self.size:
            for length, flags in self._ask_status(self._contexts[context], at, min(self.size - at, GIB)):
                stretch = Status(at, min(length, self.size - at), flags)
                at = stretch.end
                if last.length and last.flags != flags:
                    yield last
                    last = stretch
                else:
                    last = Status(last.start if last.length else stretch.start, last.length + stretch.length, flags)
        if last.length:
            yield last

    def read(self, stretches: Iterable[tuple[int, int]]) -> Iterator[Piece]:
        """Each (start, length) as it comes, some of them asked for ahead; whoever stops in between has to close."""
        todo, waiting = iter(stretches), dict[int, Piece]()
        try:
            while True:
                for start, length in islice(todo, _IN_FLIGHT - len(waiting)):
                    waiting[self._send(Command.READ, start, length)] = Piece(start, bytearray(length))
                if not waiting:
                    return
                chunk = self._chunk()
                if chunk.cookie not in waiting:
                    raise self._broken(f"answers request {chunk.cookie}, which waits for nothing")
                self._take(chunk, waiting[chunk.cookie])
                if chunk.flags & ChunkFlag.DONE:
                    yield waiting.pop(chunk.cookie)
        except HangUpError as error:
            raise self._broken("hung up") from error

    def _greet(self) -> None:
        greeting = protocol.Greeting.parse(self._wire.read(protocol.Greeting.SIZE))
        if (greeting.magic, greeting.option_magic) != (protocol.GREETING_MAGIC, protocol.OPTION_MAGIC):
            raise self._broken("is no NBD server of the newstyle")
        if not greeting.flags & HandshakeFlag.FIXED_NEWSTYLE:
            raise self._broken("does not speak the fixed newstyle")
        self._wire.send(protocol.U32(greeting.flags & _FLAGS).pack())

    def _negotiate(self, export: str, contexts: Sequence[str]) -> dict[str, int]:
        """By name the number that the server gives each context."""
        list(self._option(Option.STRUCTURED_REPLY))
        if not contexts:
            return {}
        words = [_text(export), protocol.U32(len(contexts)).pack(), *map(_text, contexts)]
        found = {}
        for kind, data in self._option(Option.SET_META_CONTEXT, b"".join(words)):
            if kind == OptionAnswer.META_CONTEXT and len(data) > protocol.U32.SIZE:
                name = data[protocol.U32.SIZE :].decode(errors="replace")
                found[name] = protocol.U32.parse(data[: protocol.U32.SIZE]).value
        return {name: number for name, number in found.items() if name in contexts}

    def _go(self, export: str) -> int:
        """The size of the disk."""
        size = None
        for kind, data in self._option(Option.GO, _text(export) + protocol.U16(0).pack()):
            if kind == OptionAnswer.INFO and len(data) == protocol.InfoExport.SIZE and data[:2] == b"\0\0":
                size = protocol.InfoExport.parse(data).size
        if size is None or size > 1 << 62:
            raise self._broken(f"tells size {size}")
        return size

    def _option(self, option: Option, data: bytes = b"") -> Iterator[tuple[int, bytearray]]:
        """Its answers up to ACK."""
        self._wire.send(protocol.OptionHeader(protocol.OPTION_MAGIC, option, len(data)).pack(), data)
        for _ in range(_MOST_ANSWERS):
            reply = protocol.OptionReply.parse(self._wire.read(protocol.OptionReply.SIZE))
            if (reply.magic, reply.option) != (protocol.OPTION_REPLY_MAGIC, option):
                raise self._broken("answers another option than it was asked")
            if reply.length > 2 * protocol.LONGEST_STRING:
                raise self._broken(f"answers {option.name} with {reply.length} bytes")
            said = self._wire.read(reply.length)
            if reply.type == OptionAnswer.ACK:
                return
            if reply.type >> 31:
                raise ImageError(f"{self._name}: refuses {option.name}: {said.decode(errors='replace') or reply.type}")
            yield reply.type, said
        raise self._broken(f"answers {option.name} without an end")

    def _send(self, command: Command, start: int, length: int) -> int:
        """The request's cookie."""
        self._cookie += 1
        self._wire.send(protocol.Request(protocol.REQUEST_MAGIC, 0, command, self._cookie, start, length).pack())
        return self._cookie

    def _chunk(self) -> Chunk:
        chunk = Chunk.parse(self._wire.read(Chunk.SIZE))
        if chunk.magic != protocol.STRUCTURED_REPLY_MAGIC:
            raise self._broken(f"sends {chunk.magic:#x}, expected a structured reply")
        if chunk.type >> 15:
            said = self._wire.read(min(chunk.length, protocol.LONGEST_STRING))
            number = int.from_bytes(said[:4], "big")
            raise ImageError(f"{self._name}: error {number}: {said[6:].decode(errors='replace')}")
        return chunk

    def _take(self, chunk: Chunk, piece: Piece) -> None:
        """Data goes where the chunk says; a hole is zeros already."""
        if chunk.type == ChunkType.NONE and not chunk.length:
            return
        at = protocol.U64.parse(self._wire.read(protocol.U64.SIZE)).value - piece.start
        if chunk.type == ChunkType.OFFSET_DATA:
            length = chunk.length - protocol.U64.SIZE
        elif chunk.type == ChunkType.OFFSET_HOLE and chunk.length == protocol.OffsetHole.SIZE:
            length = protocol.U32.parse(self._wire.read(protocol.U32.SIZE)).value
        else:
            raise self._broken(f"answers a read with a chunk of type {chunk.type}")
        if at < 0 or length < 0 or at + length > len(piece.data):
            raise self._broken("sends bytes that nobody asked for")
        if chunk.type == ChunkType.OFFSET_DATA:
            self._wire.read_into(memoryview(piece.data)[at : at + length])

    def _ask_status(self, context: int, start: int, length: int) -> list[tuple[int, int]]:
        """(length, flags) from ``start`` on, as far as the server told."""
        cookie, told = self._send(Command.BLOCK_STATUS, start, length), list[tuple[int, int]]()
        try:
            while True:
                chunk = self._chunk()
                if chunk.cookie != cookie or chunk.length > _MOST_EXTENTS * BlockStatus.SIZE:
                    raise self._broken("answers a status request with something else")
                data = self._wire.read(chunk.length)
                if chunk.type == ChunkType.BLOCK_STATUS and data[:4] == protocol.U32(context).pack():
                    told += [(one.length, one.flags) for one in _extents(data[4:])]
                if chunk.flags & ChunkFlag.DONE:
                    break
        except HangUpError as error:
            raise self._broken("hung up") from error
        if not told or any(not stretch for stretch, _ in told):
            raise self._broken(f"says nothing of byte {start}")
        return told

    def _broken(self, what: str) -> ImageError:
        return ImageError(f"{self._name}: {what}")


def _extents(data: bytearray) -> Iterator[BlockStatus]:
    for at in range(0, len(data) - BlockStatus.SIZE + 1, BlockStatus.SIZE):
        yield BlockStatus.parse(data[at : at + BlockStatus.SIZE])


def _text(text: str) -> bytes:
    """A string with its length before it."""
    return protocol.U32(len(text.encode())).pack() + text.encode()
