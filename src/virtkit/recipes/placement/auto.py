"""``pin: auto`` and ``vm pin NAME auto``: CPUs of its own if the host has them, else none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import vm
from virtkit.core.errors import NotFoundError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.host.placement import place
from virtkit.host.placement.room import make_room
from virtkit.recipes.placement.machines import known_machines
from virtkit.recipes.placement.proposal import pins_of, read_host, taken
from virtkit.vm import connection
from virtkit.vm.cpus import parse_cpus
from virtkit.vm.pinning import Pins
from virtkit.vm.verbs.pins import check_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.host.placement import Placement
    from virtkit.host.placement.wish import Wish
    from virtkit.recipes.placement.machines import Known
    from virtkit.recipes.placement.proposal import Host

ALL_ARE_MACHINES = "no core is left to the host itself: its interrupts and QEMU's other threads share those of machines"


class Auto(NamedTuple):
    pins: Pins
    notes: tuple[str, ...]


def pin(name: str, emulator: str = "", system: System | None = None) -> Plan:
    """``emulator``: CPUs for QEMU's other threads instead of the planner's. NotFoundError, NotSupportedError."""
    system = system or System()
    chosen = of_machine(name, system)
    pins = chosen.pins._replace(emulator=parse_cpus(emulator)) if emulator else chosen.pins
    plan = vm.pin_all({name: pins}, system)
    return Plan(plan.title, plan.actions, (*chosen.notes, *plan.notes))


def of_machine(name: str, system: System) -> Auto:
    """The best place that there is beside the others. NotFoundError."""
    host, known = look(system)
    mine = next((each for each in known if each.name == name), None)
    if mine is None:
        raise NotFoundError(f"machine {name}: there is none of this name", hint="virtkit vm list")
    return of_wishes([mine.wish], known, host, stay=False)[name]


def look(system: System) -> tuple[Host, list[Known]]:
    host = read_host(system)
    with connection.open() as libvirt:
        check_here(libvirt)
        return host, known_machines(libvirt, host.devices, host.topology.cores, system)


def of_wishes(wishes: Sequence[Wish], known: Sequence[Known], host: Host, *, stay: bool) -> dict[str, Auto]:
    """For machines that are there or not yet; ``known``: all that are there. ``stay``: who has CPUs keeps them."""
    own = [wish._replace(policy="dedicated") for wish in wishes]
    plan = _place(own, known, host, stay=stay)
    notes: tuple[str, ...] = ()
    if not plan.seats:
        small = host._replace(housekeeping=frozenset())
        if not (tight := _place(own, known, small, stay=stay)).shortages:
            host, plan, notes = small, tight, (ALL_ARE_MACHINES,)
    short = {shortage.name: f"{shortage}; it shares CPUs with others" for shortage in plan.shortages}
    if short:
        plan = _place(
            [wish._replace(policy="shared") if wish.name in short else wish for wish in own], known, host, stay=stay
        )
    said = {wish.name: (*notes, short[wish.name]) if wish.name in short else notes for wish in own}
    return {
        wish.name: Auto(pins_of(seat, host, own=wish.name not in short), said[wish.name])
        if (seat := plan.seats.get(wish.name))
        else Auto(Pins({}), said[wish.name])
        for wish in own
    }


def _place(wishes: Sequence[Wish], known: Sequence[Known], host: Host, *, stay: bool) -> Placement:
    names = {wish.name for wish in wishes}
    others = taken(host, [each for each in known if each.name not in names])
    if host.housekeeping == frozenset():  # too small to keep anything apart, so not from machines that float either
        others = others._replace(vcpus={})
    room = make_room(host.topology, usable=host.usable, housekeeping=host.housekeeping, taken=others)
    return place(room, wishes, {each.name: each.seat for each in known if each.name in names and each.seat}, stay=stay)
