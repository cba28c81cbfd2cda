"""What a guest's operating system needs and knows: libosinfo's database, read where the host has it.

Its files are XML, one for each system: https://gitlab.com/libosinfo/osinfo-db (schema: data/schema/osinfo.rng.in).
Directories and their order are libosinfo's own: what the administrator added comes first.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotFoundError
from virtkit.core.units import GIB, MIB
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.core.system import System
    from virtkit.vm.xml import Element

FOLDERS = ("/etc/osinfo/os", "/usr/local/share/osinfo/os", "/usr/share/osinfo/os")
LARGEST = 4 << 20  # bytes of a file; the longest of the real ones has 200 KB
DEEPEST = 40  # systems that one is derived from

VIRTIO_DISK = frozenset({"http://pcisig.com/pci/1af4/1001", "http://pcisig.com/pci/1af4/1042"})
VIRTIO_NET = frozenset({"http://pcisig.com/pci/1af4/1000", "http://pcisig.com/pci/1af4/1041"})
Q35 = "http://qemu.org/chipset/x86/q35"
_VIRTIO_1 = frozenset({"http://pcisig.com/pci/1af4/1042", "http://pcisig.com/pci/1af4/1041"})
_ANYWHERE = frozenset({"all", "x86_64"})
_KINDS = ("minimum", "recommended")
_NEEDS = ("ram", "n-cpus", "storage")  # bytes, number, bytes


class Guest(NamedTuple):
    """What a new machine for it gets unless somebody asks for something else."""

    short: str  # debian12; empty: unknown
    name: str
    memory: int  # bytes
    least_memory: int  # bytes that its maker asks for; 0: not known
    cpus: int
    storage: int  # bytes of an empty disk
    virtio_disk: bool
    virtio_net: bool
    modern: bool  # runs on q35, and knows virtio 1.0, which q35's devices speak, if it knows virtio at all
    efi_only: bool


UNKNOWN = Guest(
    short="",
    name="an unknown system",
    memory=2 * GIB,
    least_memory=0,
    cpus=2,
    storage=20 * GIB,
    virtio_disk=True,
    virtio_net=True,
    modern=True,
    efi_only=False,
)


class Database:
    """The systems by their URI, each read when it is first asked for."""

    def __init__(self, system: System) -> None:
        self._files = [path for folder in FOLDERS for path in _files(system.path(folder))]
        self._known: dict[str, Element] = {}
        self._shorts: dict[str, str] = {}  # short id -> URI

    def __bool__(self) -> bool:
        return bool(self._files)

    def guest(self, key: str) -> Guest:
        """By short id (debian12) or URI. NotFoundError names what is like it."""
        self._load()
        found = self._known.get(self._shorts.get(key, key))
        if found is None:
            like = self._like(key)
            told = f"expected one of {', '.join(like)}" if like else "expected a short id such as debian12"
            raise NotFoundError(f"{key}: is no system of libosinfo's database, {told}", hint="osinfo-query os")
        return self._described(found)

    def of_iso(self, volume: str) -> Guest | None:
        """The newest system whose installation medium has this volume label (ECMA-119 8.4.10)."""
        self._load()
        fits = [system for system in self._known.values() if _has_medium(system, volume)]
        fits.sort(key=lambda system: system.findtext("release-date", ""))
        return self._described(fits[-1]) if fits else None

    def _like(self, key: str) -> list[str]:
        """Short ids that differ in the version alone, the newest last."""
        stem = re.sub(r"[\d.]+$", "", key)
        found = {short: re.fullmatch(rf"{re.escape(stem)}([\d.]+)", short) for short in self._shorts}
        versions = {short: [int(part) for part in said[1].split(".") if part] for short, said in found.items() if said}
        return sorted(versions, key=lambda short: versions[short])[-8:]

    def _load(self) -> None:
        for path in self._files:
            for found in _systems(path):
                self._add(found)
        self._files = []
        for uri, found in self._known.items():
            self._shorts.update({(short.text or "").strip(): uri for short in found.findall("short-id")})

    def _add(self, found: Element) -> None:
        """What several files say of one system is said together: win-10.d/ has more of win-10.xml."""
        there = self._known.setdefault(found.get("id", ""), found)
        if there is not found:
            there.extend(found)

    def _described(self, found: Element) -> Guest:
        line = list(self._line(found))
        devices = self._devices(line)
        most = {name: max(_resource(line, kind, name) for kind in _KINDS) for name in _NEEDS}
        virtio = devices & (VIRTIO_DISK | VIRTIO_NET)
        return Guest(
            short=found.findtext("short-id", ""),
            name=found.findtext("name", ""),
            memory=max(most["ram"], 512 * MIB) if most["ram"] else UNKNOWN.memory,
            least_memory=_resource(line, "minimum", "ram"),
            cpus=most["n-cpus"] or UNKNOWN.cpus,
            storage=most["storage"] or UNKNOWN.storage,
            virtio_disk=bool(devices & VIRTIO_DISK),
            virtio_net=bool(devices & VIRTIO_NET),
            modern=bool(devices & _VIRTIO_1) or (Q35 in devices and not virtio),
            efi_only=any(_no_bios(each) for each in found.findall("firmware")),
        )

    def _line(self, found: Element) -> Iterator[Element]:
        """The system and those that it is derived from or a clone of, nearest first."""
        seen: set[str] = set()
        waiting = [found]
        while waiting and len(seen) < DEEPEST:
            system = waiting.pop(0)
            if system.get("id", "") in seen:
                continue
            seen.add(system.get("id", ""))
            yield system
            above = [each.get("id", "") for tag in ("derives-from", "clones") for each in system.findall(tag)]
            waiting += [self._known[uri] for uri in above if uri in self._known]

    def _devices(self, line: list[Element]) -> frozenset[str]:
        """The nearest system that speaks of a device decides."""
        said: dict[str, bool] = {}
        for system in line:
            for device in system.findall("devices/device"):
                said.setdefault(device.get("id", ""), device.get("removed") != "true")
        return frozenset(uri for uri, there in said.items() if there)


def _resource(line: list[Element], kind: str, name: str) -> int:
    """The number that the nearest system says of itself on this architecture; 0: none does."""
    for system in line:
        for resources in system.findall("resources"):
            said = resources.findtext(f"{kind}/{name}", "").strip()
            if resources.get("arch") in _ANYWHERE and said.isascii() and said.isdecimal():
                return int(said[:18])
    return 0


def _no_bios(firmware: Element) -> bool:
    said = (firmware.get("type"), firmware.get("supported"))
    return said == ("bios", "false") and firmware.get("arch") in _ANYWHERE


def _has_medium(system: Element, volume: str) -> bool:
    for medium in system.findall("media"):
        said = medium.findtext("iso/volume-id", "").strip()
        if said and medium.get("arch") in _ANYWHERE:
            with suppress(re.error):
                if re.fullmatch(said, volume):
                    return True
    return False


def _files(folder: Path) -> list[str]:
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".xml"))


def _systems(path: str) -> list[Element]:
    """None from a file that cannot be read or is no XML: an administrator's slip there is no reason to stop."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(LARGEST)).findall("os")
    except (OSError, UnicodeDecodeError, MachineError):
        return []
