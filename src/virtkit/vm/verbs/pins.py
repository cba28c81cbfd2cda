"""On which CPUs a machine runs."""

from __future__ import annotations

from virtkit.core.errors import NotSupportedError
from virtkit.core.plan import Plan
from virtkit.core.system import System


def pin(name: str, vcpus: str = "", *, emulator: str = "", system: System | None = None) -> Plan:
    """``vcpus`` is ``auto`` or ``0=2,1=3``; ``emulator`` a list of CPUs for all other threads of QEMU.

    UsageError for CPUs that are offline or that the machines' cpuset does not allow.
    """
    from virtkit.vm import actions, connection, pinning
    from virtkit.vm.cpus import parse_cpus

    system = system or System()
    with connection.open() as libvirt:
        if not libvirt.local:
            raise NotSupportedError(f"pin: {libvirt.uri} is another host, expected this one: its CPUs are not seen")
        machine, host = libvirt.machine(name), pinning.host_cpus(system)
        count = machine.now().vcpus
        pins = pinning.spread(count, host) if vcpus == "auto" else pinning.Pins(pinning.parse_pins(vcpus))
        if emulator:
            pins = pins._replace(emulator=parse_cpus(emulator))
        pinning.check(machine.name, pins, count, host)
        steps = () if pinning.done(machine, pins, system) else (actions.Pin.of(machine.name, pins),)
        free = "" if machine.active else "the machine is off: it will start on these CPUs"
        return Plan(f"pin machine {machine.name}", steps, (free,) if free and steps else ())
