"""Snapshots: what there are, and one more. Going back and deleting look into the images: ``recipes.snapshots``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ConflictError, MachineError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from virtkit.vm.actions import TakeSnapshot
    from virtkit.vm.machine import Machine
    from virtkit.vm.snapshots.snapshot import Snapshot


class _Wish(NamedTuple):
    """As ``create_snapshot`` has it."""

    name: str
    kind: str
    memory: bool
    freeze: bool | None
    directory: str
    description: str


def list_snapshots(name: str) -> tuple[Snapshot, ...]:
    """Parents before their children."""
    from virtkit.vm import connection
    from virtkit.vm.snapshots.snapshot import of_machine

    with connection.open() as libvirt:
        return of_machine(libvirt.machine(name))


def create_snapshot(
    name: str,
    snapshot: str = "",
    *,
    kind: str = "",
    memory: bool = False,
    freeze: bool | None = None,
    directory: str = "",
    description: str = "",
    system: System | None = None,
) -> Plan:
    """Keep a machine as it is now, running or not; ``snapshot`` is named after the time unless told.

    ``kind``: internal or external; else that of the snapshots that there are, else external. ``memory``: of a running
    machine, too; an internal snapshot of one always has it. ``freeze``: the guest's file systems, by its agent; None:
    if it answers. ``directory``: of the overlays, else beside the disks.

    NotSupportedError where kinds would mix or a disk cannot, ConflictError where the name or a file is taken.
    """
    from virtkit.vm import connection
    from virtkit.vm.snapshots.order import check_name
    from virtkit.vm.snapshots.snapshot import find

    snapshot = snapshot or time.strftime("%Y%m%d-%H%M%S")
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        check_name(machine.name, snapshot)
        if find(machine, snapshot) is not None:
            hint = f"virtkit vm snapshot {machine.name} list"
            raise ConflictError(f"{machine.name}: snapshot {snapshot} exists already", hint=hint)
        made = _Wish(snapshot, kind, memory, freeze, directory, description)
        step = _step(machine, made)
        if libvirt.local:
            _refuse_taken(machine.name, step, system or System())
        return Plan(f"snapshot {snapshot} of machine {machine.name}", (step,), _notes(machine, step))


def _step(machine: Machine, wish: _Wish) -> TakeSnapshot:
    from virtkit.vm.actions import TakeSnapshot
    from virtkit.vm.snapshots import kinds, order
    from virtkit.vm.snapshots.snapshot import INTERNAL

    name, domain = machine.name, machine.now()
    inside = kinds.kind_for(machine, wish.kind) == INTERNAL
    disks = kinds.writable(domain)
    if not disks:
        raise UsageError(f"{name}: has no disk that it may write, expected one")
    kinds.refuse_unfit(machine, disks, kinds.kind_for(machine, wish.kind))
    if wish.memory and not machine.active:
        raise UsageError(f"{name}: is {machine.state}, expected running for a snapshot of its memory")
    if inside and wish.directory:
        raise UsageError(f"{name}: directory is {wish.directory}, expected none: an internal snapshot makes no file")
    files = {} if inside else {disk.target: order.overlay(name, disk, wish.name, wish.directory) for disk in disks}
    memory = "no"
    if machine.active and (wish.memory or inside):
        memory = "internal" if inside else order.memory_file(files, name, wish.name)
    targets = {disk.target: files.get(disk.target, "") for disk in disks}
    others = [disk.target for disk in domain.disks if disk.target not in targets]
    request = order.request(wish.name, wish.description, targets, memory, others)
    calm = _freezes(machine, wish, with_memory=memory != "no")
    return TakeSnapshot(name, wish.name, request, dict(files), memory, calm)


def _freezes(machine: Machine, wish: _Wish, *, with_memory: bool) -> bool:
    """Memory has what the guest has not written yet: there is nothing to freeze then."""
    from virtkit.vm.agent import Agent

    if with_memory or not machine.active:
        if wish.freeze:
            why = "its memory is kept, too" if with_memory else f"it is {machine.state}"
            raise UsageError(f"{machine.name}: freeze is set, expected none: {why}")
        return False
    if wish.freeze is False:
        return False
    answers = machine.now().agent_connected and Agent(machine).ping(2)
    if wish.freeze and not answers:
        hint = f"virtkit vm snapshot {machine.name} create --no-freeze   (as after a power cut)"
        raise MachineError(f"{machine.name}: its guest agent does not answer, which is to freeze it", hint=hint)
    return answers


def _refuse_taken(name: str, step: TakeSnapshot, system: System) -> None:
    for file in (*map(str, step.overlays.values()), step.memory):
        if file.startswith("/") and system.exists(file):
            raise ConflictError(f"{name}: {file} exists already, expected none", hint="another name for the snapshot")


def _notes(machine: Machine, step: TakeSnapshot) -> tuple[str, ...]:
    if not machine.active or step.memory != "no":
        return ()
    if step.freeze:
        return ("going back starts the guest anew, from file systems that are whole",)
    return ("nothing freezes the guest: going back is for it as a start after a power cut",)
