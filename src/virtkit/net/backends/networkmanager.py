"""NetworkManager with profiles of its own (keyfiles), as RHEL 9, Fedora, and the desktops have it.

How its daemon takes what is in use is in ``networkmanager/taking``; the DHCP client then starts beside the address that
is there.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError
from virtkit.net import cloudinit, overseers
from virtkit.net.backend import Boot, File, Owner
from virtkit.net.model import FOREVER, IPV6
from virtkit.net.networkmanager import daemon, profiles, rendering, taking
from virtkit.net.networkmanager.rendering import Identity, Names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Wish
    from virtkit.net.networkmanager.keyfile import Keyfile
    from virtkit.net.networkmanager.profiles import Profile
    from virtkit.net.standing import Side

IFCFG = "/etc/sysconfig/network-scripts/"
INITRAMFS = "nm-initrd-generator"
PREFIX, LOWER_HALF = 64, (1 << 64) - 1  # bits of an advertised prefix; of an address, what is the host's
KNOWN_TYPES = profiles.ETHERNET_TYPES | profiles.STACKED_TYPES


class NetworkManager:
    title = "NetworkManager"
    precedence = 20
    further_port = "nmcli connection add type bridge-slave ifname {port} master {bridge}"

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
        writer = cloudinit.writer(system) if profile.writer == "cloud-init" else profile.writer
        writers = "; ".join(filter(None, (writer, *overseers.of(system, link))))
        return Owner("networkmanager", (profile.path,), because, writers)

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        self._check_checkpoints(system, wish.port)
        _check_keyfile(owner.files[0])
        old = profiles.read(system, owner.files[0])
        _check_profile(old, wish)
        uuid = profiles.new_uuid(system, wish.bridge)
        _check_name(system, wish.bridge, uuid)
        modern = daemon.version(system) >= daemon.CONTROLLERS
        names = Names(wish.bridge, wish.port, wish.mac, wish.mtu, modern, wish.forward_delay)
        bridge = rendering.bridge_file(old, names, _identity(system, wish), uuid)
        files = [File(_lasting(wish.bridge), bridge.text, taking.MODE)]
        if old.persistent and old.bound:
            return (*files, File(old.path, rendering.port_file(old, names).text))
        name = f"{wish.bridge}-port-{wish.port}"
        port = rendering.new_port_file(old, names, profiles.new_uuid(system, name))
        return (*files, File(_lasting(name), port.text, taking.MODE))

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
        if daemon.is_port(system, taking.known(system, port)):
            above, below = _pair(system, bridge, port)
            self._let_go(system, port, bridge, rendering.released_file(below, above), below.uuid)

    def escorts(self, system: System, link: str) -> bool:
        return True

    def introduce(self, system: System, port: str, bridge: str, report: Sink) -> None:
        link, owner, above = taking.kernel_link(bridge), self.owner(system, port), profiles.of_bridge(system, bridge)
        later = above or (profiles.read(system, owner.files[0]) if owner else None)
        uuid = above.uuid if above else profiles.new_uuid(system, bridge)
        empty = rendering.interim_bridge_file(bridge, link.mac, link.mtu, later.file if later else None)
        taking.tell(system, _passing(bridge), empty.extended("connection", [f"uuid={uuid}"]))
        taking.introduce(system, bridge, uuid)

    def dismiss(self, system: System, port: str, bridge: str, report: Sink) -> None:
        if above := profiles.of_bridge(system, bridge):
            taking.tell(system, _passing(bridge), rendering.interim_dying_file(above.file))

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        above = profiles.of_bridge(system, bridge)
        if above is None:
            self._take_alone(system, port, bridge)
            return
        _, below = _pair(system, bridge, port)
        self._forget(system, port, bridge, above.path, below.path)
        taking.take(system, bridge, above.uuid)
        taking.take_port(system, port, below.uuid, bridge)
        taking.await_lease(system, bridge, above.file)

    def let_go(self, system: System, port: str, bridge: str, report: Sink) -> None:
        if not daemon.is_port(system, daemon.settled(system, port)):
            taking.rejoin(port, bridge)
            return
        above, below = _pair(system, bridge, port)
        before = rendering.origin(above)
        if before != below.path and system.exists(before):
            alone = profiles.read(system, before)
            self._let_go(system, port, bridge, alone.file, alone.uuid)
        else:
            self._let_go(system, port, bridge, rendering.released_file(below, above), below.uuid)
        self.dismiss(system, port, bridge, report)

    def missing(self, system: System, port: str, bridge: str) -> str:
        above, giver = profiles.of_bridge(system, bridge), taking.known(system, port)
        if above is None:
            alone = profiles.by_uuid(system, giver.uuid)
            return taking.unleased(system, port, alone.file) if alone else f"{port} is {giver.said}, expected connected"
        holder, below = taking.known(system, bridge), profiles.of_port(system, above, port)
        if (holder.state, holder.uuid) != (daemon.ACTIVATED, above.uuid):
            return f"{bridge} is {holder.said}, expected connected by {above.path}: no DHCP client would run on it"
        if below is None or giver.uuid != below.uuid:
            return f"{port} is {giver.said}, expected connected as a port of {bridge}"
        return taking.not_port(system, port, bridge) or taking.unleased(system, bridge, above.file)

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        self.adopt(system, port, bridge, report)

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        """With a message bus of its own, and the leases that the host has in /var/lib/NetworkManager."""
        bus = ("dbus-daemon", "--system", "--fork", "--nopidfile")
        return Boot((("mkdir", "-p", "/run/dbus"), bus), ("NetworkManager", "--debug"), patience=20)

    def _let_go(self, system: System, port: str, bridge: str, alone: Keyfile, uuid: str) -> None:
        taking.tell(system, _passing(port), rendering.interim_port_file(alone, port))
        taking.let_go(system, port, bridge, uuid)

    def _take_alone(self, system: System, port: str, bridge: str) -> None:
        """No file makes a bridge any more."""
        self._forget(system, port, bridge, *map(_lasting, (bridge, f"{bridge}-port-{port}")))
        device = daemon.settled(system, port)
        if device.state != daemon.ACTIVATED or daemon.is_port(system, device):
            daemon.connect(system, port)
        active = taking.known(system, port).uuid
        taking.take(system, port, active)
        if own := profiles.by_uuid(system, active):
            taking.await_lease(system, port, own.file)

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


def _identity(system: System, wish: Wish) -> Identity:
    device = taking.known(system, wish.port)
    return Identity(
        taking.metrics(system, wish.held),
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


BACKEND = NetworkManager()
