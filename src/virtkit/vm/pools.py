"""libvirt's storage pools: where their volumes are. Files in them are made by our own engine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, NotSupportedError, VirtkitError
from virtkit.vm import library
from virtkit.vm.library import Handle
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.vm.connection import Connection

DIRECTORIES = frozenset({"dir", "fs", "netfs"})  # whose volumes are files below one directory
_ACTIVE = 2  # VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
_NO_POOL, _NO_VOLUME = 49, 50  # VIR_ERR_NO_STORAGE_POOL, VIR_ERR_NO_STORAGE_VOL


class Pool(NamedTuple):
    name: str
    type: str  # libvirt's: dir, fs, netfs, logical ...
    path: str  # real


def started(libvirt: Connection) -> list[Pool]:
    return [_read(Handle(raw, "a storage pool")) for raw in libvirt.host.ask(list, "listAllStoragePools", _ACTIVE)]


def directory(libvirt: Connection, name: str) -> str:
    """Where the files of a pool are; NotFoundError, NotSupportedError for one that keeps no files."""
    handle = _handle(libvirt, name)
    pool = _read(handle)
    if pool.type not in DIRECTORIES:
        found = f"pool {name}: type is {pool.type}, expected {', '.join(sorted(DIRECTORIES))}: its volumes are no files"
        hint = f"virsh vol-create-as {name} VOLUME 20G, and: --image {name}:VOLUME -f raw --by in-place"
        raise NotSupportedError(found, hint=hint)
    _require_started(handle, name)
    return pool.path


def volume(libvirt: Connection, name: str, key: str) -> str:
    """The path of a volume, also of one that libvirt has not seen yet; NotFoundError."""
    pool = _handle(libvirt, name)
    _require_started(pool, name)
    for again in (False, True):
        if again:
            pool.tell("refresh", 0)
        try:
            return Handle(pool.ask(object, "storageVolLookupByName", key), f"{name}:{key}").ask(str, "path")
        except VirtkitError as error:
            if library.error_number(error.__cause__) != _NO_VOLUME:
                raise
    raise NotFoundError(f"{name}:{key}: no such volume", hint=f"virsh vol-list {name}")


def over(libvirt: Connection, paths: Iterable[str]) -> list[str]:
    """The names of the started pools that list these files."""
    folders = {os.path.realpath(os.path.dirname(path)) for path in paths}
    return sorted(pool.name for pool in started(libvirt) if pool.type in DIRECTORIES and pool.path in folders)


def _handle(libvirt: Connection, name: str) -> Handle:
    try:
        return Handle(libvirt.host.ask(object, "storagePoolLookupByName", name), f"pool {name}")
    except VirtkitError as error:
        if library.error_number(error.__cause__) != _NO_POOL:
            raise
        raise NotFoundError(f"pool {name}: no such pool at {libvirt.uri}", hint="virsh pool-list --all") from error


def _require_started(pool: Handle, name: str) -> None:
    if not pool.ask(int, "isActive"):
        raise NotFoundError(f"pool {name}: is not started", hint=f"virsh pool-start {name}")


def _read(pool: Handle) -> Pool:
    node = parse(pool.ask(str, "XMLDesc", 0))
    path = node.findtext("target/path") or ""
    return Pool(pool.ask(str, "name"), node.get("type", ""), os.path.realpath(path) if path else "")
