"""NetworkManager with profiles of its own (keyfiles), as RHEL 9, Fedora, and the desktops have it.

Taking a bridge that is in use costs 0.3 to 1.4 s, because NetworkManager empties a link before it activates a profile
on it. So it takes the bridge while that is empty still, and later only *reapplies* the profile, which by then has
layer 3: nothing goes down, and the DHCP client starts beside the address that is there.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError
from virtkit.net.backend import Boot, File, Owner
from virtkit.net.kernel import Kernel
from virtkit.net.model import FOREVER, IPV6
from virtkit.net.networkmanager import daemon, profiles, reapplying, rendering
from virtkit.net.networkmanager.rendering import Identity, Names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Wish
    from virtkit.net.networkmanager.daemon import Device
    from virtkit.net.networkmanager.keyfile import Keyfile
    from virtkit.net.networkmanager.profiles import Profile
    from virtkit.net.standing import Side

MODE = 0o600  # NetworkManager does not read a profile that others may read
IFCFG = "/etc/sysconfig/network-scripts/"
INITRAMFS = "nm-initrd-generator"
PREFIX, LOWER_HALF = 64, (1 << 64) - 1  # bits of an advertised prefix; of an address, what is the host's
KNOWN_TYPES = profiles.ETHERNET_TYPES | profiles.STACKED_TYPES


class NetworkManager:
    title = "NetworkManager"
    precedence = 20

    def owner(self, system: System, link: str) -> Owner | None:
        """Not ours: ``connected (externally)`` and netplan's profiles. Ours, to be refused: ifcfg files."""
        kept = daemon.device_file(system, link)
        if kept is None or kept.get("device", "managed") != "true":
            return None
        device = daemon.device(system, link)
        if device is None or device.state <= daemon.DISCONNECTED:
            return None
        profile = profiles.by_uuid(system, device.uuid)
        if profile is None:
            path = daemon.file_of(system, device.uuid)
            foreign = f"an ifcfg profile is active on it ({path})"
            return Owner("networkmanager", (path,), foreign) if path.startswith(IFCFG) else None
        if profile.external or profile.netplan:
            return None
        because = f"profile {profile.id!r} is active on it ({profile.path})"
        return Owner("networkmanager", (profile.path,), because, profile.writer)

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        self._check_checkpoints(system, wish.port)
        _check_keyfile(owner.files[0])
        old = profiles.read(system, owner.files[0])
        _check_profile(old, wish)
        uuid = profiles.new_uuid(system, wish.bridge)
        _check_name(system, wish.bridge, uuid)
        names = _names(system, wish.bridge, wish.port, wish.mac, wish.mtu)
        bridge = rendering.bridge_file(old, names, _identity(system, wish), uuid)
        files = [File(_lasting(wish.bridge), bridge.text, MODE)]
        if old.persistent and old.bound:
            return (*files, File(old.path, rendering.port_file(old, names).text))
        name = f"{wish.bridge}-port-{wish.port}"
        port = rendering.new_port_file(old, names, profiles.new_uuid(system, name))
        return (*files, File(_lasting(name), port.text, MODE))

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        self._check_checkpoints(system, port)
        above, below = _pair(system, bridge, port)
        return File(above.path, None), File(below.path, rendering.released_file(below, above).text)

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        said = ((file.path, daemon.check_offline(system, file.text)) for file in files if file.text is not None)
        return [f"{path}: {problem}" for path, problem in said if problem]

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """It brings back no address that somebody took away. But off a port that leaves its bridge it takes all."""
        self._check_checkpoints(system, port)
        if daemon.is_port(system, _known(system, port)):
            self._leave(system, port, bridge, rendering.stand_in_file)

    def escorts(self, system: System, link: str) -> bool:
        return True

    def introduce(self, system: System, port: str, bridge: str, report: Sink) -> None:
        owner = self.owner(system, port)
        old = profiles.read(system, owner.files[0]) if owner else None
        with Kernel() as kernel:
            link = kernel.link(bridge)
        if link is None:
            raise NotFoundError(f"{bridge}: no such link")
        uuid, path = profiles.new_uuid(system, bridge), _passing(bridge)
        empty = rendering.empty_bridge_file(_names(system, bridge, port, link.mac, link.mtu), old, uuid)
        system.replace(path, empty.text.encode(), MODE)
        reapplying.detect(system, bridge, "0")
        daemon.load(system, [path])
        daemon.activate(system, uuid, bridge)

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        above = profiles.of_bridge(system, bridge)
        if above is None:
            self.take_back(system, port, bridge, report)
            with reapplying.without_detection(system, port):
                reapplying.reapply(system, _known(system, port), port)
            return
        _, below = _pair(system, bridge, port)
        self._forget(system, port, bridge, above.path, below.path)
        holder = _known(system, bridge)
        if holder.uuid == above.uuid:
            daemon.wait(lambda: _unfinished(system, bridge))
            reapplying.reapply(system, holder, bridge)
        else:
            daemon.activate(system, above.uuid, bridge)
        if not daemon.is_port(system, _known(system, port)):
            daemon.activate(system, below.uuid, port)
        daemon.wait(lambda: _unleased(system, above, bridge))
        reapplying.detect(system, bridge, reapplying.mode(system, port))

    def let_go(self, system: System, port: str, bridge: str, report: Sink) -> None:
        if not daemon.is_port(system, daemon.settled(system, port)):
            return
        above, below = _pair(system, bridge, port)
        before = rendering.origin(above)
        if before != below.path and system.exists(before):
            with reapplying.without_detection(system, port):
                daemon.activate(system, profiles.read(system, before).uuid, port)
        else:
            self._leave(system, port, bridge, rendering.released_file)
        reapplying.await_addresses(port, bridge)
        daemon.deactivate(system, above.uuid)

    def missing(self, system: System, port: str, bridge: str) -> str:
        above, giver = profiles.of_bridge(system, bridge), _known(system, port)
        if above is None:
            alone = profiles.by_uuid(system, giver.uuid)
            return _unleased(system, alone, port) if alone else f"{port} is {giver.said}, expected connected"
        holder, below = _known(system, bridge), profiles.of_port(system, above, port)
        if (holder.state, holder.uuid) != (daemon.ACTIVATED, above.uuid):
            return f"{bridge} is {holder.said}, expected connected by {above.path}: no DHCP client would run on it"
        if below is None or giver.uuid != below.uuid or not daemon.is_port(system, giver):
            return f"{port} is {giver.said}, expected connected as a port of {bridge}"
        return _unleased(system, above, bridge)

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """It never let go of the port, or has it again already (``let_go``), unless it was broken off in between."""
        names = (bridge, f"{bridge}-port-{port}")
        self._forget(system, port, bridge, *map(_lasting, names))
        device = daemon.settled(system, port)
        if device.state != daemon.ACTIVATED or daemon.is_port(system, device):
            daemon.connect(system, port)

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        """With a message bus of its own, and the leases that the host has in /var/lib/NetworkManager."""
        bus = ("dbus-daemon", "--system", "--fork", "--nopidfile")
        return Boot((("mkdir", "-p", "/run/dbus"), bus), ("NetworkManager", "--debug"), patience=20)

    def _leave(self, system: System, port: str, bridge: str, render: Callable[[Profile, Profile], Keyfile]) -> None:
        """NetworkManager takes its port out of the bridge, and sets it up as that is."""
        above, below = _pair(system, bridge, port)
        path, alone = _passing(port), render(below, above)
        system.replace(path, alone.text.encode("utf-8", "surrogateescape"), MODE)
        daemon.load(system, [path])
        with reapplying.without_detection(system, port):
            daemon.activate(system, below.uuid, port)

    def _forget(self, system: System, port: str, bridge: str, *paths: str) -> None:
        """What was told for a passing moment; ``paths`` and the port's own profile are read in its place."""
        passing = [path for path in (_passing(bridge), _passing(port)) if system.exists(path)]
        for path in passing:
            system.remove(path)
        device = daemon.device(system, port)
        own = profiles.by_uuid(system, device.uuid) if device else None
        daemon.load(system, list(dict.fromkeys([*passing, *paths, *([own.path] if own else [])])))

    def _check_checkpoints(self, system: System, port: str) -> None:
        mine = daemon.device(system, port)
        for found in daemon.checkpoints(system):
            if mine is None or not found.devices or mine.path in found.devices:
                name = found.path.rpartition("/")[2]
                ends = f"ends in {found.left} s" if found.left else "does not end by itself"
                reason = "another program is changing the network, and this would be put back with that"
                text = f"{port}: is in checkpoint {name} of NetworkManager, which {ends}: {reason}"
                raise BusyError(text, hint=f"wait for its end, or end it: {daemon.destroy_command(found)}")


