"""The seed of a machine: where it lies, and on which of its disks it is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.recipes.seed import nocloud
from virtkit.recipes.seed.actions import WriteSeed
from virtkit.vm.blueprint import Disk, disk_element

if TYPE_CHECKING:
    from virtkit.recipes.making.order import Login
    from virtkit.vm.domain import Domain

SUFFIX = "-seed.iso"
_VIRTIO_DISKS = [f"vd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]


def seed(name: str, instance: str, wanted: Login, directory: str) -> WriteSeed:
    """Its whole content has been looked at: nothing of it is refused later. UsageError, NotFoundError."""
    path = os.path.join(directory, f"{name}{SUFFIX}")
    keys = [key for file in wanted.key_files for key in nocloud.keys_of(file)]
    hostname = wanted.hostname or name
    made = WriteSeed(path, hostname, instance, wanted.user, keys, wanted.network, wanted.user_data)
    made.content(System())
    return made


def plug_in(domain: Domain, path: str) -> None:
    """In the place of the seed that the machine has, or as a further disk."""
    for disk in domain.disks:
        if disk.read_only and disk.source.endswith(SUFFIX):
            disk.put_on(path, "raw")
            return
    taken = {disk.target for disk in domain.disks}
    free = next((target for target in _VIRTIO_DISKS if target not in taken), None)
    if free is None:
        raise UsageError(f"{domain.name}: has {len(taken)} disks, and no place for a seed")
    domain.devices.append(disk_element(Disk(path, "raw", read_only=True), free))
