"""A connection to somebody who may be slow, broken or hostile: exact reads, and an end to waiting."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer

STALLED = 60  # seconds without a byte, within a message, that end a connection
_DROPPED_AT_ONCE = 64 << 10  # bytes


class HangUpError(Exception):
    """The other side has gone, or is not worth waiting for."""


class Wire:
    def __init__(self, connection: socket.socket, stalled: float = STALLED) -> None:
        self._connection = connection
        self._stalled = stalled
        self._until: float | None = None
        self._limit(socket.SO_RCVTIMEO, stalled)
        self._limit(socket.SO_SNDTIMEO, stalled)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def finish_within(self, seconds: float | None) -> None:
        """All that is read from now on has to come by then; None: whenever it comes."""
        self._until = None if seconds is None else time.monotonic() + seconds
        self._limit(socket.SO_RCVTIMEO, self._stalled)

    def read(self, length: int) -> bytearray:
        """Exactly ``length`` bytes; HangUpError."""
        room = bytearray(length)
        self._fill(memoryview(room))
        return room

    def read_into(self, room: memoryview) -> None:
        """Fill all of it; HangUpError."""
        self._fill(room)

    def read_next(self, length: int) -> bytearray | None:
        """The next message of ``length`` bytes, however long it takes to begin; None where the client is done."""
        room = bytearray(length)
        while True:
            got = self._receive(memoryview(room))
            if got == 0:
                return None
            if got is not None:
                self._fill(memoryview(room)[got:])
                return room

    def drop(self, length: int) -> None:
        """Read and forget ``length`` bytes."""
        while length:
            length -= len(self.read(min(length, _DROPPED_AT_ONCE)))

    def send(self, *parts: Buffer) -> None:
        rest = [memoryview(part).cast("B") for part in parts]
        while rest:
            try:
                done = self._connection.sendmsg(rest)
            except OSError as error:
                raise HangUpError from error
            while rest and done >= len(rest[0]):
                done -= len(rest.pop(0))
            if rest:
                rest[0] = rest[0][done:]

    def _fill(self, room: memoryview) -> None:
        while room:
            got = self._receive(room)
            if not got:
                raise HangUpError
            room = room[got:]

    def _receive(self, room: memoryview) -> int | None:
        """How many bytes came; None: none for too long a time, 0: none will."""
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise HangUpError
            self._limit(socket.SO_RCVTIMEO, min(left, self._stalled))
        try:
            return self._connection.recv_into(room)
        except BlockingIOError:
            return None
        except OSError as error:
            raise HangUpError from error

    def _limit(self, option: int, seconds: float) -> None:
        whole, part = divmod(max(int(seconds * 1_000_000), 1), 1_000_000)
        self._connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, part))  # struct timeval
