"""Logical volumes as raw disks: listed, made, snapshotted and removed through LVM's own tools.

A volume is opened by its path as any block device, or as ``VG/LV`` (disk/file.py). LVM and the kernel's device-mapper
do the work; here is what they are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.core.units import format_size, round_up
from virtkit.disk.lvm import tools
from virtkit.disk.lvm.actions import CreateVolume, SnapshotVolume
from virtkit.disk.lvm.report import Group, Kind, Volume

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Group", "Kind", "Volume", "create", "doomed", "find", "groups", "remove", "snapshot", "volumes"]

_SHARE = 5  # of a volume: what its snapshot may take if the user does not say, as LVM's own documentation has it


def groups(system: System | None = None) -> list[Group]:
    """All volume groups, by name. NotSupportedError where LVM is not installed, CommandError."""
    return tools.groups(system or System())


def volumes(system: System | None = None) -> list[Volume]:
    """All logical volumes that are to be used, thin pools among them, by group and name."""
    return tools.volumes(system or System())


def find(name: str, system: System | None = None) -> Volume:
    """The volume that a person calls ``VG/LV``, /dev/VG/LV or /dev/mapper/VG-LV; NotFoundError."""
    return tools.find(system or System(), name)


def create(
    name: str, size: int, *, pool: str | None = None, as_pool: bool = False, system: System | None = None
) -> Plan:
    """A new volume ``VG/LV`` of ``size`` bytes, rounded up to whole extents of its group.

    ``pool``: a thin volume in that thin pool of the group, which may be larger than what there is. ``as_pool``: it is
    such a pool itself. UsageError where the name is taken or wrong, or the group has no room.
    """
    system = system or System()
    group_name, volume = tools.split(name)
    group = tools.group(system, group_name)
    size = round_up(size, group.extent_size)
    if size <= 0:
        raise UsageError(f"{name}: size is {size}, expected more than 0", hint="10G")
    if pool is None:
        _require_room(group, size)
    elif tools.find(system, f"{group_name}/{pool}").kind is not Kind.POOL:
        raise UsageError(f"{group_name}/{pool}: is no thin pool", hint="virtkit disk lvm list")
    _require_free_name(system, name)
    action = CreateVolume(group_name, volume, size, pool, as_pool)
    return Plan(f"create {name}", (action,))


def snapshot(origin: str, name: str, size: int | None = None, *, system: System | None = None) -> Plan:
    """What ``origin`` holds now, as a volume ``name`` of its group that can be read and written.

    ``size``: bytes that may change on either before the snapshot is worth nothing; None: a fifth of the volume. Thin
    volumes have snapshots without a size. UsageError.
    """
    system = system or System()
    volume = tools.find(system, origin)
    group_name, own = tools.split(f"{volume.group}/{name}")
    _require_snapshot_possible(volume, size)
    _require_free_name(system, f"{group_name}/{own}")
    notes: tuple[str, ...] = ()
    if not volume.thin:
        group = tools.group(system, group_name)
        size = round_up(size or volume.size // _SHARE, group.extent_size)
        _require_room(group, size)
        notes = (f"it is worth nothing once more than {format_size(size)} were changed",)
    return Plan(f"snapshot {volume.full_name}", (SnapshotVolume(group_name, volume.name, own, size),), notes)


def doomed(name: str, *, with_snapshots: bool = False, system: System | None = None) -> list[Volume]:
    """What ``remove`` would remove, in its order. BusyError where one is open.

    UsageError where other volumes go with it (snapshots of a volume, all volumes of a thin pool) and
    ``with_snapshots`` is not set.
    """
    system = system or System()
    volume = tools.find(system, name)
    others = _dependents(volume, tools.volumes(system))
    if others and not with_snapshots:
        names = ", ".join(other.full_name for other in others)
        raise UsageError(f"{volume.full_name}: {names} would go with it", hint="--with-snapshots")
    for found in (*others, volume):
        if found.open and found.kind is not Kind.POOL:
            raise BusyError(f"{found.full_name}: is open", hint=f"fuser -v {found.path}")
    return [*others, volume]


def remove(volumes: Sequence[Volume], system: System | None = None) -> None:
    """For good. CommandError where LVM refuses; what was removed before stays so."""
    for volume in volumes:
        tools.remove(system or System(), volume.full_name)


def _dependents(volume: Volume, known: Sequence[Volume]) -> list[Volume]:
    """Thin snapshots live on without their origin, others do not."""
    return [
        other
        for other in known
        if other.group == volume.group
        and (other.pool == volume.name or (other.origin == volume.name and not other.thin))
    ]


def _require_room(group: Group, size: int) -> None:
    if size > group.free:
        found = f"{format_size(group.free)} of {format_size(group.size)} are free"
        raise UsageError(f"{group.name}: {found}, expected {format_size(size)}", hint=f"vgextend {group.name} DEVICE")


def _require_free_name(system: System, name: str) -> None:
    try:
        tools.find(system, name)
    except NotFoundError:
        return
    raise UsageError(f"{name}: exists already", hint="virtkit disk lvm list")


def _require_snapshot_possible(volume: Volume, size: int | None) -> None:
    if volume.kind is Kind.POOL:
        raise UsageError(f"{volume.full_name}: is a thin pool, expected a volume", hint="virtkit disk lvm list")
    if volume.kind is Kind.SNAPSHOT:
        raise UsageError(f"{volume.full_name}: is a snapshot, of which LVM makes none", hint=f"{volume.group}/ORIGIN")
    if volume.thin and size is not None:
        raise UsageError(f"{volume.full_name}: is a thin volume, whose snapshots have no size of their own")
