"""Machines are defined, started, stopped and forgotten."""

from __future__ import annotations

from virtkit.core.errors import ConflictError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System


def start(name: str, system: System | None = None) -> Plan:
    """NotSupportedError for a template."""
    from virtkit.vm import actions, connection, templating
    from virtkit.vm.access import explain

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        wanted = machine.next_start()
        templating.refuse(wanted)
        if machine.active:
            return Plan(f"start machine {machine.name}")
        notes = ["it goes on from its saved memory image"] if machine.saved else []
        notes += explain.notes(libvirt, explain.files(wanted), system or System(), wanted)
        return Plan(f"start machine {machine.name}", (actions.Start(machine.name),), tuple(notes))


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


def restart(name: str, *, seconds: int = 60, force: bool = False) -> Plan:
    """Off and on again, by a new QEMU: what waits for the next start counts then. As ``stop``; one that is off starts.

    NotSupportedError for a machine that libvirt forgets once it is off.
    """
    from virtkit.vm import actions, connection
    from virtkit.vm.drift import of_machine

    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        if not machine.active:
            return start(machine.name)
        if not machine.persistent:
            found = f"{machine.name}: is transient, expected a defined machine: once off, libvirt forgets it"
            raise NotSupportedError(
                found, hint=f"virsh dumpxml {machine.name} >{machine.name}.xml, and virsh define it"
            )
        waiting = [change.path for change in of_machine(machine)]
        stopped = stop(machine.name, seconds=seconds, force=force)
        notes = [f"what waited for it counts then: {', '.join(waiting)}"] if waiting else []
        return Plan(
            f"restart machine {machine.name}",
            (*stopped.actions, actions.Start(machine.name)),
            (*stopped.notes, *notes),
        )


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
