"""Which kind a snapshot is to be, and what must not be mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.vm.snapshots.snapshot import EXTERNAL, INTERNAL, of_machine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.vm.devices import Disk
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine
    from virtkit.vm.snapshots.snapshot import Snapshot


def writable(domain: Domain) -> tuple[Disk, ...]:
    """The disks whose content can change: a snapshot is of all of them, or of no one moment."""
    return tuple(
        disk
        for disk in domain.disks
        if disk.source
        and disk.device in ("", "disk", "lun")
        and disk.node.find("readonly") is None
        and disk.node.find("shareable") is None
    )


def kind_for(machine: Machine, wanted: str) -> str:
    """``wanted``, else the kind of the snapshots that there are, else external. NotSupportedError if that mixes."""
    there = of_machine(machine)
    refuse_mixed(machine.name, there)
    known = next((one.kind for one in there), "")
    if wanted and known and wanted != known:
        first = next(one.name for one in there)
        raise NotSupportedError(
            f"{machine.name}: has {known} snapshots ({first}), expected no {wanted} one beside them: tools that merge "
            "an overlay into an image with internal snapshots have lost both (virt-manager #811, #862)",
            hint=f"virtkit vm snapshot {machine.name} create --{known}, or delete the {known} ones first",
        )
    return wanted or known or EXTERNAL


def refuse_mixed(name: str, snapshots: Iterable[Snapshot]) -> None:
    """NotSupportedError where another tool mixed them: one more change may lose data."""
    kinds: dict[str, list[str]] = {}
    for one in snapshots:
        for kind in one.kinds:
            kinds.setdefault(kind, []).append(one.name)
    if len(kinds) > 1:
        inside, outside = ", ".join(kinds[INTERNAL]), ", ".join(kinds[EXTERNAL])
        raise NotSupportedError(
            f"{name}: mixes internal snapshots ({inside}) with external ones ({outside}), expected one kind: merging "
            "an overlay may lose an image that holds internal ones (virt-manager #811, #862)",
            hint=f"copy it first: virtkit disk convert the images that virtkit vm show {name} names",
        )


def refuse_unfit(machine: Machine, disks: Iterable[Disk], kind: str) -> None:
    """What cannot hold a snapshot of this kind, before anything is touched."""
    if not machine.persistent:
        hint = f"virsh dumpxml {machine.name} >{machine.name}.xml, and virsh define {machine.name}.xml"
        raise NotSupportedError(f"{machine.name}: is transient, expected a defined machine", hint=hint)
    if machine.saved:
        raise BusyError(
            f"{machine.name}: holds a saved memory image that belongs to its disks as they are, expected none",
            hint=f"virtkit vm start {machine.name}   (to go on with it), or: virsh managedsave-remove {machine.name}",
        )
    if kind == INTERNAL and not machine.active and machine.ask(list, "listAllCheckpoints", 0):
        found = f"{machine.name}: is off and has checkpoints of backups, expected it running for an internal snapshot"
        raise NotSupportedError(found, hint=f"virtkit vm start {machine.name}, or create --external")
    for disk in disks:
        if kind == INTERNAL and disk.format != "qcow2":
            found = (
                f"{machine.name}: disk {disk.target} is {disk.format or 'raw'}, expected qcow2 for internal snapshots"
            )
            raise NotSupportedError(found, hint=f"virtkit vm snapshot {machine.name} create --external")
        if kind == EXTERNAL and disk.node.get("type") not in ("file", "block"):
            found = (
                f"{machine.name}: disk {disk.target} is of type {disk.node.get('type')}, expected a file or a device"
            )
            raise NotSupportedError(found, hint="the storage itself may keep snapshots")
    firmware = machine.next_start().node.find("os/loader[@type='pflash']")
    if kind == INTERNAL and (firmware is not None or machine.next_start().node.find("os[@firmware='efi']") is not None):
        found = f"{machine.name}: keeps UEFI variables in a raw file, expected none with internal snapshots"
        raise NotSupportedError(found, hint=f"virtkit vm snapshot {machine.name} create --external")
