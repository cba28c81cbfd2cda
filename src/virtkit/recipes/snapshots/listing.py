"""What snapshots there are, and what each takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit import disk
from virtkit.core.errors import VirtkitError
from virtkit.vm import connection
from virtkit.vm.snapshots.snapshot import INTERNAL, of_machine

if TYPE_CHECKING:
    from virtkit.vm.snapshots.snapshot import Place, Snapshot


class Kept(NamedTuple):
    name: str
    kind: str  # internal, external; internal+external: somebody mixed them
    current: bool  # the machine goes on from it
    parent: str
    created: int  # seconds since 1970
    state: str  # of the machine then; disk-snapshot: its disks alone
    memory: bool
    size: int | None  # bytes that it takes: data that it alone uses, or what its overlays and memory file hold
    files: tuple[str, ...]  # that it added, or that hold it
    missing: tuple[str, ...]  # of these, and of the images that have its state
    description: str


def listing(name: str) -> tuple[Kept, ...]:
    """Parents before their children. Sizes are read from the files, also while the machine runs."""
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        return tuple(_kept(each, local=libvirt.local) for each in of_machine(machine))


def _kept(each: Snapshot, *, local: bool) -> Kept:
    files = tuple(place.overlay or place.base for place in each.places)
    if each.memory_file:
        files += (each.memory_file,)
    needed = (*files, *(place.base for place in each.places))
    missing = tuple(sorted({file for file in needed if local and not os.path.exists(file)}))
    size = _size(each, files) if local and not missing else None
    return Kept(
        each.name,
        each.kind,
        each.current,
        each.parent,
        each.created,
        each.state,
        each.memory,
        size,
        files,
        missing,
        each.description,
    )


def _size(each: Snapshot, files: tuple[str, ...]) -> int | None:
    if each.kind != INTERNAL:
        return sum(os.stat(file).st_blocks * 512 for file in files)
    sizes = [_inside(place, each.name) for place in each.places]
    return sum(size for size in sizes if size is not None) if None not in sizes else None


def _inside(place: Place, snapshot: str) -> int | None:
    """None where the image is too scattered to tell soon, or a running machine is just writing its tables."""
    try:
        found = disk.find_snapshot(place.base, snapshot, place.format)
        freed = disk.freed_by_deleting(place.base, snapshot, place.format)
    except VirtkitError:
        return None
    return None if freed is None else found.state_size + freed
