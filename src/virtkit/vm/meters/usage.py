"""What a machine uses, from two looks at its counters."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from virtkit.vm.meters.counters import Counters, Disk, Memory, Nic
    from virtkit.vm.meters.place import Place


T = TypeVar("T", "Disk", "Nic")


class DiskRate(NamedTuple):
    """A second."""

    name: str
    read: float  # bytes
    write: float
    reads: float  # requests
    writes: float


class NicRate(NamedTuple):
    """Bytes a second."""

    name: str
    received: float  # by the guest
    sent: float


class Usage(NamedTuple):
    name: str
    uuid: str
    state: str
    cpu: float  # CPUs of the host that it keeps busy: 1.5 is one and a half
    busy: float  # the same as a part of its vCPUs, 0 to 1; QEMU's own threads may lead above 1
    steal: float | None  # parts of its vCPUs' time: ready, but the host's CPUs were busy; None: not told
    wait: float | None  # likewise: waiting for I/O
    vcpus: int
    memory: Memory
    place: Place
    disks: tuple[DiskRate, ...]
    nics: tuple[NicRate, ...]

    @property
    def read(self) -> float:
        return sum(disk.read for disk in self.disks)

    @property
    def write(self) -> float:
        return sum(disk.write for disk in self.disks)

    @property
    def received(self) -> float:
        return sum(nic.received for nic in self.nics)

    @property
    def sent(self) -> float:
        return sum(nic.sent for nic in self.nics)

    @property
    def resident(self) -> int:
        """Bytes of this host's memory: RSS, with huge pages."""
        return (self.place.resident or self.memory.rss) + self.place.huge


ORDERS = {  # what a person calls it -> the field
    "cpu": "cpu",
    "steal": "steal",
    "mem": "resident",
    "read": "read",
    "write": "write",
    "rx": "received",
    "tx": "sent",
    "name": "name",
}


def usage(before: Counters, now: Counters, place: Place) -> Usage:
    """Counters that went back (the machine was started anew) count as from nothing."""
    seconds = max(now.at - before.at, 1e-9)
    vcpus = max(len(now.vcpus), 1)
    busy = _grown(before.cpu, now.cpu) / seconds
    return Usage(
        name=now.name,
        uuid=now.uuid,
        state=now.state,
        cpu=busy,
        busy=busy / vcpus,
        steal=_part(before, now, "delay", seconds * vcpus),
        wait=_part(before, now, "wait", seconds * vcpus),
        vcpus=len(now.vcpus),
        memory=now.memory,
        place=place,
        disks=tuple(_disk(old, new, seconds) for old, new in _pairs(before.disks, now.disks)),
        nics=tuple(_nic(old, new, seconds) for old, new in _pairs(before.nics, now.nics)),
    )


def ordered(machines: Iterable[Usage], by: str, *, reverse: bool = False) -> list[Usage]:
    """The largest first, names from A; ``reverse``: the other way round. UsageError for an unknown order."""
    if by not in ORDERS:
        raise UsageError(f"order is {by}, expected one of {', '.join(ORDERS)}")
    named = sorted(machines, key=attrgetter("name"))
    if by == "name":
        return named[::-1] if reverse else named
    field = attrgetter(ORDERS[by])
    return sorted(named, key=lambda one: field(one) or 0, reverse=not reverse)


def _part(before: Counters, now: Counters, field: str, of: float) -> float | None:
    old = {vcpu.number: getattr(vcpu, field) for vcpu in before.vcpus}
    new = {vcpu.number: getattr(vcpu, field) for vcpu in now.vcpus}
    if not new or None in (*old.values(), *new.values()):
        return None
    return float(sum(_grown(old.get(number, value), value) for number, value in new.items()) / of)


def _disk(old: Disk, new: Disk, seconds: float) -> DiskRate:
    names = ("read_bytes", "write_bytes", "reads", "writes")
    return DiskRate(new.name, *(_grown(getattr(old, name), getattr(new, name)) / seconds for name in names))


def _nic(old: Nic, new: Nic, seconds: float) -> NicRate:
    return NicRate(new.name, _grown(old.received, new.received) / seconds, _grown(old.sent, new.sent) / seconds)


def _pairs(before: Sequence[T], now: Sequence[T]) -> list[tuple[T, T]]:
    """By name; one that was plugged in meanwhile has used nothing yet."""
    old = {each.name: each for each in before}
    return [(old.get(each.name, each), each) for each in now]


def _grown(before: float, now: float) -> float:
    return now - before if now >= before else now
