"""Storage that is named by libvirt's pools: ``images:debian.qcow2`` becomes the path that it is."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.vm import pools
from virtkit.vm.actions import RefreshPool

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.recipes.making.order import Storage
    from virtkit.vm.connection import Connection

_NAMED = re.compile(r"([^/:]+):([^/].*)")


def is_one(text: str) -> bool:
    """Whether it names a volume; a file of that very name here comes first."""
    return _NAMED.fullmatch(text) is not None and not os.path.lexists(text)


def resolved(name: str, wanted: Storage, libvirt: Connection) -> Storage:
    """With paths alone. NotFoundError for what the pools do not have, NotSupportedError where no file can be made."""
    if wanted.pool and wanted.path:
        raise UsageError(f"{name}: both a pool and a place for the disk are given, expected one of them")
    there = replace(wanted, image=_there(wanted.image, libvirt), iso=_there(wanted.iso, libvirt))
    if found := _NAMED.fullmatch(wanted.path):
        return replace(there, path=os.path.join(pools.directory(libvirt, found[1]), found[2]))
    if wanted.pool:
        return replace(there, directory=pools.directory(libvirt, wanted.pool))
    return there


def refreshes(libvirt: Connection, paths: Iterable[str]) -> list[RefreshPool]:
    """So that ``virsh vol-list`` shows what is made, and not what is gone."""
    return [RefreshPool(pool) for pool in pools.over(libvirt, paths)]


def _there(text: str, libvirt: Connection) -> str:
    found = _NAMED.fullmatch(text)
    return pools.volume(libvirt, found[1], found[2]) if found else text
