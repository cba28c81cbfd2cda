"""Whole Ethernet frames, sent and heard on one link (packet(7)); it needs CAP_NET_RAW."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

LARGEST = 2048  # bytes read of a frame; what is asked for has less than 100


class Frames:
    """OSError: no such link, it is down, or not permitted."""

    def __init__(self, link: str, kind: int) -> None:
        """``kind`` is the EtherType; frames that this host sends itself are not heard."""
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(kind))
        try:
            self._socket.bind((link, kind))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def heard(self, until: float) -> Iterator[bytes]:
        """Until ``until`` of time.monotonic, however many frames come."""
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                yield self._socket.recv(LARGEST)
            except TimeoutError:
                return
