"""An IPv4 gateway is asked by ARP requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.net.model import IPV4
from virtkit.net.packets import arp, ethernet
from virtkit.net.probes.neighbour import Gateway

if TYPE_CHECKING:
    from virtkit.net.packets.claim import Claim


@dataclass(frozen=True)
class Arp(Gateway):
    kind: ClassVar[str] = "arp"
    family: ClassVar[int] = IPV4
    ethertype: ClassVar[int] = ethernet.ARP
    questions: ClassVar[str] = "ARP requests"

    def _question(self, mac: bytes, sender: bytes | None, target: bytes) -> bytes:
        return arp.request(mac, sender or arp.NOBODY, target)

    def _claim(self, frame: bytes) -> Claim | None:
        return arp.parse(frame)
