"""A name server is asked over UDP. Any answer counts, a refusal too: what is watched is the way there and back."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, ClassVar

from virtkit.net.packets import dns
from virtkit.net.probes.probe import TRIES, Answer, Probe, holder

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.model import Network

PORT = 53  # UDP
MOST = 3  # name servers that the C library uses: MAXNS of resolv.conf(5)
LARGEST = 4096  # bytes read of an answer
# systemd-resolved listens on this host; the servers that it asks stand in the second file (systemd-resolved(8)).
RESOLV_CONF, RESOLVED_CONF = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
STUBS = {"127.0.0.53", "127.0.0.54"}


@dataclass(frozen=True)
class Dns(Probe):
    kind: ClassVar[str] = "dns"

    server: str  # may have a scope: ``fe80::1%eth0``
    port: str
    bridge: str

    def describe(self) -> str:
        return f"DNS server {self.server.partition('%')[0]}"

    def ask(self, network: Network, until: float) -> Answer:
        number, started = secrets.randbelow(1 << 16), time.monotonic()
        address = self._address(network)
        with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.connect(address)
            for turn in range(1, TRIES + 1):
                server.send(dns.query(number))
                said = _answer(server, number, started + (until - started) * turn / TRIES)
                if said:
                    after = (time.monotonic() - started) * 1000
                    return Answer(well=True, said=f"{self.describe()}: {said} after {after:.1f} ms")
        return Answer(well=False, said=f"{self.describe()}: no answer to {TRIES} queries")

    def _address(self, network: Network) -> tuple[str, int] | tuple[str, int, int, int]:
        """A scope that is port or bridge follows the addresses."""
        server, _, scope = self.server.partition("%")
        if not scope:
            return server, PORT
        link = holder(network, self.port, self.bridge) if scope in (self.port, self.bridge) else None
        return server, PORT, 0, link.index if link else socket.if_nametoindex(scope)


def servers(system: System) -> list[str]:
    """What resolv.conf(5) names, without servers on this host itself: these say nothing about the network."""
    named = _named(system.read_or(RESOLV_CONF, ""))
    if STUBS & set(named):
        named = _named(system.read_or(RESOLVED_CONF, ""))
    return [server for server in named if not ip_address(server).is_loopback]


def _named(text: str) -> list[str]:
    """The addresses of the first ``nameserver`` lines; others are not used by the C library either."""
    lines = [line.split() for line in text.splitlines()]
    named = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver" and _is_address(words[1])]
    return list(dict.fromkeys(named[:MOST]))


def _is_address(word: str) -> bool:
    try:
        ip_address(word)
    except ValueError:
        return False
    return True


def _answer(server: socket.socket, number: int, until: float) -> str | None:
    while (left := until - time.monotonic()) > 0:
        server.settimeout(left)
        try:
            said = dns.answer(server.recv(LARGEST), number)
        except TimeoutError:
            return None
        if said:
            return said
    return None
