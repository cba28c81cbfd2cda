"""Nobody else on the link may have an address of ours: duplicate detection by ARP probes (RFC 5227, 2.1).

The kernel does it for IPv6 by itself, and never for IPv4.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.net.probes.arp import Arp
from virtkit.net.probes.probe import Answer, holder

if TYPE_CHECKING:
    from virtkit.net.model import Network

ENOUGH = 0.3  # seconds: a station of the same link answers within some milliseconds


@dataclass(frozen=True)
class Unique(Arp):
    """Well means silence, so it always takes all of its time."""

    kind: ClassVar[str] = "unique"

    def describe(self) -> str:
        return f"{self.address} is this host's alone"

    def ask(self, network: Network, until: float) -> Answer:
        link = holder(network, self.port, self.bridge)
        if link is None:
            return Answer(well=None, said=f"{self.address}: nobody can be asked")
        twin = next(self._claims(link, None, min(until, time.monotonic() + ENOUGH)), None)
        said = f"{twin.mac} says that it is its own" if twin else "nobody else has it"
        return Answer(well=twin is None, said=f"{self.address} on {link.name}: {said}")
