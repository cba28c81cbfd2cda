"""The verbs for virtual machines over libvirt: each returns data, or a Plan that only the engine carries out.

``name`` is a machine's name, UUID or, while it runs, its number. Every verb raises NotFoundError for a machine that is
not there, MachineError where libvirt or QEMU refuses, NotSupportedError where libvirt for Python is missing. They speak
to ``$LIBVIRT_DEFAULT_URI``, else to root's machines (qemu:///system) for root and to the user's own for anybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ConflictError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.plan import Json
    from virtkit.vm.addresses import Address
    from virtkit.vm.agent import Ran
    from virtkit.vm.blocks import BlockCache
    from virtkit.vm.process import Thread
    from virtkit.vm.summary import Details, Summary


def list(*, start_daemon: bool = True) -> tuple[Summary, ...]:  # noqa: A001  virsh's word, used as vm.list
    """All machines, running or not, by name; ``start_daemon``: start root's libvirt if it does not run."""
    from virtkit.vm import connection
    from virtkit.vm.summary import summarise

    with connection.open(start_daemon=start_daemon) as libvirt:
        found = []
        for machine in libvirt.machines():
            try:
                found.append(summarise(machine))
            except NotFoundError:  # it was undefined, or ended and was transient, since the list was made
                continue
        return tuple(found)


def show(name: str, system: System | None = None) -> Details:
    from virtkit.vm import connection
    from virtkit.vm.summary import describe

    with connection.open() as libvirt:
        return describe(libvirt.machine(name), libvirt, system or System())


def start(name: str) -> Plan:
    from virtkit.vm import actions, connection

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        notes = ("it goes on from its saved memory image",) if machine.saved else ()
        steps = () if machine.active else (actions.Start(machine.name),)
        return Plan(f"start machine {machine.name}", steps, notes if steps else ())


def stop(name: str, *, seconds: int = 60, force: bool = False) -> Plan:
    """Ask the guest by its agent or ACPI and wait up to ``seconds``; ``force``: pull the plug."""
    from virtkit.vm import actions, connection

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        steps = (actions.Stop(machine.name, seconds, force),) if machine.active else ()
        notes = ["what the guest has not written to its disks yet is lost"] if force and steps else []
        if steps and not machine.persistent:
            notes.append("the machine is transient: once off, libvirt forgets it")
        return Plan(f"{'force off' if force else 'stop'} machine {machine.name}", steps, tuple(notes))


def kill(name: str) -> Plan:
    return stop(name, force=True)


def define(xml: str, *, replace: bool = False) -> Plan:
    """Make the machine that ``xml`` describes; one of its name is replaced only if ``replace`` is set.

    ConflictError if there is one and it is not to be replaced, or has another UUID; NotSupportedError for XML with
    passwords in it.
    """
    from virtkit.vm import actions, connection
    from virtkit.vm.domain import Domain

    domain = Domain.parse(xml)
    if not domain.name:
        raise UsageError("machine: name is empty, expected one in its XML")
    if domain.has_password:
        raise NotSupportedError(f"{domain.name}: its XML holds a password, which the journal must not hold")
    with connection.open() as libvirt:
        machine = libvirt.find(domain.name)
        if machine is None:
            return Plan(f"define machine {domain.name}", (actions.Define(domain.name, xml),))
        if not replace or (domain.uuid and domain.uuid.lower() != machine.uuid.lower()):
            found = f"exists already, with UUID {machine.uuid}"
            raise ConflictError(f"{domain.name}: {found}", hint=f"virtkit vm show {domain.name}")
        domain.uuid = machine.uuid
        define = actions.Define(domain.name, domain.text(), machine.next_start().digest)
        notes = ("it runs: the new XML counts from its next start",) if machine.active else ()
        return Plan(f"redefine machine {domain.name}", (define,), notes)


def undefine(name: str) -> Plan:
    """Forget a machine that is off; its disks stay."""
    from virtkit.vm import actions, connection

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        actions.check_undefine(machine)
        return Plan(f"undefine machine {machine.name}", (actions.Undefine(machine.name),))


