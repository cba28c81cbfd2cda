"""Which .network files there are, in the order in which systemd-networkd tries them (systemd.network(5)).

Of files with one name the first directory's counts; of all that are left the first one that matches a link.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.files import text_of
from virtkit.net import hardware
from virtkit.net.networkd import unitfile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.system import System
    from virtkit.net.networkd.unitfile import Entry

PLACE = "/etc/systemd/network"
DIRECTORIES = (
    PLACE,
    "/run/systemd/network",
    "/usr/local/lib/systemd/network",
    "/usr/lib/systemd/network",
    "/lib/systemd/network",
)
MASK = "/dev/null"


class Traits(NamedTuple):
    """By what a link is found. None: not known here; empty: it has none."""

    name: str
    mac: str
    permanent_mac: str
    type: str
    driver: str | None
    properties: Mapping[str, str] | None = None  # udev's


@dataclass(frozen=True)
class NetworkFile:
    """A file with its drop-ins, which are read after it."""

    path: str
    text: str
    drop_ins: tuple[tuple[str, str], ...] = ()  # path, text

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @cached_property
    def entries(self) -> list[Entry]:
        return [entry for text in (self.text, *(text for _, text in self.drop_ins)) for entry in unitfile.parse(text)]

    @property
    def matching(self) -> list[str]:
        """The keys by which it finds its links."""
        return list(dict.fromkeys(entry.key for entry in self.entries if entry.section == "Match" and entry.key))

    def values(self, section: str, key: str) -> list[str]:
        return unitfile.values(self.entries, section, key)

    def patterns(self, key: str) -> list[str]:
        """Of ``[Match]``; an exclamation mark in front of a line is one in front of each of its words."""
        found: list[str] = []
        for value in (entry.value for entry in self.entries if (entry.section, entry.key) == ("Match", key)):
            mark = "!" if value.startswith("!") else ""
            found = [*found, *(mark + word for word in value.removeprefix("!").split())] if value else []
        return found

    def may_match(self, link: Traits) -> bool:
        """False only for a file that certainly leaves the link alone."""
        keys = [key for key in self.matching if self.values("Match", key)]
        return bool(keys) and all(self._may(key, link) for key in keys)

    def must_match(self, link: Traits) -> bool:
        """True only for a file that certainly finds the link."""
        return self.may_match(link) and set(self.matching) <= {"Name", "MACAddress", "PermanentMACAddress", "Type"}

    def _may(self, key: str, link: Traits) -> bool:
        wanted = self.patterns(key)
        if key in {"MACAddress", "PermanentMACAddress"}:
            return (link.mac if key == "MACAddress" else link.permanent_mac) in map(plain_mac, wanted)
        if key == "Property":
            return link.properties is None or all(_has(link.properties, word) for word in wanted)
        path = None if link.properties is None else link.properties.get("ID_PATH", "")
        known = {"Name": link.name, "Type": link.type, "Driver": link.driver, "Path": path}.get(key)
        return known is None or matches(wanted, known)


def traits(system: System, name: str) -> Traits:
    folder = f"/sys/class/net/{name}"
    mac = system.read_or(f"{folder}/address", "")
    found = [
        line.partition("=")[2] for line in system.read_or(f"{folder}/uevent", "").splitlines() if "DEVTYPE=" in line
    ]
    card = hardware.of(system, name)
    return Traits(name, mac, mac, found[0] if found else "ether", card.driver or None, card.properties or None)


def bridge_traits(name: str, mac: str) -> Traits:
    return Traits(name, mac, "", "bridge", "bridge")


def _has(properties: Mapping[str, str], word: str) -> bool:
    """``KEY=pattern``, or ``!KEY=pattern`` for whoever has it not."""
    key, _, pattern = word.removeprefix("!").partition("=")
    return fnmatchcase(properties.get(key, ""), pattern) != word.startswith("!")


def matches(patterns: Sequence[str], value: str) -> bool:
    """One of them says yes, or there are only those that say no, and none of them does."""
    met = [pattern for pattern in patterns if fnmatchcase(value, pattern.removeprefix("!"))]
    if any(pattern.startswith("!") for pattern in met):
        return False
    return bool(met) or all(pattern.startswith("!") for pattern in patterns)


def plain_mac(text: str) -> str:
    """``52:54:00:aa:00:11`` for this, ``52-54-00-AA-00-11`` and ``5254.00aa.0011``."""
    digits = "".join(filter(str.isalnum, text.lower()))
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def network_files(system: System) -> list[NetworkFile]:
    return [load(system, path) for path in paths(system, "", ".network") if text(system, path)]


def netdev_names(system: System) -> dict[str, str]:
    """The names of the devices that files make -> file."""
    found = {}
    for path in paths(system, "", ".netdev"):
        for name in unitfile.values(unitfile.parse(text(system, path)), "NetDev", "Name"):
            found[name] = path
    return found


def load(system: System, path: str) -> NetworkFile:
    """Empty files and links to /dev/null among the drop-ins hide those of the same name."""
    name = path.rpartition("/")[2]
    drop_ins = ((found, text(system, found)) for found in paths(system, f"{name}.d/", ".conf"))
    return NetworkFile(path, text(system, path), tuple((found, said) for found, said in drop_ins if said))


def paths(system: System, folder: str, suffix: str) -> list[str]:
    """In the order of their names, whatever their directory."""
    by_name: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in system.names(f"{directory}/{folder}"):
            if name.endswith(suffix) and not name.startswith("."):
                by_name.setdefault(name, f"{directory}/{folder}{name}")
    return [by_name[name] for name in sorted(by_name)]


def text(system: System, path: str) -> str:
    """A link to /dev/null would lead out of a test's root."""
    found = system.path(path)
    return "" if found.is_symlink() and str(found.readlink()) == MASK else text_of(system, path) or ""
