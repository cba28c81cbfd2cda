"""The machines with an order are started, one after the other; one that does not start holds up nobody.

No change of the journal: what the host does when it comes up, nobody wants to take back.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.vm import schedule, templating
from virtkit.vm.access.explain import explained
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.schedule import Schedule


class Start(NamedTuple):
    """What became of one of them."""

    name: str
    order: int
    started: bool
    fault: str  # empty: it runs
    note: str = ""


def in_order(libvirt: Connection) -> list[tuple[Machine, Schedule]]:
    """By order, then by name."""
    found = [
        (machine, wanted)
        for machine in libvirt.machines()
        if machine.persistent and (wanted := schedule.of(machine.next_start())) is not None
    ]
    return sorted(found, key=lambda both: (both[1].order, both[0].name))


def start_all(libvirt: Connection) -> Iterator[Start]:
    """Each is told once it is done with; nobody waits behind the last."""
    waiting = in_order(libvirt)
    for index, (machine, wanted) in enumerate(waiting):
        yield _start(machine, wanted, wait=index + 1 < len(waiting))


def _start(machine: Machine, wanted: Schedule, *, wait: bool) -> Start:
    try:
        if machine.active:
            return Start(machine.name, wanted.order, started=False, fault="", note="runs already")
        templating.refuse(machine.next_start())
        with explained(machine):
            machine.start()
    except VirtkitError as error:
        return Start(machine.name, wanted.order, started=False, fault=error.message)
    return Start(machine.name, wanted.order, started=True, fault="", note=_wait(machine, wanted) if wait else "")


def _wait(machine: Machine, wanted: Schedule) -> str:
    if not wanted.agent:
        time.sleep(wanted.delay)
        return f"waited {wanted.delay} s" if wanted.delay else ""
    try:
        return f"its agent answered after {Agent(machine).wait(wanted.agent):.0f} s"
    except VirtkitError as error:
        return error.message
