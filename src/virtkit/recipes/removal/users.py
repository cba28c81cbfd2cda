"""Who else needs a file: other machines, their snapshots, images in the same directories, in pools and in backups."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.recipes.backups import store
from virtkit.vm import pools
from virtkit.vm.snapshots.snapshot import of_machine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.core.journal import Journal
    from virtkit.recipes.removal.shelf import Shelf
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine

_NAMED = ("os/nvram", "os/kernel", "os/initrd")


def of_others(libvirt: Connection, but: str, shelf: Shelf) -> dict[str, str]:
    """By real path who needs it, of all machines ``but`` that one: ``machine web2``, ``snapshot a of machine web2``."""
    found: dict[str, str] = {}
    for machine in libvirt.machines():
        for path, who in _named(machine) if machine.name != but else ():
            for file in (path, *shelf.below(path)):
                found.setdefault(file, who)
    return found


def backups(journal: Journal, name: str) -> tuple[str, ...]:
    """The directories to which the machine was backed up, as far as they are there."""
    found = {
        str(step.fields["target"])
        for change in journal.changes()
        for step in change.steps
        if step.kind == "recipes.back_up" and step.fields.get("name") == name
    }
    return tuple(sorted(path for path in found if os.path.isdir(path)))


def directories(libvirt: Connection, targets: Iterable[str]) -> set[str]:
    """Where images may stand on those of a machine besides their own directories: in pools, and in its backups."""
    return {pool.path for pool in pools.started(libvirt) if pool.path}.union(*map(_points, targets))


def _points(target: str) -> list[str]:
    """The directories of a backup's images; none of what is somebody else's by now."""
    try:
        whole = [store.folder(target, point.number) for point in store.points(target)]
        return whole + [os.path.join(target, name) for name in store.unfinished(target)]
    except (VirtkitError, OSError):
        return []


def _named(machine: Machine) -> Iterator[tuple[str, str]]:
    """Real paths, and who names them."""
    who = f"machine {machine.name}"
    for domain in (machine.next_start(), machine.now()):
        own = [each.source for each in domain.disks]
        own += [(node.text or "").strip() for tag in _NAMED for node in domain.node.findall(tag)]
        yield from ((os.path.realpath(path), who) for path in own if path.startswith("/"))
    for one in of_machine(machine):
        places = [path for place in one.places for path in (place.base, place.overlay)]
        for path in filter(None, (*places, one.memory_file)):
            yield os.path.realpath(path), f"snapshot {one.name} of {who}"
