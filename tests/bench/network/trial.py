"""One move under fire: pings of both families in both directions, and a TCP session that goes on meanwhile."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from netns import echo
from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.network.methods import Method
    from netns.lab import Lab

BEFORE, AFTER = 0.3, 1.5  # seconds; a bridge's carrier may come a second late
TCP_PORT, TCP_PATIENCE = 2200, 5


class Trial(NamedTuple):
    tallies: list[echo.Tally]  # peer to host IPv4, IPv6, host to peer IPv4, IPv6
    alive: bool  # the TCP session
    took: float  # seconds


def attempt(lab: Lab, method: Method, rate: int) -> Trial:
    method.prepare(lab)
    settle(lab)
    with _session(lab) as session:
        inward = echo.start(lab, lab.gateway, [HOST4, HOST6], rate)
        outward = echo.start(lab, lab.host, [GATEWAY4, GATEWAY6], rate)
        time.sleep(BEFORE)
        begin = time.monotonic()
        method.move(lab)
        took = time.monotonic() - begin
        time.sleep(AFTER)
        tallies = [*echo.finish(inward), *echo.finish(outward)]
        return Trial(tallies, session.lives(), took)


class _Session:
    """A client at the gateway, a server at the host, and a line back and forth."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._ends = (client, server)
        for end in self._ends:
            end.settimeout(TCP_PATIENCE)

    def lives(self) -> bool:
        client, server = self._ends
        try:
            for near, far in ((client, server), (server, client)):
                near.sendall(b"still there")
                if far.recv(100) != b"still there":
                    return False
        except OSError:
            return False
        return True


@contextmanager
def _session(lab: Lab) -> Iterator[_Session]:
    with lab.call(lambda: socket.create_server((HOST4, TCP_PORT))) as listening:
        there = replace(lab, host=lab.gateway)
        client = there.call(lambda: socket.create_connection((HOST4, TCP_PORT), timeout=TCP_PATIENCE))
        server, _ = listening.accept()
        with client, server:
            session = _Session(client, server)
            assert session.lives()
            yield session
