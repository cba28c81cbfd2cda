"""A machine and all its files go, as one plan that names each of them before anything is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit import vm
from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.core.plan import Plan
from virtkit.disk import locks
from virtkit.recipes.files import DeleteFiles, SetAside
from virtkit.recipes.making import places
from virtkit.recipes.removal import users, words
from virtkit.recipes.removal.inventory import Inventory, aside
from virtkit.recipes.removal.shelf import Shelf
from virtkit.recipes.removal.volumes import RemoveVolume, removals
from virtkit.vm import actions, connection, pools

if TYPE_CHECKING:
    from virtkit.core.journal import Journal
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine


class Way(NamedTuple):
    """How far it goes."""

    keep_disks: bool = False
    volumes: bool = False  # logical volumes go, too
    trash: bool = False  # the files get other names and stay, and undo is whole
    force: bool = False  # one that runs is killed first


def remove(name: str, journal: Journal, way: Way, system: System) -> Plan:
    """Each file is named, and what stays although the machine names it, with the reason.

    BusyError for one that runs, or of which another program has a disk open; NotSupportedError for a transient one.
    """
    with connection.open() as libvirt:
        places.require_local(libvirt)
        machine = libvirt.machine(name)
        _require_removable(machine, force=way.force)
        shelf = Shelf()
        found = Inventory(machine, libvirt, shelf)
        targets = users.backups(journal, machine.name)
        _sort_out(found, machine, libvirt, shelf, users.directories(libvirt, targets))
        if way.keep_disks:
            _keep_disks(found)
        volumes = _volumes(found, system, asked=way.volumes, active=machine.active)
        _require_closed(machine, found, shelf)
        steps = _steps(machine, found, shelf, volumes, trash=way.trash)
        steps += [actions.RefreshPool(pool) for pool in pools.over(libvirt, found.items)]
        notes = words.notes(machine, found, targets, system, trash=way.trash)
        return Plan(f"remove machine {machine.name}", tuple(steps), tuple(notes))


def _require_removable(machine: Machine, *, force: bool) -> None:
    if not machine.persistent:
        found = f"{machine.name}: is transient, expected a defined machine: libvirt forgets it once it is off"
        raise NotSupportedError(found, hint=f"virtkit vm kill {machine.name}")
    if machine.active and not force:
        hint = f"virtkit vm stop {machine.name}, or --force   (which pulls its plug first)"
        raise BusyError(f"{machine.name}: is {machine.state}, expected shut off", hint=hint)


def _sort_out(found: Inventory, machine: Machine, libvirt: Connection, shelf: Shelf, further: set[str]) -> None:
    """What somebody else needs moves from ``items`` to ``kept``, with all that it stands on."""
    others = users.of_others(libvirt, machine.name, shelf)
    above = shelf.above({os.path.dirname(path) for path, item in found.items.items() if item.image} | further)
    found.take_left_overlays(above)
    own = {*found.items, *(aside(path, machine.uuid) for path in found.items)}
    why: dict[str, str] = {}
    for path in (*found.items, *found.devices):
        real = os.path.realpath(path)  # of a link: who needs the file may name it by the link
        if real in others:
            why[path] = f"{others[real]} needs it"
        elif strangers := sorted(above.get(real, set()) - own):
            why[path] = f"{strangers[0]} stands on it"
    for path in [*why]:
        for under in shelf.below(path):
            if under in found.items:
                why.setdefault(under, f"{path} stands on it, which stays")
    for path, reason in why.items():
        what = found.items.pop(path).what if path in found.items else found.devices.pop(path)
        found.kept[path] = f"{reason} ({what})"


def _keep_disks(found: Inventory) -> None:
    for path, item in [*found.items.items()]:
        if item.image or item.what.startswith(("part of", "link to")):
            found.kept[path] = f"--keep-disks: {found.items.pop(path).what}"


def _volumes(found: Inventory, system: System, *, asked: bool, active: bool) -> list[RemoveVolume]:
    """Devices stay unless that is asked for; only LVM's can be removed."""
    if not asked:
        found.kept |= {
            path: f"{what}, a device: --volumes removes logical ones" for path, what in found.devices.items()
        }
        return []
    steps, kept = removals(found.devices, system, active=active)
    found.kept |= kept
    return steps


def _require_closed(machine: Machine, found: Inventory, shelf: Shelf) -> None:
    """If it runs its own QEMU has them open; nobody else may, on NFS no other host either."""
    for path in [path for path, item in found.items.items() if item.image and os.path.exists(path)]:
        if not machine.active:
            locks.require_free(path)
            continue
        info = shelf.look(path)
        for user in info.users if info else ():
            if not user.startswith(f"machine {machine.name} ("):
                raise BusyError(f"{path}: is in use by {user}, expected nobody", hint=f"virtkit disk info {path}")


def _steps(
    machine: Machine, found: Inventory, shelf: Shelf, volumes: list[RemoveVolume], *, trash: bool
) -> list[Action]:
    steps: list[Action] = [actions.Stop(machine.name, force=True)] if machine.active else []
    moved = [
        SetAside(
            item.path, aside(item.path, machine.uuid), words.told(item, shelf), words.size(item.path, machine.uuid)
        )
        for item in found.items.values()
    ]
    steps += [*moved, *volumes]
    if moved and not trash:
        steps.append(DeleteFiles(machine.name, [each.aside for each in moved], sum(each.size for each in moved)))
    needed = [aside(item.path, machine.uuid) for item in found.items.values() if item.image]
    return [*steps, *_unit(machine), actions.Forget.of(machine, needed)]


def _unit(machine: Machine) -> list[Action]:
    """With the last machine that has an order the unit goes that starts them."""
    off = vm.autostart(machine.name, enabled=False)
    return [step for step in off.actions if isinstance(step, actions.AutostartUnit)]