def _check_keyfile(path: str) -> None:
    if path.startswith(IFCFG):
        reason = "NetworkManager reads it through its plug-in ifcfg-rh, which new versions no longer have"
        raise NotSupportedError(f"{path}: {reason}; expected a keyfile", hint="nmcli connection migrate")


def _check_profile(old: Profile, wish: Wish) -> None:
    if INITRAMFS in old.writer:
        reason = "the initramfs makes it anew at each start, from the kernel's command line"
        hint = f"nmcli connection clone {old.id!r} {wish.port}, and take ip= off the command line"
        raise NotSupportedError(f"{old.path}: {reason}", hint=hint)
    if old.type not in KNOWN_TYPES:
        kinds = ", ".join(sorted(KNOWN_TYPES))
        raise NotSupportedError(f"{old.path}: type is {old.type}, expected one of {kinds}")
    if old.controller:
        raise BusyError(f"{old.path}: is a port of {old.controller} already")


def _check_name(system: System, bridge: str, uuid: str) -> None:
    """At the next start two profiles would both make it."""
    for other in profiles.all_of(system):
        if other.uuid != uuid and (other.link == bridge or other.path == _lasting(bridge)):
            hint = f"nmcli connection delete {other.uuid}"
            raise BusyError(f"{other.path}: is a profile for {bridge} already, expected none", hint=hint)


