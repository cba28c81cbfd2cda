"""Back to a snapshot, on any libvirt.

libvirt before 9.9 does not go back to an external snapshot. The plan does: the image with the state is left as it is,
and the machine goes on in a new overlay on it. The overlay that it leaves stays, and undo leads back to it.
"""

from __future__ import annotations

import os
import time
from itertools import count
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import NotFoundError, UsageError
from virtkit.core.plan import Plan
from virtkit.recipes.snapshots import chains
from virtkit.recipes.snapshots.overlays import Overlay
from virtkit.vm import actions, connection
from virtkit.vm.domain import Domain
from virtkit.vm.snapshots import kinds, order
from virtkit.vm.snapshots.memory import moved
from virtkit.vm.snapshots.snapshot import INTERNAL, named, of_machine

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.vm.machine import Machine
    from virtkit.vm.snapshots.snapshot import Place, Snapshot


def revert(name: str, snapshot: str) -> Plan:
    """NotSupportedError where another tool mixed kinds; NotFoundError where a file of the snapshot is gone."""
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        wanted = named(machine, snapshot)
        kinds.refuse_mixed(machine.name, of_machine(machine))
        able = kinds.writable(machine.now())
        kinds.refuse_unfit(machine, able, wanted.kind)
        if wanted.kind == INTERNAL:
            return _inside(machine, wanted)
        chains.check_local(libvirt, machine.name)
        if (now := {each.target for each in able}) != (then := {place.target for place in wanted.places}):
            found = f"disks are {', '.join(sorted(now))}, expected {', '.join(sorted(then))} as in snapshot {snapshot}"
            raise UsageError(f"{machine.name}: {found}", hint=f"virtkit vm snapshot {machine.name} show {snapshot}")
        _check_files(machine.name, wanted)
        return _outside(machine, wanted)


def _inside(machine: Machine, wanted: Snapshot) -> Plan:
    """The present state is kept first, as a snapshot of its own."""
    present = time.strftime(f"before-{wanted.name[:40]}-%Y%m%d-%H%M%S")
    targets = {place.target: "" for place in wanted.places}
    memory = "internal" if machine.active else "no"
    others = [each.target for each in machine.now().disks if each.target not in targets]
    request = order.request(present, f"left for {wanted.name}", targets, memory, others)
    steps = (
        actions.TakeSnapshot(machine.name, present, request, {}, memory),
        actions.RevertInternal(machine.name, wanted.name, present),
    )
    forget = f"the present state is kept as {present}: virtkit vm snapshot {machine.name} delete {present}"
    return Plan(_title(machine, wanted), steps, (forget,))


def _outside(machine: Machine, wanted: Snapshot) -> Plan:
    files = {place.target: _free(machine.name, place, wanted.name) for place in wanted.places}
    old = machine.next_start()
    new = Domain.parse(old.text())
    moved(new, files)
    steps: list[Action] = []
    if machine.active:
        steps.append(actions.Stop(machine.name, force=True))
    steps += [Overlay(files[place.target], place.base, place.format) for place in wanted.places]
    steps.append(actions.Redefine.of(machine.name, old, new))
    steps.append(actions.MoveSnapshot(machine.name, wanted.name, dict(files)))
    if wanted.memory_file:
        steps.append(actions.ResumeMemory(machine.name, wanted.memory_file, dict(files)))
    elif machine.active:
        steps.append(actions.Start(machine.name))
    return Plan(_title(machine, wanted), tuple(steps), tuple(_notes(machine, wanted)))


def _notes(machine: Machine, wanted: Snapshot) -> list[str]:
    left = [each.source for each in kinds.writable(machine.next_start())]
    notes = [f"what was written since stays in {', '.join(left)}: undo leads back to it"]
    if machine.active:
        notes.append("it is switched off for it: what the guest has not written yet is lost to undo, too")
    if any(one.parent == wanted.name for one in of_machine(machine)):
        notes.append(f"the snapshots after {wanted.name} stay, and can be gone to")
    notes.append("its settings stay as they are now")
    return notes


def _check_files(name: str, wanted: Snapshot) -> None:
    needed = [place.base for place in wanted.places] + ([wanted.memory_file] if wanted.memory_file else [])
    for file in needed:
        if not os.path.exists(file):
            found = f"{name}: snapshot {wanted.name} needs {file}, which is not there"
            raise NotFoundError(found, hint=f"virtkit vm snapshot {name} show {wanted.name}")
    for place in wanted.places:
        disk.info_chain(place.base, place.format, chains.TRUSTED)


def _free(machine: str, place: Place, snapshot: str) -> str:
    """``/images/web1-vda.before-2.qcow2``: beside the overlay that it takes the place of."""
    home = os.path.dirname(place.overlay or place.base)
    paths = (os.path.join(home, f"{machine}-{place.target}.{snapshot}-{number}.qcow2") for number in count(2))
    return next(path for path in paths if not os.path.lexists(path))


def _title(machine: Machine, wanted: Snapshot) -> str:
    return f"machine {machine.name} back to snapshot {wanted.name}"
