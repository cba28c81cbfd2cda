"""Another machine like one that is there, as one plan: its disks, its firmware's variables, its definition."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from virtkit import disk
from virtkit.core.errors import BusyError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.recipes.making import login, places, volumes
from virtkit.recipes.making.copies import Copies
from virtkit.recipes.making.twin import twin, warnings
from virtkit.vm import connection, templating
from virtkit.vm.access import explain
from virtkit.vm.actions import Define, Start

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.making.order import Way
    from virtkit.recipes.seed.actions import WriteSeed
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine


def plan_clone(name: str, new: str, way: Way, system: System) -> Plan:
    """BusyError for a machine that runs; ConflictError for what is taken; NotSupportedError for disks that cannot."""
    with connection.open() as libvirt:
        places.require_local(libvirt)
        machine = libvirt.machine(name)
        places.require_name(libvirt, new)
        _require_still(machine)
        old = machine.next_start()
        if way.by == "overlay" and not templating.is_one(old):
            found = f"{machine.name}: is no template, and its next start would destroy what stands on its disks"
            raise NotSupportedError(found, hint=f"virtkit vm template {machine.name}, or --by copy")
        made = twin(old, new, str(uuid4()))
        copies = Copies(old, made, way, libvirt, system)
        steps: list[Action] = [*copies.disks(), *copies.variables()]
        seed = _seed(made, way, libvirt, system)
        if way.start:
            explain.require(libvirt, made, system)
        barred = explain.notes(libvirt, explain.files(made), system, made)
        listed = volumes.refreshes(libvirt, [each.source for each in made.disks if each.source])
    steps += [*([seed] if seed else []), *listed, Define(new, made.text()), *([Start(new)] if way.start else [])]
    notes = [*warnings(made), *barred, *_snapshots(old), _identity(old.name, new, seeded=seed is not None)]
    return Plan(f"clone machine {old.name} as {new}", tuple(steps), tuple(notes))


def _require_still(machine: Machine) -> None:
    if machine.active:
        found = f"{machine.name}: is {machine.state}, expected shut off: a copy of disks that are written to is torn"
        raise BusyError(found, hint=f"virtkit vm stop {machine.name}")
    if machine.saved:
        found = f"{machine.name}: holds a saved memory image, and its disks are those of a machine that runs"
        raise BusyError(found, hint=f"virtkit vm start {machine.name} && virtkit vm stop {machine.name}")
    if machine.holds_secrets:
        found = f"{machine.name}: its XML holds a password, which the journal must not hold"
        raise NotSupportedError(found, hint=f"virsh edit {machine.name}")


def _seed(made: Domain, way: Way, libvirt: Connection, system: System) -> WriteSeed | None:
    """A new one, in the place of the old one if there is one."""
    if way.login is None:
        return None
    first = next((each for each in made.disks if each.device == "disk" and each.source), None)
    if first is None:
        raise UsageError(f"{made.name}: has no disk, and nothing on it would read a seed", hint="without --user ...")
    directory = way.directory or os.path.dirname(first.source)
    seed = login.seed(made.name, made.uuid, way.login, directory)
    places.require_free(libvirt, seed.path, system)
    login.plug_in(made, seed.path)
    return seed


def _snapshots(old: Domain) -> list[str]:
    found = [
        each.target
        for each in old.disks
        if each.device == "disk" and each.type == "file" and each.format == "qcow2" and os.path.exists(each.source)
        if disk.info(each.source, "qcow2").facts.snapshots
    ]
    return [f"the internal snapshots of {', '.join(found)} stay with {old.name}"] if found else []


def _identity(old: str, new: str, *, seeded: bool) -> str:
    """What is inside the disks nobody changed: it is the guest's."""
    if seeded:
        return f"{new}: cloud-init gives it its own name and SSH host keys; still {old}'s: /etc/machine-id"
    keys, machine = "rm /etc/ssh/ssh_host_*; ssh-keygen -A", "rm /etc/machine-id; systemd-machine-id-setup"
    found = f"{new}: the guest has {old}'s host name, SSH host keys and machine-id still"
    return f"{found}; in it: hostnamectl set-hostname {new}; {keys}; {machine}"