def _pair(system: System, bridge: str, port: str) -> tuple[Profile, Profile]:
    """The lasting profiles of the bridge and of its port."""
    above = profiles.of_bridge(system, bridge)
    below = profiles.of_port(system, above, port) if above else None
    if above is None or below is None:
        missing = f"{port} a port of {bridge}" if above else bridge
        raise NotFoundError(f"{profiles.PERSISTENT}: no profile makes {missing}", hint="nmcli connection show")
    return above, below


def _lasting(name: str) -> str:
    return f"{profiles.PERSISTENT}/{name}{profiles.SUFFIX}"


def _passing(link: str) -> str:
    return f"{profiles.RUNTIME}/virtkit-{link}{profiles.SUFFIX}"


def _names(system: System, bridge: str, port: str, mac: str, mtu: int) -> Names:
    return Names(bridge, port, mac, mtu, daemon.version(system) >= daemon.CONTROLLERS)


def _known(system: System, link: str) -> Device:
    device = daemon.device(system, link)
    if device is None:
        raise NotFoundError(f"{link}: NetworkManager does not know it", hint="nmcli device")
    return device


def _identity(system: System, wish: Wish) -> Identity:
    kept, device = daemon.device_file(system, wish.port), _known(system, wish.port)
    metric = kept.get("device", "route-metric-default-effective", "0") if kept else "0"
    return Identity(
        int(metric),
        device.lease4.get("dhcp_client_identifier", ""),
        device.lease6.get("dhcp6_client_id", ""),
        _number(device.lease6.get("iaid", "")),
        _token(wish.held),
    )


def _number(octets: str) -> str:
    """``2b:50:67:35`` as a profile has it."""
    return str(int(octets.replace(":", ""), 16)) if octets else ""


def _token(held: Side) -> str:
    """Of the first address that a router's advertisement led to; NetworkManager makes these itself."""
    for address in held.addresses:
        leased = address.valid != FOREVER and not {"temporary", "deprecated"} & set(address.flags)
        if address.family == IPV6 and address.prefix_length == PREFIX and leased:
            return str(IPv6Address(int(IPv6Address(address.local)) & LOWER_HALF))
    return ""


def _unfinished(system: System, link: str) -> str:
    """Before the carrier has come NetworkManager has not taken it."""
    device = _known(system, link)
    return "" if device.state == daemon.ACTIVATED else f"{link} is {device.said}, expected connected"


def _unleased(system: System, profile: Profile, link: str) -> str:
    """What is missing where the profile's addresses come from a DHCP server."""
    if unfinished := _unfinished(system, link):
        return unfinished
    device = _known(system, link)
    if rendering.method_of(profile.file, "ipv4") == "auto" and not device.lease4:
        return f"no DHCP client on {link}"
    if rendering.method_of(profile.file, "ipv6") == "dhcp" and not device.lease6:
        return f"no DHCPv6 client on {link}"
    return ""


BACKEND = NetworkManager()
