"""On which CPUs a machine runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.pinning import Pins

OFF = "is off: it will start on these CPUs"


def pin(name: str, vcpus: str = "", *, emulator: str = "", system: System | None = None) -> Plan:
    """``vcpus`` as in ``0=2,1=3``; ``emulator`` a list of CPUs for all other threads of QEMU.

    UsageError for CPUs that are offline or that the machines' cpuset does not allow. Who wants them chosen asks
    ``recipes.placement``, which knows the host's caches and the other machines.
    """
    from virtkit.vm import pinning
    from virtkit.vm.cpus import parse_cpus

    if not (vcpus or emulator):
        raise UsageError(f"{name}: no CPUs are named, expected pins as in 0=2,1=3", hint=f"virtkit vm pin {name} auto")
    pins = pinning.Pins(pinning.parse_pins(vcpus) if vcpus else {}, parse_cpus(emulator))
    return pin_all({name: pins}, system)


def unpin(name: str, system: System | None = None) -> Plan:
    """All its threads on all CPUs that machines may have, as before anybody pinned them."""
    from virtkit.vm import pinning

    return pin_all({name: pinning.Pins({})}, system)


def pin_all(pins: Mapping[str, Pins], system: System | None = None) -> Plan:
    """Several machines, one after the other; one without any pin is unpinned. Errors as ``pin``."""
    from virtkit.vm import connection

    system = system or System()
    title = f"pin machine {', '.join(pins)}"
    with connection.open() as libvirt:
        check_here(libvirt)
        plans = [_one(libvirt.machine(name), wanted, system) for name, wanted in pins.items()]
    return Plan(title, tuple(step for plan in plans for step in plan.actions), tuple(n for p in plans for n in p.notes))


def check_here(libvirt: Connection) -> None:
    """NotSupportedError where machines run on another host."""
    if not libvirt.local:
        raise NotSupportedError(f"pin: {libvirt.uri} is another host, expected this one: its CPUs are not seen")


def _one(machine: Machine, pins: Pins, system: System) -> Plan:
    from virtkit.vm import actions, pinning

    if not pins.pinned:
        later = pinning.of_domain(machine.next_start())
        free = not later.pinned and not (machine.active and pinning.pinned_threads(machine, system)[0])
        return Plan("", () if free else (actions.Unpin(machine.name),))
    pinning.check(machine.name, pins, machine.now().vcpus, pinning.host_cpus(system))
    if pinning.done(machine, pins, system):
        return Plan("")
    return Plan("", (actions.Pin.of(machine.name, pins),), () if machine.active else (f"{machine.name}: {OFF}",))
