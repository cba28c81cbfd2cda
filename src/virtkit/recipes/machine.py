"""The declarative file as one plan: image -> disk -> bridge -> machine, defined, running and pinned.

Only what differs from the file becomes an action: a second ``up`` changes nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from virtkit import disk, host, net, vm
from virtkit.core.errors import SpecError, UsageError, VirtkitError
from virtkit.core.plan import Plan
from virtkit.core.units import format_size
from virtkit.disk.actions import Convert
from virtkit.host.advice.case import Guest, Profile
from virtkit.recipes.advice import declared
from virtkit.recipes.crowding import before_up
from virtkit.recipes.wanted import work_out
from virtkit.vm import connection, pinning
from virtkit.vm.access import explain
from virtkit.vm.actions import Attach, Autostart, Define, Pin, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.deadman import Confirm
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.spec import Document, Place
    from virtkit.recipes.wanted import Wanted
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine


def plan_up(document: Document, system: System, *, confirm: Confirm | None = None) -> Plan:
    """SpecError lists, with their places, all that this host cannot do of the file; nothing is changed.

    ``confirm`` is asked behind each bridge that takes over this host's own link.
    """
    faults: list[str] = []
    plan = Plan(f"up {document.path}")
    plan += _tried(document, ("host",), faults, partial(_plan_host, document, system))
    for name, network in document.spec.networks.items():
        make = partial(net.plan_bridge, name, network.bridge.port, confirm=confirm)
        plan += _tried(document, ("networks", name), faults, make)
    for name in document.spec.machines:
        plan += _tried(document, ("machines", name), faults, partial(_plan_machine, document, name, system))
    if faults:
        raise SpecError(faults)
    return plan + Plan("", (), before_up(_starting(document, plan), system)) if plan else plan


def _starting(document: Document, plan: Plan) -> list[Guest]:
    """The machines that the plan starts, with what they are for."""
    names = {action.name for action in plan.actions if isinstance(action, Start)}
    return [
        Guest(name, Profile(machine.workload), active=False, vcpus=machine.cpus, memory=machine.memory)
        for name, machine in document.spec.machines.items()
        if name in names
    ]


def _tried(document: Document, place: Place, faults: list[str], make: Callable[[], Plan]) -> Plan:
    try:
        return make()
    except SpecError as error:
        faults.extend(error.faults)
    except VirtkitError as error:
        faults.append(document.fault(place, error.message + (f" (try: {error.hint})" if error.hint else "")))
    return Plan("")


def _plan_host(document: Document, system: System) -> Plan:
    advice = declared.advice(document.spec, system)
    return host.tune(system, advice) if advice else Plan("")


def _plan_machine(document: Document, name: str, system: System) -> Plan:
    wanted = work_out(document, name, system)
    plan = _tried_image(document, name, wanted)
    with connection.open() as libvirt:
        machine = libvirt.find(name)
        actions = _changed(name, wanted, machine, system) if machine else _new(name, wanted, system)
        running = machine is not None and machine.active
        if any(isinstance(action, Start) for action in actions):
            explain.require(libvirt, machine.next_start() if machine else wanted.domain, system)
    redefined = any(isinstance(action, Define) for action in actions)
    notes = (f"{name}: runs; the new definition counts from its next start",) if running and redefined else ()
    return plan + Plan("", tuple(actions), (*(wanted.notes if machine is None else ()), *notes))


def _tried_image(document: Document, name: str, wanted: Wanted) -> Plan:
    faults: list[str] = []
    plan = _tried(document, ("machines", name, "image"), faults, partial(_plan_image, name, wanted))
    if faults:
        raise SpecError(faults)
    return plan


def _plan_image(name: str, wanted: Wanted) -> Plan:
    image = wanted.machine.image
    if not wanted.disk.exists():
        access = disk.Access(allow_backing=image.allow_backing)
        with disk.open(str(wanted.source), "r", image.source_format, access) as chain:
            grown = image.size if image.size and image.size > chain.size else None
        convert = Convert(
            source=str(wanted.source),
            target=str(wanted.disk),
            source_format=image.source_format,
            target_format=image.format,
            size=grown,
            allow_backing=image.allow_backing,
        )
        return Plan("", (convert,))
    there = disk.info(str(wanted.disk), image.format)
    if image.size and there.virtual_size < image.size:
        found = f"{wanted.disk} is {format_size(there.virtual_size)}, expected {format_size(image.size)}"
        raise UsageError(f"{found}; virtkit does not grow a disk that is there yet")
    with connection.open() as libvirt:
        known = libvirt.find(name) is not None
    return Plan("", (), () if known else (f"{name}: uses the disk that is there, {wanted.disk}",))


def _new(name: str, wanted: Wanted, system: System) -> list[Action]:
    actions: list[Action] = [Define(name, wanted.domain.text())]
    if wanted.machine.autostart:
        actions.append(Autostart(name, enabled=True))
    actions.append(Start(name))
    return actions + _pin(name, wanted, None, system)


def _changed(name: str, wanted: Wanted, machine: Machine, system: System) -> list[Action]:
    """What the file does not speak of (a disk plugged in by hand) stays as it is."""
    there = machine.next_start()
    before = there.digest
    _refuse_strangers(name, there, wanted.domain)
    actions: list[Action] = []
    if _adapt(there, wanted.domain):
        actions.append(Define(name, there.text(), replaces=before))
    for nic in wanted.domain.nics:
        present = there.nic(nic.mac)
        if present is not None and (present.type, present.source) != (nic.type, nic.source):
            actions.append(Attach(name, nic.mac, nic.source, nic.type))
    if machine.starts_with_host != wanted.machine.autostart:
        actions += vm.autostart(name, enabled=wanted.machine.autostart).actions
    if not machine.active:
        actions.append(Start(name))
    return actions + _pin(name, wanted, machine, system)


def _refuse_strangers(name: str, there: Domain, wanted: Domain) -> None:
    """UsageError where the machine of this name is built otherwise than values alone can mend."""
    if there.type != wanted.type:
        raise UsageError(f"machine {name} is defined with type {there.type}, expected {wanted.type}")
    for missing in {each.source for each in wanted.disks} - {each.source for each in there.disks}:
        raise UsageError(f"machine {name} is defined without the disk {missing}, expected that disk")
    for nic in wanted.nics:
        if there.nic(nic.mac) is None:
            raise UsageError(f"machine {name} is defined without a network card {nic.mac}, expected one")


def _adapt(there: Domain, wanted: Domain) -> bool:
    """Give ``there`` the file's values; whether any was different."""
    before = there.essentials()
    if there.memory != wanted.memory:
        there.memory = there.balloon = wanted.memory
    if there.vcpus != wanted.vcpus:
        there.vcpus = wanted.vcpus
    policies = {each.source: (each.cache, each.io) for each in wanted.disks}
    for each in there.disks:
        if (policy := policies.get(each.source, (each.cache, each.io))) != (each.cache, each.io):
            each.cache, each.io = policy
    return there.essentials() != before


def _pin(name: str, wanted: Wanted, machine: Machine | None, system: System) -> list[Action]:
    """After the start, so that each thread of the running process is set and read back."""
    if wanted.pins is None or (machine is not None and machine.active and pinning.done(machine, wanted.pins, system)):
        return []
    return [Pin.of(name, wanted.pins)]
