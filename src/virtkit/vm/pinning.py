"""Which host CPUs a machine's threads may use: what is asked, whether the host has it, and setting it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError, VerifyError
from virtkit.vm import connection, library
from virtkit.vm.cpus import Cpus, format_cpus, parse_cpus
from virtkit.vm.process import EMULATOR, IOTHREAD, VCPU, allow, pinned, process_id, threads
from virtkit.vm.xml import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

_CPU = "/sys/devices/system/cpu"
_NODES, _MODE = Text("numatune/memory@nodeset"), Text("numatune/memory@mode")
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
    iothreads: Mapping[int, Cpus] = {}  # by I/O thread, likewise
    nodes: Cpus = ()  # NUMA nodes of its memory from the next start on; empty: stays as it is
    mode: str = "strict"  # or preferred: libvirt's words for how much the nodes are meant

    @property
    def pinned(self) -> bool:
        """Whether they tie any thread."""
        return bool(self.vcpus or self.emulator or self.iothreads)

    def within(self, shown: Pins) -> bool:
        """Whether ``shown`` has all of these."""
        vcpus = all(shown.vcpus.get(vcpu) == cpus for vcpu, cpus in self.vcpus.items())
        iothreads = all(shown.iothreads.get(number) == cpus for number, cpus in self.iothreads.items())
        nodes = not self.nodes or (self.nodes, self.mode) == (shown.nodes, shown.mode)
        return vcpus and iothreads and nodes and self.emulator in ((), shown.emulator)

    def __str__(self) -> str:
        """Neighbours on the same CPUs together: ``vCPUs 0-3 on CPU 0-7``."""
        words = _words("vCPU", self.vcpus)
        if self.emulator:
            words.append(f"emulator on CPU {format_cpus(self.emulator)}")
        words += _words("I/O thread", self.iothreads)
        if self.nodes:
            words.append(f"memory on node {format_cpus(self.nodes)} ({self.mode})")
        return ", ".join(words)


def _words(what: str, pins: Mapping[int, Cpus]) -> list[str]:
    alike: dict[Cpus, list[int]] = {}
    for number, cpus in sorted(pins.items()):
        alike.setdefault(cpus, []).append(number)
    return [
        f"{what}{'s' if len(numbers) > 1 else ''} {format_cpus(numbers)} on CPU {format_cpus(cpus)}"
        for cpus, numbers in alike.items()
    ]


class HostCpus(NamedTuple):
    online: Cpus
    allowed: Cpus  # of those, the ones that the machines' cpuset leaves
    limit: str  # the file that says so; empty if nothing limits


def host_cpus(system: System) -> HostCpus:
    online = parse_cpus(system.read(f"{_CPU}/online"))
    limit = next((path for path in _CPUSETS if system.read_or(path, "")), "")
    allowed = parse_cpus(system.read(limit)) if limit else online
    return HostCpus(online, tuple(cpu for cpu in online if cpu in allowed), limit)


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


def check(name: str, pins: Pins, vcpus: int, host: HostCpus) -> None:
    """UsageError for a vCPU that the machine has not, and for CPUs that are offline or not allowed."""
    for vcpu in pins.vcpus:
        if vcpu >= vcpus:
            raise UsageError(f"{name}: vCPU is {vcpu}, expected 0 to {vcpus - 1}")
    named = (*pins.vcpus.values(), pins.emulator, *pins.iothreads.values())
    for cpu in sorted({cpu for cpus in named for cpu in cpus}):
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
        if pins.nodes:
            machine.set_memory_nodes(pins.nodes, pins.mode)
    if machine.active:
        set_live(machine, pins, system)


def set_live(machine: Machine, pins: Pins, system: System) -> None:
    _tell(machine, pins, library.LIVE)
    if pins.emulator and connection.is_local(
        machine.uri
    ):  # without a cpuset cgroup libvirt moves the first thread only (virProcessSetAffinity)
        for thread in threads(system, process_id(system, machine.name)):
            if thread.role == EMULATOR and thread.cpus != pins.emulator:
                allow(thread, pins.emulator)


def restore_next_start(libvirt: Connection, machine: Machine, pins: Pins, numatune: str | None = None) -> None:
    """Exactly ``pins``, with no trace of others: what libvirt's calls alone cannot do.

    ``numatune``: its XML as it was; None: stays as it is.
    """
    domain = machine.next_start(secrets=True)
    before = domain.digest
    domain.set_pins(dict(pins.vcpus), pins.emulator, dict(pins.iothreads))
    if numatune is not None:
        domain.numatune = numatune
    if domain.digest != before:
        libvirt.define(domain.text())


def present(machine: Machine, impact: int) -> Pins:
    """What libvirt holds, where "not pinned" is all CPUs; ``impact`` is library.LIVE or library.CONFIG."""
    vcpus = dict(enumerate(machine.vcpu_pins(impact)))
    return Pins(vcpus, machine.emulator_pin(impact), machine.iothread_pins(impact))


def of_domain(domain: Domain) -> Pins:
    """What the XML says, and no more."""
    iothreads = {pin.iothread: parse_cpus(pin.cpus) for pin in domain.iothread_pins}
    nodes = parse_cpus(_NODES.read(domain))
    return Pins(domain.pins, parse_cpus(domain.emulator_pin), iothreads, nodes, _MODE.read(domain) or "strict")


def done(machine: Machine, pins: Pins, system: System) -> bool:
    """Whether all of it is so already: pinned for the next start, and every running thread is where it belongs."""
    if machine.persistent and not pins.within(of_domain(machine.next_start())):
        return False
    return not machine.active or not misplaced(machine, pins, system)


def verify(machine: Machine, pins: Pins, system: System) -> None:
    """VerifyError names the threads that the kernel lets run elsewhere."""
    if found := misplaced(machine, pins, system):
        raise VerifyError(f"{machine.name}: pin", "; ".join(found))


def pinned_threads(machine: Machine, system: System) -> tuple[int, int]:
    """How many of a running machine's threads may not run everywhere, and how many it has."""
    found = threads(system, process_id(system, machine.name))
    return pinned(found, host_cpus(system).allowed), len(found)


def followed(machine: Machine, domain: Domain, wanted: int) -> Pins | None:
    """Where vCPUs that are plugged in are to run: on the CPUs of the others. None where those are not all pinned."""
    count = domain.vcpus_on or domain.vcpus
    pins = of_domain(domain).vcpus
    if not machine.active or any(vcpu not in pins for vcpu in range(count)):
        return None
    together = tuple(sorted({cpu for vcpu in range(count) for cpu in pins[vcpu]}))
    return Pins(dict.fromkeys(range(count, wanted), together))


def misplaced(machine: Machine, pins: Pins, system: System) -> list[str]:
    found = []
    for thread in threads(system, process_id(system, machine.name)):
        by_role = {VCPU: pins.vcpus.get(thread.number), IOTHREAD: pins.iothreads.get(thread.number)}
        wanted = by_role.get(thread.role, pins.emulator)
        if wanted and thread.cpus != wanted:
            may = f"thread {thread.tid} ({thread.name}) may run on CPU {format_cpus(thread.cpus)}"
            found.append(f"{may}, expected {format_cpus(wanted)}")
    return found


def _tell(machine: Machine, pins: Pins, impact: int) -> None:
    for vcpu, cpus in pins.vcpus.items():
        machine.pin_vcpu(vcpu, cpus, impact)
    if pins.emulator:
        machine.pin_emulator(pins.emulator, impact)
    for number, cpus in pins.iothreads.items():
        machine.pin_iothread(number, cpus, impact)
