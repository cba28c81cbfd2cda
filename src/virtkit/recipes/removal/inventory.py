"""All that a machine has: what goes with it, and what stays although it names it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from virtkit.recipes.seed import iso9660, nocloud
from virtkit.vm import homes, pools, templating
from virtkit.vm.snapshots.snapshot import of_machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.removal.shelf import Shelf
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Disk
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

PROFILES = "/etc/apparmor.d/libvirt"  # virt-aa-helper writes libvirt-UUID there, and nobody takes it away
BOOT_FILES = {"kernel": "vmlinuz", "initrd": "initrd.img"}  # NAME-vmlinuz, as vm create --tree names them


class _Told(NamedTuple):
    attribute: str  # that names it; empty: the element's text does
    why: str


_BESIDE = {
    "devices/filesystem/source": _Told("dir", "a directory that it shares with this host"),
    "devices/memory/source/path": _Told("", "the content of its NVDIMM"),
    "devices//encryption/secret": _Told("uuid", "a secret of libvirt's, its disk's passphrase: virsh secret-undefine"),
    "devices/serial[@type='file']/source": _Told("path", "what its serial port said"),
    "devices/console[@type='file']/source": _Told("path", "what its console said"),
}


class Item(NamedTuple):
    path: str  # real
    what: str
    image: bool = False


class Inventory:
    """Who else needs an item is not asked here."""

    def __init__(self, machine: Machine, libvirt: Connection, shelf: Shelf) -> None:
        self._machine, self._libvirt, self._shelf = machine, libvirt, shelf
        self.items: dict[str, Item] = {}  # by path, in the order in which a person thinks of them
        self.kept: dict[str, str] = {}  # path -> why
        self.devices: dict[str, str] = {}  # path -> what it is
        self.missing: dict[str, str] = {}  # path -> what it was
        self._snapshots = of_machine(machine)
        for domain in self._definitions():
            for each in domain.disks:
                self._disk(each)
            self._firmware(domain)
            self._beside(domain)
        self._of_snapshots()
        self._around()
        self._of_libvirt()

    def take_left_overlays(self, above: dict[str, set[str]]) -> None:
        """The overlays that going back to a snapshot left: only their names say whose they are."""
        names = {f"{self._machine.name}-{place.target}.{one.name}" for one in self._snapshots for place in one.places}
        waiting = [item.path for item in self.items.values() if item.image]
        while waiting:
            for heir in above.get(waiting.pop(), set()) - self.items.keys():
                stem = os.path.basename(heir).removesuffix(".qcow2")
                if names & {stem, stem.rpartition("-")[0]}:
                    self._add(heir, "left when the machine went back to a snapshot", image=True)
                    waiting.append(heir)

    def _definitions(self) -> Iterator[Domain]:
        """For the next start and, while it runs, as it is now; a template's disks are its own."""
        for domain in [self._machine.next_start(), *([self._machine.now()] if self._machine.active else [])]:
            templating.release(domain)
            yield domain

    def _disk(self, each: Disk) -> None:
        what, source = f"disk {each.target}", self._resolved(each)
        if each.type == "network" or (source and not source.startswith("/")):
            self.kept[source] = f"{what} is on the network"
        elif source and (each.device in {"cdrom", "floppy"} or each.read_only):
            if self._is_seed(source):
                self._add(source, "cloud-init seed")
            else:
                self.kept[source] = f"{what} only reads it"
        elif source and each.shareable:
            self.kept[source] = f"{what} is shared with whoever names it"
        elif source:
            self._add(source, what, image=True)

    def _resolved(self, each: Disk) -> str:
        """Where a volume is that is named by its pool."""
        node = each.node.find("source")
        if each.type != "volume" or node is None:
            return each.source
        return pools.volume(self._libvirt, node.get("pool", ""), node.get("volume", ""))

    def _is_seed(self, path: str) -> bool:
        if os.path.basename(path) != f"{self._machine.name}-seed.iso":
            return False
        try:
            with open(path, "rb") as file:
                return iso9660.volume_label(file.read((iso9660.SYSTEM_AREA + 1) * iso9660.BLOCK)) == nocloud.LABEL
        except OSError:
            return True  # gone already, or set aside

    def _firmware(self, domain: Domain) -> None:
        named = (domain.node.findtext("os/nvram") or "").strip()
        usual = homes.variables(self._libvirt.uri, self._machine.name) if domain.efi else ()
        for path in (named,) if named else usual:
            self._add(path, "UEFI variables")
        for tag, own in BOOT_FILES.items():
            path = (domain.node.findtext(f"os/{tag}") or "").strip()
            if os.path.basename(path) == f"{self._machine.name}-{own}":
                self._add(path, f"its {tag}")
            elif path:
                self.kept[path] = f"its {tag}, which others may boot, too"

    def _beside(self, domain: Domain) -> None:
        """What no disk is: it may hold anybody's data."""
        for path, told in _BESIDE.items():
            for node in domain.node.findall(path):
                if named := node.get(told.attribute, "") if told.attribute else (node.text or "").strip():
                    self.kept[named] = told.why

    def _of_snapshots(self) -> None:
        for one in self._snapshots:
            for place in one.places:
                for path in filter(None, (place.base, place.overlay)):
                    self._add(path, f"disk {place.target} of snapshot {one.name}", image=True)
            if one.memory_file:
                self._add(one.memory_file, f"memory of snapshot {one.name}")

    def _around(self) -> None:
        """What an image consists of, and what it stands on: that is the machine's own if a snapshot of its says so."""
        for item in [each for each in self.items.values() if each.image]:
            info = self._shelf.look(item.path)
            for part in info.files if info else ():
                self._add(part, f"part of {item.path}")
            for path in self._shelf.below(item.path):
                if path not in self.items:
                    self.kept[path] = f"{item.path} stands on it, and no snapshot of {self._machine.name} made it"

    def _of_libvirt(self) -> None:
        home, name, uuid = homes.of(self._libvirt.uri), self._machine.name, self._machine.uuid
        self._add(f"{home.memories}/{name}.save", "saved memory")
        self._add(f"{home.tpms}/{uuid}", "TPM state", folder=True)
        self._add(f"{PROFILES}/libvirt-{uuid}", "AppArmor profile")
        self._add(f"{PROFILES}/libvirt-{uuid}.files", "AppArmor profile")

    def _add(self, path: str, what: str, *, image: bool = False, folder: bool = False) -> None:
        """A regular file, or a directory of libvirt's own; a link goes with the file that it leads to."""
        real = os.path.realpath(path)
        if os.path.islink(path) and os.path.isfile(real):
            self.items.setdefault(path, Item(path, f"link to {real}"))
        try:
            mode = os.stat(real).st_mode
        except OSError:
            mode = 0 if not os.path.lexists(aside(real, self._machine.uuid)) else stat.S_IFREG
        if not mode:
            if image:
                self.missing[real] = what
        elif stat.S_ISBLK(mode):
            self.devices.setdefault(path, what)
        elif stat.S_ISREG(mode) or (folder and stat.S_ISDIR(mode)):
            self.items.setdefault(real, Item(real, what, image))
        else:
            self.kept[path] = f"{what} is a directory, or no file at all"


def aside(path: str, uuid: str) -> str:
    """The name that a file has between being there and being gone: hidden, and no other machine's."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.removed-{uuid[:8]}")
