"""What a backup will hold: by disk all of it, or what changed since the point before, where that is known for sure."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import BusyError, ConflictError, NotFoundError, NotSupportedError, SystemCallError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System, is_root
from virtkit.core.units import format_size
from virtkit.recipes.backups import store
from virtkit.recipes.backups.action import BackUp, prefix
from virtkit.recipes.snapshots.chains import TRUSTED, check_local
from virtkit.vm import connection
from virtkit.vm.access import explain
from virtkit.vm.agent import Agent
from virtkit.vm.backups import job
from virtkit.vm.snapshots import kinds
from virtkit.vm.snapshots.snapshot import INTERNAL, of_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.recipes.backups.store import Point
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Disk
    from virtkit.vm.machine import Machine


def backup(name: str, target: str, *, incremental: bool = False, pull: bool = False, compress: bool = False) -> Plan:
    """A point more in the directory ``target``, of a machine that runs or is off.

    ``incremental``: what changed since the newest point there; a disk of which that is not known for sure is full
    again, and the plan says why. ``pull``: QEMU offers the disks and this process writes the images, which it alone
    can do ``compress``-ed, and where QEMU may not write. ConflictError where the directory is another machine's.
    """
    target = os.path.abspath(target)
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        check_local(libvirt, machine.name)
        _refuse_unwritable(libvirt, machine.name, target)
        _refuse_unfit(machine)
        disks = kinds.writable(machine.now())
        if not disks:
            raise UsageError(f"{machine.name}: has no disk that it may write, expected one")
        earlier = store.points(target) if os.path.isdir(target) else ()
        if not (pull or compress):
            _refuse_unreachable(libvirt, machine, target)
        last = earlier[-1] if earlier else None
        if last and last.uuid != machine.uuid:
            found = f"{target}: holds backups of {last.machine} ({last.uuid}), expected those of {machine.name}"
            raise ConflictError(found, hint="another directory")
        why = {each.target: _why_full(machine, each, target, last) for each in disks} if incremental else {}
        step = _step(machine, disks, target, last, why if incremental else None)
        step = replace(step, pull=pull or compress, compress=compress)
        _refuse_full(machine, disks, step)
        return Plan(f"back up machine {machine.name}", (step,), tuple(_notes(machine, step)))


def _refuse_unwritable(libvirt: Connection, name: str, target: str) -> None:
    """The directory is made by who asks, and the record is theirs, whoever writes the images."""
    if not (is_root() or libvirt.session):
        found = f"{name}: is root's machine, and what its QEMU writes and offers is root's alone"
        raise NotSupportedError(found, hint="sudo virtkit vm backup ...")
    above = os.path.dirname(target)
    if not os.path.isdir(above):
        raise NotFoundError(f"{name}: {above} is not there", hint=f"mkdir -p {above}")
    if not os.access(target if os.path.isdir(target) else above, os.W_OK | os.X_OK):
        raise NotSupportedError(f"{name}: you may not write to {target}", hint="another directory")


def _refuse_unreachable(libvirt: Connection, machine: Machine, target: str) -> None:
    """QEMU runs as a user of its own: it must be able to pass every directory down to where it writes."""
    if found := explain.stopped(libvirt, f"{target}/image", System(), machine.next_start()):
        raise NotSupportedError(f"{machine.name}: {found[0]}", hint=f"{found[1]}, or another directory, or --pull")


def _step(
    machine: Machine, disks: Sequence[Disk], target: str, last: Point | None, why: dict[str, str] | None
) -> BackUp:
    """``why``: by disk what keeps it from being incremental; None: that was not asked for."""
    number = last.number + 1 if last else 1
    tracked = [each.target for each in disks if each.format == "qcow2"]
    unlike = os.urandom(4).hex()  # whoever was killed may have left a checkpoint of this number
    checkpoint = f"{prefix(target)}{number:04d}-{unlike}" if tracked else ""
    less = [each.target for each in disks if why is not None and not why[each.target]]
    since = {each.target: last.checkpoint if last and each.target in less else "" for each in disks}
    parents = {each.target: last.number if last and each.target in less else 0 for each in disks}
    calm = machine.active and machine.now().agent_connected and Agent(machine).ping(2)
    return BackUp(
        machine.name, target, number, checkpoint, tracked, dict(since), dict(parents), dict(why or {}), freeze=calm
    )


def _why_full(machine: Machine, each: Disk, target: str, last: Point | None) -> str:
    """Empty if what changed since ``last`` is known for sure."""
    if last is None:
        return "it is the first backup there"
    return _why_copied(machine, each, target, last) or _why_untracked(machine, each, last)


def _why_copied(machine: Machine, each: Disk, target: str, last: Point) -> str:
    """What keeps ``last`` from being what it stands on."""
    volume = next((one for one in last.volumes if one.target == each.target), None)
    image = store.image(target, last.number, each.target)
    if volume is None:
        return f"it is not in backup {last.number}"
    if not os.path.exists(image):
        return f"{image} is gone"
    size = int(machine.ask(list, "blockInfo", each.target, 0)[0])
    return "" if size == volume.size else f"its size was {format_size(volume.size)}"


def _why_untracked(machine: Machine, each: Disk, last: Point) -> str:
    if each.format != "qcow2":
        return f"{each.format or 'raw'} images keep no bitmaps"
    if any(INTERNAL in one.kinds for one in of_machine(machine)):
        return "going back to an internal snapshot leaves no trace in bitmaps, and there are some"
    if not last.checkpoint or not job.has_checkpoint(machine, last.checkpoint):
        return f"libvirt's checkpoint of backup {last.number} is gone"
    found = _running(machine, each) if machine.active else _resting(each)
    if last.checkpoint not in found:
        return f"{each.source} has no bitmap {last.checkpoint}"
    return "" if found[last.checkpoint] else f"the bitmap in {each.source} is broken, as after a crash of QEMU"


def _running(machine: Machine, each: Disk) -> dict[str, bool]:
    """By name whether a bitmap is whole, of the image that the machine writes."""
    nodes = machine.monitor({"execute": "query-named-block-nodes", "arguments": {"flat": True}})
    records = [node for node in (nodes if isinstance(nodes, list) else []) if isinstance(node, dict)]
    found: dict[str, bool] = {}
    for node in records:
        kept = node.get("dirty-bitmaps", [])
        if node.get("file") == each.source and node.get("drv") == "qcow2" and isinstance(kept, list):
            found |= {str(bitmap.get("name")): not bitmap.get("inconsistent") for bitmap in map(_record, kept)}
    return found


def _resting(each: Disk) -> dict[str, bool]:
    """As ``_running``, of a machine that is off: QEMU marks a bitmap while it has it, and a crash leaves the mark."""
    kept = (disk.info(each.source, each.format, TRUSTED).facts.specific or {}).get("bitmaps")
    records = map(_record, kept if isinstance(kept, (list, tuple)) else [])
    return {str(bitmap.get("name")): "in-use" not in str(bitmap.get("flags")) for bitmap in records}


def _record(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _refuse_unfit(machine: Machine) -> None:
    if not machine.persistent:
        raise NotSupportedError(
            f"{machine.name}: is transient, expected a defined machine", hint="virsh define its XML"
        )
    if not machine.active and machine.saved:
        raise BusyError(
            f"{machine.name}: holds a saved memory image, expected it running or shut off",
            hint=f"virtkit vm start {machine.name}",
        )


def _refuse_full(machine: Machine, disks: Sequence[Disk], step: BackUp) -> None:
    """Room for the disks that are full; how much changed of the others nobody knows before."""
    home = step.target if os.path.isdir(step.target) else os.path.dirname(step.target)
    needed = sum(
        int(machine.ask(list, "blockInfo", each.target, 0)[1]) for each in disks if not step.since[each.target]
    )
    try:
        room = os.statvfs(home)
    except OSError as error:
        raise SystemCallError(f"look at {home}", error) from error
    if room.f_bavail * room.f_frsize < needed:
        free = format_size(room.f_bavail * room.f_frsize)
        raise NotSupportedError(f"{step.target}: has {free} free, expected {format_size(needed)}", hint=f"df {home}")


def _notes(machine: Machine, step: BackUp) -> list[str]:
    notes = [f"disk {target} is backed up in full: {why}" for target, why in step.why.items() if why]
    if not machine.active:
        notes.append("QEMU is started for it, paused: the guest does not run")
    elif step.freeze:
        notes.append("its file systems are frozen for the moment at which it begins")
    else:
        notes.append("nothing freezes the guest: its file systems are as after a power cut")
    left = [each.target for each in machine.now().disks if each.source and each.target not in step.since]
    if left:
        notes.append(f"not in it, because the machine does not write them alone: {', '.join(left)}")
    return notes
