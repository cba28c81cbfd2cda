"""Machines start with the host: all at once, by libvirt, or one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.plan import Plan
from virtkit.core.system import System, is_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Action
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.schedule import Schedule
    from virtkit.vm.startup.starting import Start


class Line(NamedTuple):
    """A machine that starts with the host."""

    name: str
    by: str  # libvirt, or virtkit: those with an order
    order: int | None  # None: libvirt's, which have none and start first
    delay: int  # seconds until the next is started
    agent: int  # likewise, but only until its agent answers


def autostart(
    name: str,
    *,
    enabled: bool = True,
    order: int | None = None,
    delay: int = 0,
    agent: int = 0,
    system: System | None = None,
) -> Plan:
    """Without ``order``, ``delay`` and ``agent`` (seconds) libvirt starts it; with one of them, virtkit's unit does.

    NotSupportedError for a template, for a transient machine, and where the unit is root's to write.
    """
    from virtkit.vm import connection, schedule, templating

    asked = schedule.Schedule(order or 0, delay, agent) if order is not None or delay or agent else None
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        if enabled:
            templating.refuse(machine.next_start())
        if asked is not None:
            schedule.check(machine.name, asked)
        wanted = asked if enabled else None
        steps = [*_machine(machine, wanted, flag=enabled and asked is None)]
        steps += _unit(libvirt, machine, wanted, system or System())
        notes = _notes(libvirt, system or System()) if wanted is not None and steps else ()
        return Plan(f"autostart of machine {machine.name}", tuple(steps), notes)


def autostarts() -> tuple[Line, ...]:
    """Libvirt's first, then in the order in which they start."""
    from virtkit.vm import connection
    from virtkit.vm.startup import starting

    with connection.open() as libvirt:
        ours = [Line(machine.name, "virtkit", *wanted) for machine, wanted in starting.in_order(libvirt)]
        of_libvirt = [each.name for each in libvirt.machines() if each.persistent and each.autostart]
        return (*(Line(name, "libvirt", None, 0, 0) for name in of_libvirt), *ours)


def start_in_order() -> Iterator[Start]:
    """Start the machines that have an order, and tell of each; what the unit does when the host starts."""
    from virtkit.vm import connection
    from virtkit.vm.startup import starting

    with connection.open() as libvirt:
        yield from starting.start_all(libvirt)


def _machine(machine: Machine, wanted: Schedule | None, *, flag: bool) -> Iterator[Action]:
    """Never both: what libvirt starts, the order would start too."""
    from virtkit.vm import actions, schedule

    if schedule.of(machine.next_start()) != wanted:
        yield actions.SetSchedule(machine.name, None if wanted is None else list(wanted))
    if machine.autostart != flag:
        yield actions.Autostart(machine.name, flag)


def _unit(libvirt: Connection, machine: Machine, wanted: Schedule | None, system: System) -> Iterator[Action]:
    """It is there as long as a machine has an order."""
    from virtkit.vm import actions
    from virtkit.vm.startup import starting, unit

    if not libvirt.local:
        return
    there = unit.place(libvirt.uri)
    needed = wanted is not None or any(each.name != machine.name for each, _ in starting.in_order(libvirt))
    if needed and unit.possible(libvirt.uri, system) and not unit.installed(libvirt.uri, system):
        if not (is_root() or libvirt.session):
            raise NotSupportedError(f"{there.path}: needs root", hint=f"sudo virtkit vm autostart {machine.name} ...")
        yield actions.AutostartUnit(there.path, there.link, there.text)
    elif not needed and unit.present(libvirt.uri, system):
        yield actions.AutostartUnit(there.path, there.link, "")


def _notes(libvirt: Connection, system: System) -> tuple[str, ...]:
    from virtkit.vm.startup import unit

    notes = ["machines without an order are started by libvirt, before those; for shutting down see libvirt-guests"]
    if not libvirt.local:
        notes.append(f"{libvirt.uri} is another host's: there somebody has to call virtkit vm autostart --run")
    elif not unit.possible(libvirt.uri, system):
        notes.append("no systemd starts this host: whatever does has to call virtkit vm autostart --run")
    elif libvirt.session:
        notes.append("they start with your first login; with the host: loginctl enable-linger")
    return tuple(notes)
