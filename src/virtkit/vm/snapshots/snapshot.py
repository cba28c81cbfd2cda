"""One snapshot: https://libvirt.org/formatsnapshot.html."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError
from virtkit.vm.devices import Disk
from virtkit.vm.library import Handle
from virtkit.vm.xml import Element, Integer, Text, View, parse, text

if TYPE_CHECKING:
    from virtkit.vm.machine import Machine

INTERNAL, EXTERNAL = "internal", "external"
# virDomainSnapshotCreateFlags
REDEFINE, CURRENT, DISK_ONLY, QUIESCE, ATOMIC, LIVE = 1, 2, 16, 64, 128, 256


class Place(NamedTuple):
    """One disk of a snapshot."""

    target: str  # vda
    base: str  # the file that has the state
    format: str  # of the base
    overlay: str  # the file that the machine went on in; empty: the base itself (internal)


class Snapshot(View):
    name = Text("name")
    description = Text("description")
    parent = Text("parent/name")
    state = Text("state")  # of the machine, as running; disk-snapshot: of its disks alone
    created = Integer("creationTime")  # seconds since 1970
    memory_file = Text("memory@file")
    memory_kind = Text("memory@snapshot")  # no, internal, external

    def __init__(self, node: Element, *, current: bool = False) -> None:
        super().__init__(node)
        self.current = current

    @classmethod
    def parse(cls, document: str, *, current: bool = False) -> Snapshot:
        return cls(parse(document), current=current)

    def text(self) -> str:
        return text(self.node)

    @property
    def kinds(self) -> frozenset[str]:
        """Of its parts; more than one: somebody mixed them."""
        parts = [node.get("snapshot", "") for node in self.node.findall("disks/disk")]
        return frozenset(kind for kind in (*parts, self.memory_kind) if kind in (INTERNAL, EXTERNAL))

    @property
    def kind(self) -> str:
        return "+".join(sorted(self.kinds))

    @property
    def memory(self) -> bool:
        """Whether the machine goes on where it was; else it starts."""
        return self.memory_kind in (INTERNAL, EXTERNAL)

    @property
    def places(self) -> tuple[Place, ...]:
        """The disks that it keeps."""
        then = {disk.target: disk for disk in map(Disk, self.node.findall("domain/devices/disk"))}
        found = []
        for node in self.node.findall("disks/disk"):
            disk = then.get(node.get("name", ""))
            if disk is not None and node.get("snapshot") in (INTERNAL, EXTERNAL):
                source = node.find("source")
                overlay = "" if source is None else source.get("file") or source.get("dev") or ""
                found.append(Place(disk.target, disk.source, disk.format or "raw", overlay))
        return tuple(found)

    @property
    def start(self) -> Element | None:
        """The XML that the machine would have started with, then."""
        inactive = self.node.find("inactiveDomain")
        return self.node.find("domain") if inactive is None else inactive

    def move_overlay(self, target: str, file: str) -> None:
        """The machine goes on in ``file`` instead."""
        for source in self.node.findall(f"disks/disk[@name='{target}']/source"):
            source.set("file", file)


def of_machine(machine: Machine) -> tuple[Snapshot, ...]:
    """Parents before their children, else by age."""
    handles = [Handle(raw, machine.name) for raw in machine.ask(list, "listAllSnapshots", 0)]
    found = [_read(each) for each in handles]
    return tuple(sorted(found, key=lambda one: (_depth(one, found), one.created)))


def find(machine: Machine, name: str) -> Snapshot | None:
    return next((one for one in of_machine(machine) if one.name == name), None)


def named(machine: Machine, name: str) -> Snapshot:
    """NotFoundError names those that there are."""
    if (found := find(machine, name)) is None:
        there = ", ".join(one.name for one in of_machine(machine)) or "none"
        hint = f"virtkit vm snapshot {machine.name} list"
        raise NotFoundError(f"{machine.name}: snapshot is {name}, expected one of {there}", hint=hint)
    return found


def handle(machine: Machine, name: str) -> Handle:
    """The object of libvirt's."""
    return Handle(machine.ask(object, "snapshotLookupByName", name, 0), f"{machine.name}, snapshot {name}")


def _read(each: Handle) -> Snapshot:
    return Snapshot.parse(each.ask(str, "getXMLDesc", 0), current=bool(each.ask(int, "isCurrent", 0)))


def _depth(one: Snapshot, among: list[Snapshot]) -> int:
    above = next((other for other in among if other.name == one.parent), None)
    return 0 if above is None else 1 + _depth(above, among)
