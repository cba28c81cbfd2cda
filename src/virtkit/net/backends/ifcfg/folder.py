"""/etc/sysconfig/network-scripts: which file defines which link, and what else goes by its name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.files import text_of
from virtkit.net.backends.ifcfg.shell import ShellFile, read

if TYPE_CHECKING:
    from virtkit.core.system import System

SCRIPTS = "/etc/sysconfig/network-scripts"
NETWORK = "/etc/sysconfig/network"
ROUTES6 = "/etc/sysconfig/static-routes-ipv6"
IGNORED = ("~", ".bak", ".old", ".orig", ".rpmnew", ".rpmorig", ".rpmsave")  # is_ignored_file
MOST_FILES, MOST_BYTES = 2000, 1 << 20
PREFIXES = ("route", "route6", "rule", "rule6")
CLIENTS = ("/etc/dhcp/dhclient", "/etc/dhcp/dhclient6", "/etc/dhclient", "/etc/dhclient6")


@dataclass(frozen=True)
class Folder:
    system: System

    @cached_property
    def files(self) -> dict[str, ShellFile]:
        """Of the links: without aliases (``eth0:1``) and ranges, as the network service goes through them."""
        names = [
            name for name in self.system.names(SCRIPTS) if name.startswith("ifcfg-") and not name.endswith(IGNORED)
        ]
        if len(names) > MOST_FILES:
            raise NotSupportedError(f"{SCRIPTS}: has {len(names)} ifcfg files, expected at most {MOST_FILES}")
        return {name: self._read(f"{SCRIPTS}/{name}") for name in names if ":" not in name and "-range" not in name}

    def of(self, link: str) -> ShellFile | None:
        """The file that sets up a link. NotSupportedError where several do."""
        found = [file for name, file in self.files.items() if self.device(name, file) == link]
        if len(found) > 1:
            raise NotSupportedError(f"{link}: is defined by {' and '.join(file.path for file in found)}, expected one")
        return found[0] if found else None

    def device(self, name: str, file: ShellFile) -> str:
        """DEVICE, else the link with this HWADDR, else what the file is called after."""
        if device := file.known("DEVICE"):
            return device
        if mac := file.known("HWADDR").lower():
            for link in self.system.names("/sys/class/net"):
                if self.system.read_or(f"/sys/class/net/{link}/address", "") == mac:
                    return link
        return name.removeprefix("ifcfg-")

    def aliases(self, link: str) -> list[str]:
        """Paths of ``ifcfg-eth0:1`` and ``ifcfg-eth0-range0``."""
        starts = (f"ifcfg-{link}:", f"ifcfg-{link}-range")
        names = self.system.names(SCRIPTS)
        return [f"{SCRIPTS}/{name}" for name in names if name.startswith(starts) and not name.endswith(IGNORED)]

    def companions(self, link: str, file: ShellFile) -> dict[str, list[str]]:
        """By what stands before the link's name: the paths of routes, rules and the DHCP client's configuration.

        They go by the link's name, or by that of its file (ifup-routes).
        """
        names = dict.fromkeys([link, file.path.rpartition("ifcfg-")[2]])
        found = {f"{SCRIPTS}/{prefix}-": [f"{SCRIPTS}/{prefix}-{name}" for name in names] for prefix in PREFIXES}
        found |= {f"{client}-": [f"{client}-{link}.conf"] for client in CLIENTS}
        there = {before: [path for path in paths if self.system.exists(path)] for before, paths in found.items()}
        return {before: paths for before, paths in there.items() if paths}

    def text(self, path: str) -> str:
        return text_of(self.system, path) or ""

    def mode(self, path: str) -> int:
        """The permission bits, for the file that takes another's place."""
        return self.system.path(path).stat().st_mode & 0o7777

    def _read(self, path: str) -> ShellFile:
        text = self.text(path)
        if len(text) > MOST_BYTES:
            raise NotSupportedError(f"{path}: is larger than {MOST_BYTES >> 20} MiB")
        return read(path, text)
