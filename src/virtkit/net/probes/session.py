"""The administrator's own SSH session, as the kernel's account of its TCP connection shows it. Nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.net.diag import Endpoint
from virtkit.net.kernel import Connections
from virtkit.net.probes.probe import Answer, Probe

if TYPE_CHECKING:
    from virtkit.net.diag import Connection
    from virtkit.net.model import Network

# The first repetition comes after 0.2 s at least, each next one after twice the time (RFC 6298, 5.5): two in a row are
# 0.6 s of silence or more.
STUCK = 2
IDLE = 2000  # milliseconds


@dataclass(frozen=True)
class SshSession(Probe):
    kind: ClassVar[str] = "session"

    client: str
    client_port: str
    server: str
    server_port: str

    def describe(self) -> str:
        return f"your SSH session from {self.client}"

    def ask(self, network: Network, until: float) -> Answer:
        near, far = Endpoint(self.server, int(self.server_port)), Endpoint(self.client, int(self.client_port))
        with Connections() as connections:
            found = connections.find(near, far)
        if found is None:  # whoever closed it: that is no failure of the way
            return Answer(well=None, said=f"{self.describe()}: has ended")
        return Answer(well=found.timeouts < STUCK, said=f"{self.describe()}: {_state(found)}")


def _state(found: Connection) -> str:
    if found.timeouts >= STUCK:
        return f"stuck: sent the same {found.timeouts} times again without an acknowledgement"
    ago = f"heard from {found.heard / 1000:.1f} s ago"
    return f"silent ({ago})" if found.unacknowledged or found.heard > IDLE else f"alive ({ago})"
