"""Red Hat's network-scripts (RHEL up to 8, CentOS 7): /etc/sysconfig/network-scripts/ifcfg-*.

Scripts at boot, no daemon: nobody has to stand back or to adopt but the DHCP client that ``ifup`` left behind.
NetworkManager reads the same files; where it runs, only what says NM_CONTROLLED=no is the scripts'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.net import cloudinit, dhcpclient, processes
from virtkit.net.backend import Boot, Owner
from virtkit.net.backends.ifcfg import bridging, porting
from virtkit.net.backends.ifcfg.folder import SCRIPTS, Folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import File, Wish
    from virtkit.net.backends.ifcfg.shell import ShellFile

SERVICES = ("/etc/rc.d/init.d/network", "/etc/init.d/network", "/usr/lib/systemd/system/network.service")
RUNLEVELS = [f"{place}/rc{level}.d" for place in ("/etc/rc.d", "/etc") for level in "2345"]
WANTED = "/etc/systemd/system/multi-user.target.wants/network.service"
LEASES = "/var/lib/dhclient/dhclient{version}-{link}.leases"  # the first place where ifup-eth looks
FAMILIES = {"4": "", "6": "6"}


class Ifcfg:
    title = "network-scripts"
    precedence = 50
    further_port = "BRIDGE={bridge} into ifcfg-{port}"

    def owner(self, system: System, link: str) -> Owner | None:
        if not any(map(system.exists, SERVICES)) or not _starts(system):
            return None
        folder = Folder(system)
        file = folder.of(link)
        if file is None or file.known("ONBOOT").lower() in ("no", "n", "false", "off", "0"):
            return None
        managed = any(processes.running(system, ("NetworkManager",)))
        if managed and not file.is_false("NM_CONTROLLED"):
            return None
        why = "NM_CONTROLLED=no" if managed else "NetworkManager does not run"
        files = (file.path, *folder.aliases(link))
        because = f"{file.path} defines it, the network service starts at boot, and {why}"
        return Owner("ifcfg", files, because, _writer(system, file))

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        folder = Folder(system)
        dhcpclient.check(system, wish.port, _leased(folder.of(wish.port)), f"ifup {wish.port}")
        return bridging.bridged(folder, wish)

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        folder = Folder(system)
        dhcpclient.check(system, bridge, _leased(folder.of(bridge)), f"ifup {bridge}")
        return bridging.released(folder, bridge, port)

    def joined(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        return porting.added(Folder(system), bridge, port)

    def parted(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        return porting.removed(Folder(system), bridge, port)

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        """These files are shell: what bash says of their grammar. Nobody checks what they mean before a boot."""
        said = []
        for file in files:
            if file.text is None or "/ifcfg-" not in file.path:
                continue
            try:
                done = system.run(["bash", "-n"], text=file.text.encode("utf-8", "replace").decode(), check=False)
            except NotFoundError:
                return []
            said += [f"{file.path}: {line}" for line in done.stderr.splitlines()]
        return said

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        dhcpclient.hold(system, port, bridge)

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        _settle(system, port, bridge)

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        _settle(system, port, bridge)

    def missing(self, system: System, port: str, bridge: str) -> str:
        folder = Folder(system)
        holder, giver = _sides(folder, port, bridge)
        return dhcpclient.missing(system, giver, holder, _leased(folder.of(holder)))

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        """As the network service does it, for these two: links, then VLANs, then bridges."""
        folder = Folder(system)
        names = [f"ifcfg-{bridge}"]
        if file := folder.of(port):
            names.insert(0, file.path.rpartition("/")[2])
        ups = ((f"{SCRIPTS}/ifup", name, "boot") for name in names)
        return Boot((("sh", "-c", dhcpclient.IMPATIENT), *ups), patience=2)


def _settle(system: System, port: str, bridge: str) -> None:
    """The DHCP client follows the files, in either direction."""
    holder, giver = _sides(Folder(system), port, bridge)
    leases = {family: LEASES.format(version=version, link=holder) for family, version in FAMILIES.items()}
    dhcpclient.move(system, giver, holder, dhcpclient.Custom(leases))
    dhcpclient.resume(system, holder)


def _sides(folder: Folder, port: str, bridge: str) -> tuple[str, str]:
    return (bridge, port) if folder.of(bridge) else (port, bridge)


def _starts(system: System) -> bool:
    """Whether the service is started at boot."""
    linked = any(name.startswith("S") and name.endswith("network") for d in RUNLEVELS for name in system.names(d))
    return linked or system.exists(WANTED)


def _leased(file: ShellFile | None) -> list[str]:
    """The families, 4 and 6, whose addresses come from a DHCP server."""
    if file is None:
        return []
    four = ["4"] if file.known("BOOTPROTO").lower() in ("dhcp", "bootp") else []
    return [*four, *(["6"] if file.is_true("DHCPV6C") else [])]


def _writer(system: System, file: ShellFile) -> str:
    by_cloud_init = any("cloud-init" in line.raw for line in file.lines[:3])
    return cloudinit.writer(system) if by_cloud_init else ""


BACKEND = Ifcfg()
