"""Asking the stations of a link for an address, as ARP and neighbour discovery do alike.

The link is the one that the route leads over at that moment: a gateway is followed from the port to the bridge.
"""

from __future__ import annotations

import socket
import time
from abc import abstractmethod
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from virtkit.net.frames import Frames
from virtkit.net.model import MAIN_TABLE
from virtkit.net.probes.probe import TRIES, Answer, Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.model import Link, Network
    from virtkit.net.packets.claim import Claim


class Heard(NamedTuple):
    mac: str
    after: float  # milliseconds


@dataclass(frozen=True)
class Gateway(Probe):
    privileged: ClassVar[bool] = True
    family: ClassVar[int]
    ethertype: ClassVar[int]
    questions: ClassVar[str]

    address: str
    port: str
    bridge: str

    def describe(self) -> str:
        return f"gateway {self.address}"

    @abstractmethod
    def _question(self, mac: bytes, sender: bytes | None, target: bytes) -> bytes:
        """A frame; without a sender where this host has no address yet that can be used."""

    @abstractmethod
    def _claim(self, frame: bytes) -> Claim | None:
        """None: the frame says nothing about anybody's address."""

    def ask(self, network: Network, until: float) -> Answer:
        link = self._way(network)
        if link is None:
            return Answer(well=False, said=f"{self.describe()}: no route leads to it any more")
        found = next(self._claims(link, self._sender(network, link), until), None)
        said = f"answers after {found.after:.1f} ms" if found else f"no answer to {TRIES} {self.questions}"
        return Answer(well=found is not None, said=f"{self.describe()} on {link.name}: {said}")

    def _claims(self, link: Link, sender: bytes | None, until: float) -> Iterator[Heard]:
        """All others that say that the address is theirs, for as long as the caller listens."""
        own, target = bytes.fromhex(link.mac.replace(":", "")), socket.inet_pton(self.family, self.address)
        question, started = self._question(own, sender, target), time.monotonic()
        with Frames(link.name, self.ethertype) as frames:
            for turn in range(1, TRIES + 1):
                frames.send(question)
                asked = time.monotonic()
                for frame in frames.heard(started + (until - started) * turn / TRIES):
                    claim = self._claim(frame)
                    if claim and claim.address == target and claim.mac != own:
                        yield Heard(claim.mac.hex(":"), (time.monotonic() - asked) * 1000)

    def _way(self, network: Network) -> Link | None:
        """Of port and bridge the one with the first route over the gateway, those of the main table first."""
        routes = sorted(network.routes, key=lambda route: route.table != MAIN_TABLE)
        hops = [hop.index for route in routes for hop in route.nexthops if hop.gateway == self.address]
        links = [network.by_index[index] for index in hops if index in network.by_index]
        return next((link for link in links if link.name in (self.port, self.bridge)), None)

    def _sender(self, network: Network, link: Link) -> bytes | None:
        """The address of ours that the gateway knows its way back to."""
        target = ip_address(self.address)
        usable = [a.local for a in network.addresses_of(link) if a.family == self.family and not a.tentative]
        near = [a.local for a in network.addresses_of(link) if a.local in usable and target in ip_network(a.network)]
        found = next(iter([*near, *usable]), None)
        return socket.inet_pton(self.family, found) if found else None
