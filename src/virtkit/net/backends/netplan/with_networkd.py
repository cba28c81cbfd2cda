"""networkd adopts what netplan rendered for it into /run/systemd/network."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.core.progress import silent
from virtkit.net import standing
from virtkit.net.backend import Boot, File
from virtkit.net.backends.netplan.rendering import GENERATE, NETWORKD, PATIENCE
from virtkit.net.kernel import Kernel
from virtkit.net.mending import mend
from virtkit.net.networkd import state, takeover, twins

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backends.netplan.renderer import Roles
    from virtkit.net.standing import Side

LATER = 0.5  # seconds after which a reload has begun to configure what it finds changed
POLL = 0.1  # seconds
RUNTIME = "/run/systemd/netif"
IDENTITY = """\
# The number by which DHCP servers know {port}, where the bridge now asks. netplan has no word for it.
[DHCPv4]
IAID={iaid}

[DHCPv6]
IAID={iaid}
"""


class WithNetworkd:
    empties = False

    def pins(self, system: System, held: Side) -> list[tuple[str, str]]:
        return []

    def additions(self, system: System, port: str, bridge: str) -> list[File]:
        """Netplan's own way for what it cannot say: a drop-in to the file that it renders."""
        iaid = state.iaid(system, port)
        return [File(_drop_in(bridge), IDENTITY.format(port=port, iaid=iaid))] if iaid is not None else []

    def leftovers(self, system: System, bridge: str) -> list[File]:
        return [File(_drop_in(bridge), None)] if system.exists(_drop_in(bridge)) else []

    def stand_back(self, system: System, roles: Roles, port: str) -> None:
        """It lets a link go without answering; but a port that leaves its bridge would be put back."""
        if system.exists(f"/sys/class/net/{port}/master"):
            self._settle(system, roles)
            takeover.keep_out(system, port)

    def _settle(self, system: System, roles: Roles) -> None:
        """Each daemon-reload of systemd has netplan write its files anew, and networkd's next reload takes them up."""
        if not _rewritten(system, roles):
            return
        with Kernel() as kernel:
            before = standing.side_of(kernel.network(), roles.holder)
            takeover.take_over(system, _network(roles), roles.holder, roles.others, silent)
            time.sleep(LATER)
            deadline = time.monotonic() + PATIENCE
            while self.missing(system, roles) and time.monotonic() < deadline:
                time.sleep(POLL)
            mend(kernel, before)

    def introduce(self, system: System, roles: Roles, bridge: str) -> None:
        """It takes over later what stands."""

    def dismiss(self, system: System, roles: Roles, bridge: str) -> None:
        """It makes a bridge anew only when it is told to reload, and then from the new files."""

    def adopt(self, system: System, roles: Roles, report: Sink) -> None:
        """Also after an undo: then the port has layer 3 again."""
        system.run(GENERATE, timeout=PATIENCE)
        takeover.take_over(system, _network(roles), roles.holder, roles.others, report)

    def let_go(self, system: System, roles: Roles, port: str) -> None:
        self.stand_back(system, roles, port)

    def missing(self, system: System, roles: Roles) -> str:
        return takeover.waiting(system, roles.holder, roles.others) if state.running(system) else ""

    def boot(self, system: System) -> Boot:
        folders = [f"{RUNTIME}/{name}" for name in ("links", "leases", "lldp")]
        owned = ("install", "-d", "-o", "systemd-network", "-g", "systemd-network", RUNTIME, *folders)
        return Boot((GENERATE, owned), (state.program(system),), fitting=twins.__name__)


def _network(roles: Roles) -> str:
    return f"{NETWORKD}/10-netplan-{roles.definition}.network"


def _rewritten(system: System, roles: Roles) -> bool:
    """Since networkd took over, of which a drop-in is left; after a start of the host, since networkd last spoke."""
    index = system.read_or(f"/sys/class/net/{roles.holder}/ifindex", "")
    marks = map(system.path, (takeover.keeper(_network(roles)), f"{state.LINKS}/{index}"))
    mark = next((place.stat().st_mtime_ns for place in marks if place.exists()), 0)
    file = system.path(_network(roles))
    return bool(mark) and file.exists() and file.stat().st_mtime_ns > mark


def _drop_in(bridge: str) -> str:
    return f"/etc/systemd/network/10-netplan-{bridge}.network.d/50-virtkit.conf"
