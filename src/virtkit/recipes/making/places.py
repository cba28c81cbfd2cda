"""Where the files of a new machine go, and that nobody has them already."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import ConflictError, NotFoundError, NotSupportedError, VirtkitError
from virtkit.vm import homes
from virtkit.vm.blueprint import check_name

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection


def directory(libvirt: Connection) -> Path:
    """Where libvirt keeps images; an ordinary user's is made if it is not there."""
    found = Path(homes.images(libvirt.uri))
    if libvirt.session:
        found.mkdir(parents=True, exist_ok=True)
    return found


def require_local(libvirt: Connection) -> None:
    """NotSupportedError where libvirt is another host's: files are made here."""
    if not libvirt.local:
        found = f"{libvirt.uri}: is another host's libvirt, expected this host's: its disks are made here"
        raise NotSupportedError(found, hint="ssh HOST virtkit vm ...")


def require_name(libvirt: Connection, name: str) -> None:
    """UsageError for what can be no name; ConflictError for one that is taken."""
    check_name(name)
    if libvirt.find(name) is not None:
        raise ConflictError(f"{name}: a machine of this name exists already", hint=f"virtkit vm show {name}")


def require_free(libvirt: Connection, path: str, system: System) -> None:
    """ConflictError for a file that is there, or that a machine already calls its own.

    NotFoundError without its directory, NotSupportedError where that may not be written to.
    """
    if system.exists(path):
        raise ConflictError(
            f"{path}: exists already, and is not overwritten", hint="another name, or another place for it"
        )
    folder = os.path.dirname(path)
    if not system.path(folder).is_dir():
        raise NotFoundError(f"{folder}: no such directory", hint=f"mkdir -p {folder}")
    if not os.access(system.path(folder), os.W_OK | os.X_OK):
        raise NotSupportedError(
            f"{path}: you may not write to {folder}", hint="another place for it, or sudo virtkit ..."
        )
    if owners := writers(libvirt, path):
        raise ConflictError(f"{path}: belongs to machine {owners[0]}", hint=f"virtkit vm show {owners[0]}")


def require_still(libvirt: Connection, path: str) -> None:
    """ConflictError where a machine may write to ``path``, running or not: what stands on it would be destroyed."""
    if owners := writers(libvirt, path):
        found = f"{path}: is a disk of machine {owners[0]}, which would destroy what stands on it"
        raise ConflictError(found, hint=f"--by copy, or first: virtkit vm template {owners[0]}")


def require_unused(libvirt: Connection, path: str) -> None:
    """ConflictError where a machine has ``path``, or a disk that stands on it: two would destroy each other's data."""
    own = os.path.realpath(path)
    if owners := _having(libvirt, own, reading=True):
        raise ConflictError(f"{path}: is a disk of machine {owners[0]}, expected nobody's", hint="--by copy")
    if above := heirs(libvirt, {own}):
        raise ConflictError(f"{path}: machine {above[0]} stands on it", hint="--by copy, or --by overlay")


def writers(libvirt: Connection, path: str) -> list[str]:
    """The machines that have this file, and not only to read."""
    return _having(libvirt, os.path.realpath(path), reading=False)


def heirs(libvirt: Connection, files: set[str], but: str = "") -> list[str]:
    """The machines, ``but`` that one, of which a disk stands on one of ``files`` (real paths)."""
    return [
        machine.name
        for machine in libvirt.machines()
        if machine.name != but
        if any(files & _below(each.source) for each in machine.next_start().disks if each.device == "disk")
    ]


def _having(libvirt: Connection, path: str, *, reading: bool) -> list[str]:
    return [
        machine.name
        for machine in libvirt.machines()
        for each in machine.next_start().disks
        if each.source and (reading or not each.read_only) and os.path.realpath(each.source) == path
    ]


def _below(path: str) -> set[str]:
    """The files that an image stands on; none of what cannot be read: a device that is away, another host's."""
    if not path:
        return set()
    try:
        chain = disk.info_chain(path, None, disk.Access(allow_backing=True))
    except VirtkitError:
        return set()
    return {os.path.realpath(each.filename) for each in chain[1:]}