def autostart(name: str, *, enabled: bool = True) -> Plan:
    from virtkit.vm import actions, connection

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        steps = () if machine.autostart == enabled else (actions.Autostart(machine.name, enabled),)
        return Plan(f"autostart of machine {machine.name}", steps)


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


def threads(name: str, system: System | None = None) -> tuple[Thread, ...]:
    """Every thread of a running machine's QEMU, and the CPUs where the kernel lets it run."""
    from virtkit.vm import connection, process

    system = system or System()
    with connection.open() as libvirt:
        return tuple(process.threads(system, process.process_id(system, libvirt.machine(name).name)))


def attach(
    name: str,
    bridge: str,
    *,
    mac: str = "",
    verify: bool = False,
    restart: bool = False,
    seconds: float = 60,
    system: System | None = None,
) -> Plan:
    """Move a network card to ``bridge``; ``mac`` says which if the machine has several.

    ``verify``: the guest's new address within ``seconds``, pinged from and to the LAN, or all is put back.
    ``restart``: off, moved, on again, for guests that do not notice a cable that is plugged in elsewhere.
    NotFoundError if there is no such bridge or card; NotSupportedError for a card without a tap.
    """
    from virtkit.vm import actions, connection, nics

    system = system or System()
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        nic = nics.choose(machine.name, machine.now(), mac)
        nics.check_movable(machine.name, nic)
        if libvirt.local and not system.exists(f"/sys/class/net/{bridge}/bridge"):
            hint = f"virtkit net bridge create {bridge} --port INTERFACE"
            raise NotFoundError(f"{bridge}: no such bridge on this host", hint=hint)
        title = f"attach machine {machine.name} to {bridge}"
        reached = [actions.Reach(machine.name, nic.mac, bridge, seconds)] if verify and machine.active else []
        if nics.done(machine, nic.mac, nics.Place("bridge", bridge)):
            return Plan(title, tuple(reached))
        moved = actions.Attach(machine.name, nic.mac, bridge)
        if restart and machine.active:
            return Plan(title, (actions.Stop(machine.name), moved, actions.Start(machine.name), *reached))
        notes = ("the guest's link goes down for a second; connections through another network break",)
        return Plan(title, (moved, *reached), notes if machine.active else ())


def ip(name: str, system: System | None = None) -> tuple[Address, ...]:
    """A running machine's addresses: by its agent, else by libvirt's leases, else by the host's neighbour table."""
    from virtkit.vm import connection
    from virtkit.vm.addresses import addresses

    with connection.open() as libvirt:
        return tuple(addresses(libvirt.machine(name), system or System()))


def block_cache(name: str) -> tuple[BlockCache, ...]:
    """How QEMU itself says that it caches a running machine's disks."""
    from virtkit.vm import connection
    from virtkit.vm.blocks import block_caches

    with connection.open() as libvirt:
        return tuple(block_caches(libvirt.machine(name)))


def qmp(name: str, command: str, arguments: Mapping[str, Json] | None = None) -> Json:
    """What QEMU's monitor answers; for reading: libvirt does not notice what is changed behind its back."""
    from virtkit.vm import connection

    with connection.open() as libvirt:
        return libvirt.machine(name).monitor({"execute": command, "arguments": dict(arguments or {})})


def wait_for_agent(name: str, seconds: float) -> float:
    """Seconds until the guest's agent answered; MachineError if it does not within ``seconds``."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).wait(seconds)


def execute(name: str, command: Sequence[str], *, seconds: float = 60) -> Ran:
    """Run a program in the guest, by its agent, to its end."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).execute(command, seconds=seconds)


def os_info(name: str) -> dict[str, str]:
    """What the guest's agent says of its system: id, pretty-name, kernel-release ..."""
    from virtkit.vm import connection
    from virtkit.vm.agent import Agent

    with connection.open() as libvirt:
        return Agent(libvirt.machine(name)).os_info()
