"""Debian's ifupdown, and ifupdown2 as Proxmox VE has it: /etc/network/interfaces. No daemon runs: scripts at boot do.

So there is nobody to stand back or to adopt but the DHCP client that ``ifup`` left behind, and ifupdown's own memory
of what it brought up, by which a later ``ifdown br0`` finds the bridge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net import cloudinit, dhcpclient
from virtkit.net.backend import Boot, File, Owner
from virtkit.net.backends.ifupdown import bridging, porting, state
from virtkit.net.backends.ifupdown.syntax import matches
from virtkit.net.backends.ifupdown.tree import MAIN, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Wish
    from virtkit.net.backends.ifupdown.tree import Tree

IFUPDOWN2 = "/usr/share/ifupdown2"
HOOKS = ("/etc/network/if-pre-up.d/bridge", "/lib/bridge-utils/ifupdown.sh", "/sbin/brctl")
CLASSES = ("auto", "hotplug")
PROXMOX = "/etc/pve"
PROXMOX_VE = "Proxmox VE when the network is changed in its web interface (which knows a bridge as vmbrN)"
PENDING = "/etc/network/interfaces.new"  # of Proxmox VE: applied at the next start, or by hand


class Ifupdown:
    title = "ifupdown"
    precedence = 40
    further_port = "{port} to bridge_ports of {bridge}"

    def owner(self, system: System, link: str) -> Owner | None:
        """Nobody's is a link that is only defined, or was brought up by hand: it does not come up at boot."""
        if not system.exists(MAIN) or not (system.exists(state.IFUP) or system.exists(IFUPDOWN2)):
            return None
        tree = load(system)
        stanzas = [stanza for stanza in tree.stanzas() if stanza.name == link or stanza.name.startswith(f"{link}:")]
        chosen = _chosen(tree, link)
        if not chosen or not tree.named(link):
            return None
        files = tuple(dict.fromkeys([*(stanza.path for stanza in stanzas), *chosen]))
        up = f", and {state.IFSTATE} has it" if link in state.brought_up(system) else ""
        because = f"{tree.named(link)[0].place} defines it, and it comes up at boot{up}"
        return Owner("ifupdown", files, because, _writer(system, files))

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        _check_host(system)
        tree = load(system)
        dhcpclient.check(system, wish.port, _leased(tree, wish.port), f"ifup --force {wish.port}")
        return _files(bridging.bridged(tree, wish, _dialect(system)))

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        _check_host(system)
        tree = load(system)
        dhcpclient.check(system, bridge, _leased(tree, bridge), f"ifup --force {bridge}")
        return _files(bridging.released(tree, bridge, port))

    def joined(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        _check_host(system)
        return _files(porting.joined(load(system), bridge, port))

    def parted(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        _check_host(system)
        return _files(porting.parted(load(system), bridge, port))

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        """What ``ifup --no-act`` says of every link that these files define; ifupdown2's own parser has no dry run."""
        if not system.exists(state.IFQUERY) or system.exists(IFUPDOWN2):
            return []
        tree = load(system, {file.path: file.text for file in files})
        names = {stanza.name for file in files for stanza in tree.documents[file.path].stanzas()}
        return _said(system, tree, sorted(names - {"lo"}))

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        dhcpclient.hold(system, port, bridge)

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        self._settle(system, port, bridge)

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        self._settle(system, port, bridge)

    def missing(self, system: System, port: str, bridge: str) -> str:
        tree = load(system)
        holder, giver = (bridge, port) if tree.named(bridge) else (port, bridge)
        if missing := dhcpclient.missing(system, giver, holder, _leased(tree, holder)):
            return missing
        known = state.brought_up(system)
        if not system.exists(IFUPDOWN2) and port in known and holder not in known:
            return f"{state.IFSTATE} does not have {holder}"
        return ""

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        """As networking.service and udev's hotplug helper do, for the links that have to do with these two."""
        tree = load(system)
        names = _concerned(tree, port, bridge)
        prepared = (("mkdir", "-p", "/run/network"), ("sh", "-c", dhcpclient.IMPATIENT))
        if system.exists(IFUPDOWN2):
            return Boot((*prepared, (state.IFUP, *names)), patience=2)
        return Boot((*prepared, *((state.IFUP, f"--allow={kind}", *names) for kind in CLASSES)), patience=2)

    def _settle(self, system: System, port: str, bridge: str) -> None:
        """Client and memory follow the files, in either direction."""
        tree = load(system)
        holder, giver = (bridge, port) if tree.named(bridge) else (port, bridge)
        if dhcpclient.running(system, giver):
            custom = dhcpclient.Custom(dhcpcd=state.dhcpcd(system, tree.flat, holder))
            dhcpclient.move(system, giver, holder, custom)
        dhcpclient.resume(system, holder)
        known = state.brought_up(system)
        if system.exists(IFUPDOWN2) or not {port, bridge} & known.keys():
            return
        names = {stanza.name for stanza in tree.stanzas()}
        wanted = [name for name in names if _base(name) == holder]
        gone = [name for name in known if _base(name) in (port, bridge) and name not in (*names, port)]
        state.remember(system, sorted(wanted), sorted(gone))


def _writer(system: System, files: Sequence[str]) -> str:
    if system.exists(PROXMOX):
        return PROXMOX_VE
    by_cloud_init = any(path.rpartition("/")[2].startswith("50-cloud-init") for path in files)
    return cloudinit.writer(system) if by_cloud_init else ""


def _base(name: str) -> str:
    return name.partition(":")[0]


def _concerned(tree: Tree, port: str, bridge: str) -> list[str]:
    """The two, their aliases, and what the port stands on, in the order in which they are brought up."""
    lower = [port.rpartition(".")[0], *_words(tree, port, "vlan_raw_device", "bond_slaves", "slaves")]
    lower += [stanza.name for stanza in tree.stanzas() if port in stanza.values("bond_master")]
    order = [word for _, _, line in tree.selections() for word in line.words[1:]]
    names = dict.fromkeys([*order, *(stanza.name for stanza in tree.stanzas())])
    return [name for name in names if _base(name) in (port, bridge, *lower) and tree.named(name)]


def _words(tree: Tree, link: str, *options: str) -> list[str]:
    return [word for stanza in tree.named(link) for value in stanza.values(*options) for word in value.split()]


def _chosen(tree: Tree, link: str) -> list[str]:
    """The files that have the link brought up at boot, or when it is plugged in."""
    return [
        path
        for path, _, line in tree.selections()
        if line.keyword == "auto" or line.keyword in ("allow-auto", "allow-hotplug")
        if any(matches(word, link) for word in line.words[1:])
    ]


def _dialect(system: System) -> bridging.Dialect:
    return bridging.IFUPDOWN2 if system.exists(IFUPDOWN2) else bridging.DEBIAN


def _files(texts: Mapping[str, str]) -> tuple[File, ...]:
    return tuple(File(path, text) for path, text in texts.items())


def _check_host(system: System) -> None:
    if system.exists(PENDING):
        reason = "changes that wait there would be lost, or undo these"
        raise BusyError(f"{PENDING}: is there: {reason}", hint=f"ifreload -a, or rm {PENDING}")
    if system.exists(IFUPDOWN2):
        return
    if absent := [hook for hook in HOOKS if not system.exists(hook)]:
        reason = "without bridge-utils no bridge is made at boot, and the host would be dead then"
        raise NotSupportedError(f"{absent[0]}: is missing: {reason}", hint="apt install bridge-utils")


def _leased(tree: Tree, link: str) -> list[str]:
    """The families, 4 and 6, whose addresses come from a DHCP server."""
    found = {(stanza.family, stanza.method) for stanza in tree.named(link)}
    return [number for family, number in (("inet", "4"), ("inet6", "6")) if (family, "dhcp") in found]


def _said(system: System, tree: Tree, names: Sequence[str]) -> list[str]:
    done = state.rehearsed(system, tree.flat, names)
    said = [line.removeprefix("ifup: ") for line in done.stderr.splitlines() if line]
    return said if done.status else []


BACKEND = Ifupdown()
