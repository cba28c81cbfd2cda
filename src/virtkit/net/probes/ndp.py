"""An IPv6 gateway is asked by neighbour solicitations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.net.model import IPV6
from virtkit.net.packets import ethernet, ndp
from virtkit.net.probes.neighbour import Gateway

if TYPE_CHECKING:
    from virtkit.net.packets.claim import Claim


@dataclass(frozen=True)
class Ndp(Gateway):
    """The bridge's own link-local address is under detection for a second after the move: then nobody is the sender."""

    kind: ClassVar[str] = "ndp"
    family: ClassVar[int] = IPV6
    ethertype: ClassVar[int] = ethernet.IPV6
    questions: ClassVar[str] = "neighbour solicitations"

    def _question(self, mac: bytes, sender: bytes | None, target: bytes) -> bytes:
        return ndp.solicitation(mac, sender or ndp.UNSPECIFIED, target)

    def _claim(self, frame: bytes) -> Claim | None:
        return ndp.parse(frame)
