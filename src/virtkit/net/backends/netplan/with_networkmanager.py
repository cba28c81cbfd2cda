"""NetworkManager adopts the profiles that netplan rendered for it below /run.

They have no UUID of their own there, so NetworkManager makes it from the file's name: what stands in that file for a
passing moment is the same profile as what netplan puts there next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.net.backend import Boot
from virtkit.net.backends.netplan.rendering import GENERATE, PATIENCE, PROFILES
from virtkit.net.kernel import Kernel
from virtkit.net.networkmanager import daemon, profiles, reapplying, rendering

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import File
    from virtkit.net.backends.netplan.renderer import Roles
    from virtkit.net.networkmanager.daemon import Device
    from virtkit.net.networkmanager.keyfile import Keyfile
    from virtkit.net.networkmanager.profiles import Profile

MODE = 0o600  # NetworkManager does not read a profile that others may read
EMPTY = """\
[connection]
id=netplan-{bridge}
type=bridge
interface-name={bridge}
autoconnect=false

[bridge]
forward-delay=0
stp=false

[ethernet]
cloned-mac-address={mac}
mtu={mtu}

[ipv4]
method=disabled

[ipv6]
{ipv6}
"""


class WithNetworkManager:
    empties = True

    def pins(self, system: System, port: str) -> list[tuple[str, str]]:
        """A bridge's routes come after an Ethernet link's by default, and netplan has no word for it.

        BusyError where NetworkManager does not run: it could neither take the bridge nor give the port back.
        """
        _known(system, port)
        kept = daemon.device_file(system, port)
        metric = kept.get("device", "route-metric-default-effective", "") if kept else ""
        if not metric:
            return []
        said = ", ".join(f'{family}.route-metric: "{metric}"' for family in ("ipv4", "ipv6"))
        return [("networkmanager", f"{{passthrough: {{{said}}}}}")]

    def additions(self, system: System, port: str, bridge: str) -> list[File]:
        return []

    def leftovers(self, system: System, bridge: str) -> list[File]:
        return []

    def stand_back(self, system: System, roles: Roles, port: str) -> None:
        """It brings back no address that somebody took away. But off a port that leaves its bridge it takes all."""
        self._leave(system, roles, port, rendering.stand_in_file)

    def introduce(self, system: System, roles: Roles, bridge: str) -> None:
        """The bridge is its own before that holds anything: taking it later costs up to 1.4 s."""
        with Kernel() as kernel:
            link = kernel.link(bridge)
        if link is None:
            raise NotFoundError(f"{bridge}: no such link")
        method = rendering.method_of(_profile(system, roles.port_definition).file, "ipv6")
        ipv6 = f"method={method if method in {'ignore', 'disabled'} else 'link-local'}"
        text = EMPTY.format(bridge=bridge, mac=link.mac, mtu=link.mtu, ipv6=ipv6)
        system.replace(_path(bridge), text.encode(), MODE)
        reapplying.detect(system, bridge, "0")
        daemon.load(system, [_path(bridge)])
        daemon.activate(system, _uuid(system, bridge), bridge)

    def adopt(self, system: System, roles: Roles, report: Sink) -> None:
        system.run(GENERATE, timeout=PATIENCE)
        daemon.load(system, [_path(name) for name in dict.fromkeys((roles.bridge, roles.port_definition))])
        holder = _known(system, roles.holder)
        if not roles.others:
            with reapplying.without_detection(system, roles.holder):
                reapplying.reapply(system, holder, roles.holder)
            return
        uuid = _uuid(system, roles.definition)
        if holder.uuid == uuid:
            daemon.wait(lambda: _unfinished(system, roles.holder))
            reapplying.reapply(system, holder, roles.holder)
        else:
            daemon.activate(system, uuid, roles.holder)
        (port,) = roles.others
        if not daemon.is_port(system, _known(system, port)):
            daemon.activate(system, _uuid(system, roles.port_definition), port)
        daemon.wait(lambda: _unleased(system, roles))
        reapplying.detect(system, roles.holder, reapplying.mode(system, port))

    def let_go(self, system: System, roles: Roles, port: str) -> None:
        if self._leave(system, roles, port, rendering.released_file):
            daemon.deactivate(system, _uuid(system, roles.definition))

    def missing(self, system: System, roles: Roles) -> str:
        holder = _known(system, roles.holder)
        if (holder.state, holder.uuid) != (daemon.ACTIVATED, _uuid(system, roles.definition)):
            return f"{roles.holder} is {holder.said}, expected connected by netplan-{roles.definition}"
        for port in roles.others:
            if not daemon.is_port(system, _known(system, port)):
                return f"{port} is {_known(system, port).said}, expected connected as a port of {roles.holder}"
        return _unleased(system, roles)

    def boot(self, system: System) -> Boot:
        """With a message bus of its own, and the leases that the host has in /var/lib/NetworkManager."""
        bus = ("dbus-daemon", "--system", "--fork", "--nopidfile")
        return Boot((GENERATE, ("mkdir", "-p", "/run/dbus"), bus), ("NetworkManager", "--debug"), patience=20)

    def _leave(self, system: System, roles: Roles, port: str, render: Callable[[Profile, Profile], Keyfile]) -> bool:
        """NetworkManager takes its port out of the bridge and sets it up as that is. False: it has no port there."""
        if not roles.others or not daemon.is_port(system, _known(system, port)):
            return False
        above, below = (_profile(system, name) for name in (roles.definition, roles.port_definition))
        system.replace(below.path, render(below, above).text.encode("utf-8", "surrogateescape"), MODE)
        daemon.load(system, [below.path])
        with reapplying.without_detection(system, port):
            daemon.activate(system, _uuid(system, roles.port_definition), port)
        return True


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


def _known(system: System, link: str) -> Device:
    device = daemon.device(system, link)
    if device is None:
        raise NotFoundError(f"{link}: NetworkManager does not know it", hint="nmcli device")
    return device


def _unfinished(system: System, link: str) -> str:
    """Before the carrier has come NetworkManager has not taken it."""
    device = _known(system, link)
    return "" if device.state == daemon.ACTIVATED else f"{link} is {device.said}, expected connected"


def _unleased(system: System, roles: Roles) -> str:
    """What is missing where the profile's addresses come from a DHCP server."""
    if unfinished := _unfinished(system, roles.holder):
        return unfinished
    device, file = _known(system, roles.holder), _profile(system, roles.definition).file
    if rendering.method_of(file, "ipv4") == "auto" and not device.lease4:
        return f"no DHCP client on {roles.holder}"
    if rendering.method_of(file, "ipv6") == "dhcp" and not device.lease6:
        return f"no DHCPv6 client on {roles.holder}"
    return ""
