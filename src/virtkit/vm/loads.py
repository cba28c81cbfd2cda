"""What machines do per second: two looks at their counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeVar

    from virtkit.vm.counters import CardCounters, Counters, DiskCounters, Round

    Named = TypeVar("Named", CardCounters, DiskCounters)

_NANO = 1e9


class DiskLoad(NamedTuple):
    name: str
    read: float  # bytes a second, as the following
    write: float
    reads: float  # requests a second, as the following
    writes: float
    flushes: float
    read_seconds: float | None  # that one request took; None: there was none
    write_seconds: float | None


class CardLoad(NamedTuple):
    name: str
    receive: float  # bytes a second
    transmit: float
    receive_packets: float  # a second, as the following
    transmit_packets: float
    drops: float  # both ways


class Load(NamedTuple):
    """Shares are 0 to 1."""

    cpu_of_host: float  # QEMU, of all CPUs of the host
    cpu_of_vcpus: float  # of what its vCPUs could use at most; emulation (TCG) included
    steal: float | None  # of its vCPUs' time: ready, and no host CPU free; None: libvirt does not say
    disks: tuple[DiskLoad, ...]
    cards: tuple[CardLoad, ...]

    @property
    def read(self) -> float:
        return sum(disk.read for disk in self.disks)

    @property
    def write(self) -> float:
        return sum(disk.write for disk in self.disks)

    @property
    def receive(self) -> float:
        return sum(card.receive for card in self.cards)

    @property
    def transmit(self) -> float:
        return sum(card.transmit for card in self.cards)


def loads(before: Round, after: Round, host_cpus: int) -> dict[str, Load]:
    """By UUID; not of machines that are off, or were started in between: their counters began again."""
    earlier = {machine.uuid: machine for machine in before.machines}
    seconds = after.at - before.at
    found: dict[str, Load] = {}
    for machine in after.machines:
        past = earlier.get(machine.uuid)
        if past is not None and seconds > 0 and (load := _load(past, machine, seconds, host_cpus)) is not None:
            found[machine.uuid] = load
    return found


def _load(before: Counters, after: Counters, seconds: float, host_cpus: int) -> Load | None:
    if not (before.active and after.active) or before.cpu_time is None or after.cpu_time is None:
        return None
    if after.cpu_time < before.cpu_time:
        return None
    past = {vcpu.number: vcpu for vcpu in before.vcpus}
    pairs = [(past[vcpu.number], vcpu) for vcpu in after.vcpus if vcpu.number in past]
    room = seconds * len(pairs) * _NANO or 1.0
    delays = [now.delay - then.delay for then, now in pairs if now.delay is not None and then.delay is not None]
    return Load(
        cpu_of_host=(after.cpu_time - before.cpu_time) / (seconds * host_cpus * _NANO),
        cpu_of_vcpus=sum(max(now.time - then.time, 0) for then, now in pairs) / room,
        steal=max(sum(delays), 0) / room if delays else None,
        disks=tuple(_disk(then, now, seconds) for then, now in _paired(before.disks, after.disks)),
        cards=tuple(_card(then, now, seconds) for then, now in _paired(before.cards, after.cards)),
    )


def _paired(before: tuple[Named, ...], after: tuple[Named, ...]) -> list[tuple[Named, Named]]:
    past = {each.name: each for each in before}
    return [(past[each.name], each) for each in after if each.name in past]


def _disk(before: DiskCounters, after: DiskCounters, seconds: float) -> DiskLoad:
    reads = _more(before.read_requests, after.read_requests)
    writes = _more(before.write_requests, after.write_requests)
    return DiskLoad(
        after.name,
        read=_more(before.read_bytes, after.read_bytes) / seconds,
        write=_more(before.write_bytes, after.write_bytes) / seconds,
        reads=reads / seconds,
        writes=writes / seconds,
        flushes=_more(before.flush_requests, after.flush_requests) / seconds,
        read_seconds=_more(before.read_time, after.read_time) / _NANO / reads if reads else None,
        write_seconds=_more(before.write_time, after.write_time) / _NANO / writes if writes else None,
    )


def _card(before: CardCounters, after: CardCounters, seconds: float) -> CardLoad:
    lost = _more(before.receive_drops, after.receive_drops) + _more(before.transmit_drops, after.transmit_drops)
    return CardLoad(
        after.name,
        receive=_more(before.receive_bytes, after.receive_bytes) / seconds,
        transmit=_more(before.transmit_bytes, after.transmit_bytes) / seconds,
        receive_packets=_more(before.receive_packets, after.receive_packets) / seconds,
        transmit_packets=_more(before.transmit_packets, after.transmit_packets) / seconds,
        drops=lost / seconds,
    )


def _more(before: int | None, after: int | None) -> int:
    """How much was added; a counter that began again (a medium changed, a card plugged in anew) counts from zero."""
    then, now = before or 0, after or 0
    return now - then if now >= then else now
