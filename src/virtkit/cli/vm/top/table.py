"""Machines as lines of a table: which columns there are, how numbers look, what comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.vm.cpus import format_cpus
from virtkit.vm.machine import STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from virtkit.vm.loads import CardLoad, DiskLoad
    from virtkit.vm.verbs.watching import Busy

_NAMED = 3  # machines that one hint names


class Column(NamedTuple):
    title: str
    rank: int  # in a narrow terminal the highest go first
    show: Callable[[Busy], str]


COLUMNS = (
    Column("NAME", 0, lambda busy: busy.counters.name),
    Column("STATE", 6, lambda busy: "no answer" if busy.counters.mute else STATES[busy.counters.state]),
    Column("HOST%", 1, lambda busy: _share(busy.load and busy.load.cpu_of_host)),
    Column("VCPU%", 2, lambda busy: _share(busy.load and busy.load.cpu_of_vcpus)),
    Column("STEAL%", 3, lambda busy: _share(busy.load and busy.load.steal)),
    Column("USED", 4, lambda busy: _size(busy.counters.memory.used)),
    Column("OF", 8, lambda busy: _size(busy.counters.memory.available or busy.counters.memory.current)),
    Column("RSS", 4, lambda busy: _size(_resident(busy))),
    Column("SWAP", 10, lambda busy: _size(busy.footprint and busy.footprint.swap)),
    Column("HUGE", 11, lambda busy: _size(busy.footprint and busy.footprint.huge)),
    Column("READ/s", 5, lambda busy: _size(busy.load and busy.load.read)),
    Column("WRITE/s", 5, lambda busy: _size(busy.load and busy.load.write)),
    Column("RX/s", 7, lambda busy: _size(busy.load and busy.load.receive)),
    Column("TX/s", 7, lambda busy: _size(busy.load and busy.load.transmit)),
    Column("CPUS", 9, lambda busy: format_cpus(busy.footprint.cpus) if busy.footprint else "-"),
    Column("NODE", 12, lambda busy: format_cpus(busy.footprint.nodes) if busy.footprint else "-"),
)
PSS = Column("PSS", 4, lambda busy: _size(busy.footprint and busy.footprint.pss))

_KEYS: dict[str, Callable[[Busy], float]] = {
    "cpu": lambda busy: busy.load.cpu_of_host if busy.load else -1,
    "steal": lambda busy: (busy.load and busy.load.steal) or 0,
    "mem": lambda busy: _resident(busy) or 0,
    "read": lambda busy: busy.load.read if busy.load else -1,
    "write": lambda busy: busy.load.write if busy.load else -1,
    "rx": lambda busy: busy.load.receive if busy.load else -1,
    "tx": lambda busy: busy.load.transmit if busy.load else -1,
}


def sorted_machines(machines: Iterable[Busy], by: str, *, reverse: bool = False) -> list[Busy]:
    """The busiest first; those alike, and with ``by`` name all of them, by name."""
    named = sorted(machines, key=lambda busy: busy.counters.name, reverse=by == "name" and reverse)
    return named if by == "name" else sorted(named, key=_KEYS[by], reverse=not reverse)


def columns(
    *, pss: bool, width: int | None = None, machines: Sequence[Busy] = (), devices: bool = False
) -> list[Column]:
    """Those that have room in ``width`` characters, two between each, with these machines in them."""
    chosen = [*COLUMNS[:8], *([PSS] if pss else []), *COLUMNS[8:]]
    while width is not None and len(chosen) > 1 and _width(chosen, machines, devices=devices) > width:
        chosen.remove(max(chosen, key=lambda column: column.rank))
    return chosen


def _width(chosen: Sequence[Column], machines: Sequence[Busy], *, devices: bool) -> int:
    cells = [
        [column.title for column in chosen],
        *(line for busy in machines for line in lines(busy, chosen, devices=devices)),
    ]
    return sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True)) - 2


def titles(*, pss: bool) -> list[str]:
    return [column.title for column in columns(pss=pss)]


def rows(machines: Iterable[Busy], *, devices: bool, pss: bool) -> list[list[str]]:
    return [row for busy in machines for row in lines(busy, columns(pss=pss), devices=devices)]


def lines(busy: Busy, chosen: Sequence[Column], *, devices: bool) -> list[list[str]]:
    """The machine's own, and one for each device, in the same columns."""
    found = [[column.show(busy) for column in chosen]]
    if devices and busy.load:
        named = [_disk(disk) for disk in busy.load.disks] + [_card(card) for card in busy.load.cards]
        found += [[cells.get(column.title, "") for column in chosen] for cells in named]
    return found


def _disk(disk: DiskLoad) -> dict[str, str]:
    waits = [f"{seconds * 1000:.1f} ms" for seconds in (disk.read_seconds, disk.write_seconds) if seconds is not None]
    said = f"{disk.reads + disk.writes:.0f}/s {' '.join(waits)}".strip()
    return {"NAME": f"  {disk.name}  {said}", "READ/s": _size(disk.read), "WRITE/s": _size(disk.write)}


def _card(card: CardLoad) -> dict[str, str]:
    said = f"{card.receive_packets + card.transmit_packets:.0f} packets/s"
    lost = f", {card.drops:.0f} lost" if card.drops else ""
    return {"NAME": f"  {card.name}  {said}{lost}", "RX/s": _size(card.receive), "TX/s": _size(card.transmit)}


def hints(machines: Iterable[Busy]) -> list[str]:
    """What of running machines is not known, why, and what mends it."""
    running = [busy.counters for busy in machines if busy.counters.cpu_time is not None and busy.counters.active]
    mute = [machine.name for machine in running if machine.mute]
    blind = [machine.name for machine in running if not machine.mute and machine.memory.used is None]
    found = (
        [f"{_listed(mute)}: QEMU does not answer: it hangs, or another job has it (virtkit vm log {mute[0]})"]
        if mute
        else []
    )
    if blind:
        ask = f"virsh dommemstat {blind[0]} --period 5 --live"
        found.append(
            f"{_listed(blind)}: the guest does not tell its memory: no balloon driver, or nobody asks it ({ask})"
        )
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")


def _resident(busy: Busy) -> int | None:
    return busy.footprint.rss if busy.footprint else busy.counters.memory.rss


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _size(size: float | None) -> str:
    """Four characters or five: ``0``, ``512``, ``1.5K``, ``12M``, ``1023G``."""
    if size is None:
        return "-"
    suffixes = iter("KMGTPE")
    if size < KIB:
        return f"{size:.0f}"
    suffix = next(suffixes)
    while (size := size / KIB) >= KIB:
        suffix = next(suffixes)
    return f"{size:.1f}{suffix}" if size < 10 else f"{size:.0f}{suffix}"  # noqa: PLR2004  two digits that count
