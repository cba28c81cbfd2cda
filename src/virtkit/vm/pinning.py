"""Which host CPUs a machine's threads may use: what is asked, whether the host has it, and setting it."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError, VerifyError
from virtkit.vm import library
from virtkit.vm.cpus import Cpus, format_cpus, parse_cpus
from virtkit.vm.process import EMULATOR, VCPU, allow, process_id, threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine

_CPU = "/sys/devices/system/cpu"
_CPUSETS = (  # the nearest first; Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/cpusets.rst
    "/sys/fs/cgroup/machine.slice/cpuset.cpus.effective",
    "/sys/fs/cgroup/cpuset.cpus.effective",
    "/sys/fs/cgroup/cpuset/machine.slice/cpuset.effective_cpus",
    "/sys/fs/cgroup/cpuset/machine/cpuset.effective_cpus",
    "/sys/fs/cgroup/cpuset/cpuset.effective_cpus",
)


class Pins(NamedTuple):
    vcpus: Mapping[int, Cpus]  # by vCPU; those that are not named stay as they are
    emulator: Cpus = ()  # empty: stays as it is

    def within(self, shown: Pins) -> bool:
        """Whether ``shown`` has all of these."""
        vcpus = all(shown.vcpus.get(vcpu) == cpus for vcpu, cpus in self.vcpus.items())
        return vcpus and self.emulator in ((), shown.emulator)

    def __str__(self) -> str:
        words = [f"vCPU {vcpu} on CPU {format_cpus(cpus)}" for vcpu, cpus in sorted(self.vcpus.items())]
        return ", ".join([*words, f"emulator on CPU {format_cpus(self.emulator)}"] if self.emulator else words)


class HostCpus(NamedTuple):
    online: Cpus
    allowed: Cpus  # of those, the ones that the machines' cpuset leaves
    limit: str  # the file that says so; empty if nothing limits
    first_core: Cpus  # the first CPU and its siblings: where the host's own interrupts and daemons mostly are


def host_cpus(system: System) -> HostCpus:
    online = parse_cpus(system.read(f"{_CPU}/online"))
    limit = next((path for path in _CPUSETS if system.read_or(path, "")), "")
    allowed = parse_cpus(system.read(limit)) if limit else online
    usable = tuple(cpu for cpu in online if cpu in allowed)
    siblings = system.read_or(f"{_CPU}/cpu{usable[0]}/topology/thread_siblings_list", str(usable[0]))
    return HostCpus(online, usable, limit, tuple(cpu for cpu in parse_cpus(siblings) if cpu in usable))


def parse_pins(text: str) -> dict[int, Cpus]:
    """``0=2,1=3`` or ``0=2-3,8,1=4``: vCPU = list of CPUs. UsageError."""
    lists: dict[int, list[str]] = {}
    vcpu = -1
    for part in text.split(","):
        left, equals, right = part.rpartition("=")
        if equals:
            vcpu = int(left) if left.isascii() and left.isdecimal() and len(left) < 6 else -1  # noqa: PLR2004  below 100000
            if vcpu in lists:
                raise UsageError(f"pins are {text!r}: vCPU {vcpu} is named twice, expected once")
        if vcpu < 0 or not right:
            raise UsageError(f"pins are {text!r}, expected auto or vCPU=CPUs, as in 0=2,1=3")
        lists.setdefault(vcpu, []).append(right)
    return {vcpu: parse_cpus(",".join(parts)) for vcpu, parts in lists.items()}


def spread(vcpus: int, host: HostCpus) -> Pins:
    """Each vCPU a CPU of its own, round robin; the first core is left to the emulator where there are enough."""
    rest = tuple(cpu for cpu in host.allowed if cpu not in host.first_core)
    enough = len(rest) >= vcpus
    places = cycle(rest if enough else host.allowed)
    return Pins({vcpu: (next(places),) for vcpu in range(vcpus)}, host.first_core if enough else host.allowed)


def check(name: str, pins: Pins, vcpus: int, host: HostCpus) -> None:
    """UsageError for a vCPU that the machine has not, and for CPUs that are offline or not allowed."""
    for vcpu in pins.vcpus:
        if vcpu >= vcpus:
            raise UsageError(f"{name}: vCPU is {vcpu}, expected 0 to {vcpus - 1}")
    for cpu in sorted({cpu for cpus in (*pins.vcpus.values(), pins.emulator) for cpu in cpus}):
        if cpu not in host.online:
            raise UsageError(
                f"{name}: CPU {cpu} is not online, expected one of {format_cpus(host.online)} ({_CPU}/online)",
                hint="lscpu --extended",
            )
        if cpu not in host.allowed:
            raise UsageError(
                f"{name}: CPU {cpu} is kept from machines, expected one of {format_cpus(host.allowed)}; the kernel "
                f"would drop it without a word ({host.limit})",
                hint="systemctl show --property AllowedCPUs machine.slice",
            )


def set_pins(machine: Machine, pins: Pins, system: System) -> None:
    """For the next start, and for every thread that runs now."""
    if machine.persistent:
        _tell(machine, pins, library.CONFIG)
    if machine.active:
        set_live(machine, pins, system)


def set_live(machine: Machine, pins: Pins, system: System) -> None:
    _tell(machine, pins, library.LIVE)
    if pins.emulator:  # without a cpuset cgroup libvirt moves the first thread only (virProcessSetAffinity)
        for thread in threads(system, process_id(system, machine.name)):
            if thread.role == EMULATOR and thread.cpus != pins.emulator:
                allow(thread, pins.emulator)


def restore_next_start(connection: Connection, machine: Machine, pins: Pins) -> None:
    """Exactly ``pins``, with no trace of others: what libvirt's calls alone cannot do."""
    domain = machine.next_start(secrets=True)
    if domain.pins != dict(pins.vcpus) or parse_cpus(domain.emulator_pin) != pins.emulator:
        domain.set_pins(dict(pins.vcpus), pins.emulator)
        connection.define(domain.text())


def present(machine: Machine, impact: int) -> Pins:
    """What libvirt holds, where "not pinned" is all CPUs; ``impact`` is library.LIVE or library.CONFIG."""
    return Pins(dict(enumerate(machine.vcpu_pins(impact))), machine.emulator_pin(impact))


def done(machine: Machine, pins: Pins, system: System) -> bool:
    """Whether all of it is so already: pinned for the next start, and every running thread is where it belongs."""
    domain = machine.next_start()
    if machine.persistent and not pins.within(Pins(domain.pins, parse_cpus(domain.emulator_pin))):
        return False
    return not machine.active or not misplaced(machine, pins, system)


def verify(machine: Machine, pins: Pins, system: System) -> None:
    """VerifyError names the threads that the kernel lets run elsewhere."""
    if found := misplaced(machine, pins, system):
        raise VerifyError(f"{machine.name}: pin", "; ".join(found))


def misplaced(machine: Machine, pins: Pins, system: System) -> list[str]:
    found = []
    for thread in threads(system, process_id(system, machine.name)):
        wanted = pins.vcpus.get(thread.number) if thread.role == VCPU else None
        if thread.role == EMULATOR:
            wanted = pins.emulator or None
        if wanted and thread.cpus != wanted:
            may = f"thread {thread.tid} ({thread.name}) may run on CPU {format_cpus(thread.cpus)}"
            found.append(f"{may}, expected {format_cpus(wanted)}")
    return found


def _tell(machine: Machine, pins: Pins, impact: int) -> None:
    for vcpu, cpus in pins.vcpus.items():
        machine.pin_vcpu(vcpu, cpus, impact)
    if pins.emulator:
        machine.pin_emulator(pins.emulator, impact)
