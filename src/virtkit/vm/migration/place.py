"""Files of another host, seen and made through a storage pool over their directory.

Where the host has no pool there, one is made for the moment: not defined, and gone again.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from virtkit.core.errors import MachineError, NotFoundError, VirtkitError
from virtkit.vm import library
from virtkit.vm.library import Handle
from virtkit.vm.xml import element, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection

_CONFLICT = re.compile(r"with pool: '([^']+)'")  # storage source conflict, of a pool that is off
_NO_POOL, _NO_VOLUME = 49, 50  # VIR_ERR_NO_STORAGE_POOL, VIR_ERR_NO_STORAGE_VOL
_BUILD = 1  # VIR_STORAGE_POOL_CREATE_WITH_BUILD: the directory is made


class Seen(NamedTuple):
    size: int  # bytes that a guest sees
    free: int  # bytes left in the directory's file system
    exists: bool


@contextmanager
def directory(libvirt: Connection, path: str, *, make: bool = False) -> Iterator[Handle]:
    """The pool over ``path``; NotFoundError if the host has no such directory, and it is not to be made."""
    if (pool := _find(libvirt, path)) is not None:
        pool.tell("refresh", 0)
        yield pool
        return
    pool = _passing(libvirt, path, make=make)
    try:
        yield pool
    finally:
        pool.tell("destroy")


def look(libvirt: Connection, file: str) -> Seen:
    """What ``libvirt``'s host has at ``file``; NotFoundError without its directory."""
    with directory(libvirt, os.path.dirname(file)) as pool:
        free = int(pool.ask(list, "info")[3])
        volume = volume_of(pool, file)
        return (
            Seen(0, free, exists=False) if volume is None else Seen(int(volume.ask(list, "info")[1]), free, exists=True)
        )


def exists(libvirt: Connection, file: str) -> bool:
    try:
        return look(libvirt, file).exists
    except NotFoundError:
        return False


def volume_of(pool: Handle, file: str) -> Handle | None:
    return _or_none(pool, "storageVolLookupByName", os.path.basename(file), _NO_VOLUME)


def make(libvirt: Connection, file: str, form: str, size: int) -> None:
    """A new disk of ``size`` bytes, sparse; its directory, too."""
    with directory(libvirt, os.path.dirname(file), make=True) as pool:
        node = element(
            "volume",
            {},
            element("name", text=os.path.basename(file)),
            element("capacity", {"unit": "bytes"}, text=str(size)),
            element("allocation", text="0"),
            element(
                "target",
                {},
                element("format", {"type": form}),
                element("permissions", {}, element("mode", text="0600")),
            ),
        )
        pool.tell("createXML", text(node), 0)


def delete(libvirt: Connection, file: str) -> None:
    """Nothing to do where it is gone."""
    with directory(libvirt, os.path.dirname(file)) as pool:
        if (volume := volume_of(pool, file)) is not None:
            volume.tell("delete", 0)


def same(here: Connection, there: Connection, path: str) -> bool:
    """Whether both hosts see one directory: a file that is made there for a moment is seen here."""
    probe = f"{path}/.virtkit-{uuid4()}"
    make(there, probe, "raw", 0)
    try:
        with directory(here, path) as pool:
            return volume_of(pool, probe) is not None
    finally:
        delete(there, probe)


def _find(libvirt: Connection, path: str) -> Handle | None:
    return _or_none(libvirt.host, "storagePoolLookupByTargetPath", path, _NO_POOL)


def _or_none(handle: Handle, method: str, key: str, absent: int) -> Handle | None:
    try:
        return Handle(handle.ask(object, method, key), key)
    except VirtkitError as error:
        if library.error_number(error.__cause__) == absent:
            return None
        raise


def _passing(libvirt: Connection, path: str, *, make: bool) -> Handle:
    name = f"virtkit-{os.getpid()}"
    node = element(
        "pool", {"type": "dir"}, element("name", text=name), element("target", {}, element("path", text=path))
    )
    try:
        return Handle(libvirt.host.ask(object, "storagePoolCreateXML", text(node), _BUILD if make else 0), path)
    except MachineError as error:
        if "No such file" in error.message:
            raise NotFoundError(f"{path}: no such directory on {libvirt.hostname}") from error
        taken = _CONFLICT.search(error.message)
        command = f"pool-start {taken[1]}" if taken else "pool-list --all"
        found = f"{libvirt.hostname} has a pool {taken[1]} there that is not started" if taken else error.message
        raise MachineError(f"{path}: {found}", hint=f"virsh --connect {libvirt.uri} {command}") from error
