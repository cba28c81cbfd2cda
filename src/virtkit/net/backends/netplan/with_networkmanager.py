"""NetworkManager adopts the profiles that netplan rendered for it below /run.

They have no UUID of their own there, so NetworkManager makes it from the file's name: what stands in that file for a
passing moment is the same profile as what netplan puts there next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.net.backend import Boot
from virtkit.net.backends.netplan.rendering import GENERATE, PATIENCE, PROFILES
from virtkit.net.networkmanager import daemon, profiles, rendering, taking

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import File
    from virtkit.net.backends.netplan.renderer import Roles
    from virtkit.net.networkmanager.profiles import Profile
    from virtkit.net.standing import Side


class WithNetworkManager:
    empties = True

    def pins(self, system: System, held: Side) -> list[tuple[str, str]]:
        """A bridge's routes come after an Ethernet link's by default, and netplan has no word for it.

        BusyError where NetworkManager does not run: it could neither take the bridge nor give the port back.
        """
        taking.known(system, held.name)
        metrics = zip(("ipv4", "ipv6"), taking.metrics(system, held), strict=True)
        said = ", ".join(f'{family}.route-metric: "{metric}"' for family, metric in metrics if metric)
        return [("networkmanager", f"{{passthrough: {{{said}}}}}")] if said else []

    def additions(self, system: System, port: str, bridge: str) -> list[File]:
        return []

    def leftovers(self, system: System, bridge: str) -> list[File]:
        return []

    def stand_back(self, system: System, roles: Roles, port: str) -> None:
        """It brings back no address that somebody took away. But off a port that leaves its bridge it takes all."""
        if roles.others and daemon.is_port(system, taking.known(system, port)):
            above, below = (_profile(system, name) for name in (roles.definition, roles.port_definition))
            alone = rendering.released_file(below, above)
            taking.tell(system, below.path, rendering.interim_port_file(alone, port))
            taking.let_go(system, port, roles.bridge, _uuid(system, roles.port_definition))

    def introduce(self, system: System, roles: Roles, bridge: str) -> None:
        link = taking.kernel_link(bridge)
        later = _profile(system, roles.definition if roles.others else roles.port_definition)
        taking.tell(system, _path(bridge), rendering.interim_bridge_file(bridge, link.mac, link.mtu, later.file))
        taking.introduce(system, bridge, _uuid(system, bridge))

    def dismiss(self, system: System, roles: Roles, bridge: str) -> None:
        if system.exists(_path(bridge)):
            dying = rendering.interim_dying_file(_profile(system, bridge).file)
            taking.tell(system, _path(bridge), dying)

    def adopt(self, system: System, roles: Roles, report: Sink) -> None:
        system.run(GENERATE, timeout=PATIENCE)
        daemon.load(system, [_path(name) for name in dict.fromkeys((roles.bridge, roles.port_definition))])
        taking.take(system, roles.holder, _uuid(system, roles.definition))
        for port in roles.others:
            taking.take_port(system, port, _uuid(system, roles.port_definition), roles.holder)
        taking.await_lease(system, roles.holder, _profile(system, roles.definition).file)

    def let_go(self, system: System, roles: Roles, port: str) -> None:
        if not daemon.is_port(system, daemon.settled(system, port)):
            taking.rejoin(port, roles.bridge)
        self.stand_back(system, roles, port)
        self.dismiss(system, roles, roles.bridge)

    def missing(self, system: System, roles: Roles) -> str:
        holder = taking.known(system, roles.holder)
        if (holder.state, holder.uuid) != (daemon.ACTIVATED, _uuid(system, roles.definition)):
            return f"{roles.holder} is {holder.said}, expected connected by netplan-{roles.definition}"
        for port in roles.others:
            if missing := taking.not_port(system, port, roles.holder):
                return missing
        return taking.unleased(system, roles.holder, _profile(system, roles.definition).file)

    def boot(self, system: System) -> Boot:
        """With a message bus of its own, and the leases that the host has in /var/lib/NetworkManager."""
        bus = ("dbus-daemon", "--system", "--fork", "--nopidfile")
        return Boot((GENERATE, ("mkdir", "-p", "/run/dbus"), bus), ("NetworkManager", "--debug"), patience=20)


def _path(definition: str) -> str:
    return f"{PROFILES}/netplan-{definition}{profiles.SUFFIX}"


def _profile(system: System, definition: str) -> Profile:
    return profiles.read(system, _path(definition))


def _uuid(system: System, definition: str) -> str:
    shown = daemon.nmcli(system, "-t", "-e", "no", "-f", "UUID,FILENAME", "connection", "show")
    known = {path: uuid for uuid, _, path in (line.partition(":") for line in shown.splitlines())}
    if _path(definition) not in known:
        raise NotFoundError(f"{_path(definition)}: NetworkManager does not know this profile", hint="nmcli connection")
    return known[_path(definition)]
