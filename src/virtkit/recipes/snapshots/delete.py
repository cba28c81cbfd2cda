"""A snapshot is deleted: its state goes, what was written since is merged into the image that had it.

libvirt merges, running or not. Before it may, the chain of images is read from the files: whatever else stands on
an image that is about to be written would be ruined by it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import ConflictError, NotSupportedError
from virtkit.core.plan import Plan
from virtkit.recipes.snapshots import chains
from virtkit.vm import actions, connection
from virtkit.vm.snapshots import kinds
from virtkit.vm.snapshots.snapshot import INTERNAL, named, of_machine

if TYPE_CHECKING:
    from virtkit.disk.description import Info
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.snapshots.snapshot import Place, Snapshot

MERGES = 9_000_000  # libvirt 9.0 deletes external snapshots


def delete(name: str, snapshot: str) -> Plan:
    """ConflictError names what else stands on the image; NotSupportedError where another tool mixed kinds."""
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        wanted = named(machine, snapshot)
        kinds.refuse_mixed(machine.name, of_machine(machine))
        title = f"delete snapshot {snapshot} of machine {machine.name}"
        if wanted.kind == INTERNAL:
            step = actions.DeleteSnapshot(machine.name, snapshot, [])
            return Plan(title, (step,), ("its state is gone then; the machine stays as it is now",))
        chains.check_local(libvirt, machine.name)
        return _outside(title, machine, wanted, libvirt)


def _outside(title: str, machine: Machine, wanted: Snapshot, libvirt: Connection) -> Plan:
    found = chains.chains(machine.now(), [place.target for place in wanted.places])
    tops = {place.target: _top(machine.name, place, found.get(place.target, [])) for place in wanted.places}
    if not any(tops.values()):
        files = [each for place in wanted.places for each in (place.overlay, place.base)]
        stay = "the machine does not stand on it now; these files stay, others may need them: " + ", ".join(files)
        return Plan(title, (actions.DeleteSnapshot(machine.name, wanted.name, [], forget=True),), (stay,))
    if not all(tops.values()):
        lacking = ", ".join(target for target, top in tops.items() if not top)
        raise ConflictError(f"{machine.name}: disk {lacking} does not stand on snapshot {wanted.name}, others do")
    if libvirt.host.ask(int, "getLibVersion") < MERGES:
        raise NotSupportedError(
            f"{machine.name}: libvirt is older than 9.0, expected one that merges external snapshots"
        )
    for place in wanted.places:
        _refuse_heirs(machine, wanted, place, libvirt)
    merged = [f"{place.overlay} into {place.base}" for place in wanted.places]
    notes = ["the state of then is gone; the machine stays as it is now"]
    if not machine.active:
        notes.append("libvirt starts QEMU for it, paused: the guest does not run")
    return Plan(title, (actions.DeleteSnapshot(machine.name, wanted.name, list(merged)),), tuple(notes))


def _top(name: str, place: Place, chain: list[Info]) -> str:
    """The overlay, if the machine stands on it, right above the image with the state; empty if it does not."""
    there, overlay, base = chains.names(chain), os.path.realpath(place.overlay), os.path.realpath(place.base)
    if overlay not in there:
        return ""
    below = there[there.index(overlay) + 1 :][:1]
    if below != [base]:
        raise ConflictError(
            f"{name}: {overlay} stands on {(below or ['nothing'])[0]}, expected {base} as the snapshot says",
            hint=f"virtkit disk info --backing-chain {overlay}",
        )
    return overlay


def _refuse_heirs(machine: Machine, wanted: Snapshot, place: Place, libvirt: Connection) -> None:
    """Whoever else reads the base sees it change under them."""
    base, overlay = os.path.realpath(place.base), os.path.realpath(place.overlay)
    for heir in chains.heirs(base):
        if os.path.realpath(heir) != overlay:
            raise ConflictError(
                f"{machine.name}: {heir} stands on {base}, too, and would be ruined by the merge",
                hint=f"virtkit disk rebase {heir} -b ''   (to keep it), or rm {heir}   (if nobody needs it)",
            )
    for one in of_machine(machine):
        if one.name != wanted.name and base in {os.path.realpath(each.base) for each in one.places}:
            hint = f"virtkit vm snapshot {machine.name} delete {one.name}"
            raise ConflictError(f"{machine.name}: snapshot {one.name} is in {base}, too, and would be lost", hint=hint)
    for other in libvirt.machines():
        sources = {os.path.realpath(disk.source) for disk in other.next_start().disks if disk.source.startswith("/")}
        if base in sources or (other.name != machine.name and overlay in sources):
            raise ConflictError(f"{machine.name}: machine {other.name} uses {base}, too, and would see it change")
