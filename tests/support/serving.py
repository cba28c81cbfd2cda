"""Images served over NBD: by the library in a thread, by the program in a process; and a client that may misbehave."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from virtkit import disk
from virtkit.disk.export import Export
from virtkit.disk.nbd.address import UnixAddress
from virtkit.disk.nbd.handshake import Offer
from virtkit.disk.nbd.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

READ, WRITE, DISC, FLUSH, TRIM, CACHE, WRITE_ZEROES, BLOCK_STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST_ZERO = (1 << bit for bit in range(5))
EPERM, EIO, EINVAL, ENOSPC, ENOTSUP = 1, 5, 22, 28, 95


class Served(NamedTuple):
    uri: str
    socket: Path
    server: Server


@contextmanager
def serve(image: Path, format_: str, *, write: bool = False, name: str = "", stalled: float = 60) -> Iterator[Served]:
    """In a thread of this process, which ends with the block."""
    address = UnixAddress(str(image.with_name("nbd.sock")))
    with disk.open(str(image), "r+" if write else "r", format_) as chain:
        server = Server(Offer(Export(chain), name, discard=write), address, stalled=stalled)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield Served(address.uri(name), Path(address.path), server)
        finally:
            server.stop()
            thread.join()


@contextmanager
def virtkit(folder: Path, *words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``virtkit disk serve`` in a process: (the URI that it prints, the process)."""
    command = [sys.executable, "-m", "virtkit", "disk", "serve", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        process.kill()
        process.communicate()


class Reply(NamedTuple):
    error: int
    data: bytes = b""
    status: tuple[tuple[int, int], ...] = ()  # (length, flags)
    chunks: int = 0


class Client:
    """Speaks the protocol as plainly as can be; ``connection`` is there to break it."""

    def __init__(self, path: Path, *, structured: bool = True, name: bytes = b"") -> None:
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(20)
        self.connection.connect(str(path))
        self.structured = structured
        self.greeting = self.take(18)
        self.connection.sendall(struct.pack(">I", 3))
        if structured:
            self.option(8)
            query = b"base:allocation"
            self.option(10, struct.pack(">I", len(name)) + name + struct.pack(">II", 1, len(query)) + query)
        answers = self.option(7, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))
        self.size, self.flags = next(struct.unpack(">QH", data[2:]) for _, data in answers if data[:2] == b"\0\0")

    def option(self, number: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """(type, data) of each answer; the last is ACK or an error."""
        self.connection.sendall(b"IHAVEOPT" + struct.pack(">II", number, len(data)) + data)
        answers: list[tuple[int, bytes]] = []
        while not answers or answers[-1][0] in {2, 3, 4}:
            _, _, kind, length = struct.unpack(">QIII", self.take(20))
            answers.append((kind, self.take(length)))
        return answers

    def ask(self, command: int, at: int = 0, length: int = 0, *, flags: int = 0, payload: bytes = b"") -> Reply:
        self.send(command, at, length, flags=flags, payload=payload)
        return self.reply(length if command == READ else 0)

    def send(self, command: int, at: int = 0, length: int = 0, *, flags: int = 0, payload: bytes = b"") -> None:
        self.connection.sendall(struct.pack(">IHHQQI", 0x25609513, flags, command, 77, at, length) + payload)

    def reply(self, length: int) -> Reply:
        magic = self.take(4)
        if magic == struct.pack(">I", 0x67446698):
            error, cookie = struct.unpack(">IQ", self.take(12))
            assert cookie == 77
            return Reply(error, b"" if error else self.take(length))
        return self._chunks(magic)

    def _chunks(self, magic: bytes) -> Reply:
        """Every byte has to come once, and every chunk has to be whole."""
        parts: dict[int, bytes] = {}
        status: tuple[tuple[int, int], ...] = ()
        error = chunks = done = 0
        while not done:
            assert (magic or self.take(4)) == struct.pack(">I", 0x668E33EF)
            magic = b""
            done, kind, cookie, length = struct.unpack(">HHQI", self.take(16))
            assert cookie == 77
            body, chunks = self.take(length), chunks + 1
            if kind == 1:
                parts[struct.unpack(">Q", body[:8])[0]] = body[8:]
            elif kind == 2:
                at, size = struct.unpack(">QI", body)
                parts[at] = bytes(size)
            elif kind == 5:
                status = tuple((size, flags) for size, flags in struct.iter_unpack(">II", body[4:]))
            elif kind & 0x8000:
                error = struct.unpack(">I", body[:4])[0]
        starts = sorted(parts)
        assert all(one + len(parts[one]) == two for one, two in pairwise(starts))
        return Reply(error, b"".join(parts[start] for start in starts), status, chunks)

    def take(self, length: int) -> bytes:
        taken = b""
        while len(taken) < length:
            more = self.connection.recv(length - len(taken))
            if not more:
                raise ConnectionError("the server has hung up")
            taken += more
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()
