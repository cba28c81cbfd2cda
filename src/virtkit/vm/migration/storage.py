"""Its disks: on storage that both hosts see, or copied."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotFoundError, UsageError
from virtkit.core.units import format_size
from virtkit.vm.migration import place
from virtkit.vm.migration.way import Obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Disk
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine
    from virtkit.vm.migration.way import Way

# What libvirt takes for shared (virFileIsSharedFS of its virfile.c), as /proc/mounts calls it
SHARED = frozenset({"nfs", "nfs4", "gfs2", "ocfs2", "afs", "cifs", "smb3", "ceph", "gpfs", "acfs", "fuse.glusterfs"})
DROPS_CACHE = 4000000  # QEMU 4.0 forgets what it cached of a disk before the other side reads it


class Store(NamedTuple):
    """One disk with a medium."""

    target: str
    kind: str  # file, block, network, volume ...
    path: str
    format: str
    cache: str
    read_only: bool
    shared: bool  # the XML says that several machines may write it
    backing: tuple[str, ...]  # the files below, as far as libvirt tells


class Copy(NamedTuple):
    """A disk whose content goes along."""

    target: str
    path: str
    format: str
    size: int  # bytes that the guest sees
    allocated: int  # bytes that it takes here
    exists: bool  # over there, and may be overwritten


def stores(domain: Domain) -> list[Store]:
    return [_store(disk) for disk in domain.disks if disk.source]


def chosen(machine: Machine, targets: Sequence[str], *, every: bool) -> tuple[str, ...]:
    """The disks to copy: ``targets``, or every file that the machine may write. UsageError for others."""
    able = tuple(each.target for each in stores(machine.now()) if local(each))
    for target in targets:
        if target not in able:
            found = (
                f"{machine.name}: copy is {target!r}, expected one of its files ({', '.join(able) or 'it has none'})"
            )
            raise UsageError(found, hint=f"virtkit vm show {machine.name}")
    return able if every else tuple(targets)


def size_of(machine: Machine, store: Store) -> int:
    """Bytes that the guest sees of a disk."""
    return int(machine.ask(list, "blockInfo", store.target, 0)[0])


def local(each: Store) -> bool:
    """A file that the machine may write: whether it is the other host's, too, is the question."""
    return each.kind == "file" and not each.read_only


def file_system(path: str, system: System) -> str:
    """Its type as /proc/mounts calls it, of the mount point next above ``path``; the last mount wins."""
    found, length = "", -1
    for line in system.read_or("/proc/self/mounts", "").splitlines():
        _, point, kind, *_ = line.split(" ")
        mounted = point.encode().decode("unicode_escape")
        if PurePosixPath(path).is_relative_to(mounted) and len(mounted) >= length:
            found, length = kind, len(mounted)
    return found


def unshared(all_of_them: list[Store], way: Way, here: Connection, system: System) -> Iterator[Obstacle]:
    """Files that the other host does not see, as far as this one can tell."""
    if way.unsafe or not here.local:  # another host's mounts are not seen: libvirt there says it
        return
    for each in all_of_them:
        kind = file_system(each.path, system) if local(each) else ""
        if kind and kind not in SHARED and each.target not in way.copied:
            text = f"disk {each.target}: {each.path} is on {kind} of this host, expected storage that both hosts share"
            shared = "--unsafe, if that directory is the same on both all the same"
            alone = "virtkit vm start it and migrate it live" if way.offline else "--copy-storage-all"
            yield Obstacle(text, f"{alone}; or {shared}")


def reachable(all_of_them: list[Store], way: Way, name: str, there: Connection) -> Iterator[Obstacle]:
    for each in all_of_them:
        if each.kind != "file" or each.target in way.copied:
            continue
        for path in (each.path, *each.backing):
            seen = _seen(there, path)
            if isinstance(seen, Obstacle):
                yield seen
            elif seen is None or not seen.exists:
                text = f"disk {each.target}: {there.hostname} has no {path}, expected the same storage there"
                eject = f"virtkit vm set {name} disk {each.target} --eject"
                yield Obstacle(text, "mount it there first; or --copy-storage-all" if local(each) else eject)


def unsafe_caches(
    all_of_them: list[Store], way: Way, name: str, here: Connection, there: Connection
) -> Iterator[Obstacle]:
    """Before QEMU 4.0 only what bypasses the page cache is read right by the other host."""
    if min(libvirt.host.ask(int, "getVersion") for libvirt in (here, there)) >= DROPS_CACHE or way.unsafe:
        return
    for each in all_of_them:
        if each.kind == "file" and local(each) and not each.shared and each.cache not in ("none", "directsync"):
            text = (
                f"disk {each.target}: cache is {each.cache or 'writeback'}, expected none or directsync before QEMU 4.0"
            )
            yield Obstacle(text, f"virtkit vm set {name} disk {each.target} --cache none, and restart it")


def copies(machine: Machine, all_of_them: list[Store], way: Way, there: Connection) -> Iterator[Copy | Obstacle]:
    """What has to be made over there, and what keeps it from being made."""
    needed: dict[str, int] = {}
    for each in all_of_them:
        if each.target not in way.copied:
            continue
        if each.backing:
            mend = f"virsh blockpull {machine.name} {each.target} --wait"
            yield Obstacle(f"disk {each.target}: rests on {each.backing[0]}, expected one that stands alone", mend)
            continue
        size, allocated, _ = machine.ask(list, "blockInfo", each.target, 0)
        seen = _seen(there, each.path)
        if isinstance(seen, Obstacle):
            yield seen
            continue
        directory = str(PurePosixPath(each.path).parent)
        if seen is not None and seen.exists and not (way.overwrite and seen.size == size):
            found = f"{there.hostname} has {each.path} already ({format_size(seen.size)})"
            text = f"disk {each.target}: {found}, expected none"
            yield Obstacle(text, "--overwrite" if seen.size == size else f"mv {each.path} elsewhere, on that host")
        needed[directory] = needed.get(directory, 0) + int(allocated)
        if seen is not None and seen.free < needed[directory]:
            found = f"{there.hostname} has {format_size(seen.free)} free in {directory}"
            text = f"disk {each.target}: {found}, expected {format_size(needed[directory])}"
            yield Obstacle(text, f"df {directory}, on that host")
        yield Copy(each.target, each.path, each.format, int(size), int(allocated), seen is not None and seen.exists)


def _store(disk: Disk) -> Store:
    files = [node.get("file", "") for node in disk.node.findall(".//backingStore/source")]
    flags = {word: disk.node.find(word) is not None for word in ("readonly", "shareable")}
    return Store(
        disk.target,
        disk.node.get("type", "file"),
        disk.source,
        disk.format,
        disk.cache,
        flags["readonly"],
        flags["shareable"],
        tuple(path for path in files if path),
    )


def _seen(there: Connection, path: str) -> place.Seen | Obstacle | None:
    """None: the directory is not there yet."""
    try:
        return place.look(there, path)
    except NotFoundError:
        return None
    except MachineError as error:
        return Obstacle(f"storage: {error.message}", error.hint)
