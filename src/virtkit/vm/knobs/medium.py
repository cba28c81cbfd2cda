"""What is in a drive. A disk is no drive: its image is the disk itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.vm import library
from virtkit.vm.difference import devices, split
from virtkit.vm.fields import read
from virtkit.vm.xml import Text, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.vm.machine import Machine

__all__ = ["cannot", "read", "write"]

DRIVES = ("cdrom", "floppy")


def write(machine: Machine, device: str, values: Mapping[str, str]) -> None:
    node = devices(machine.now().node).get(device)
    if node is None:
        raise NotFoundError(f"{machine.name}: has no {device} any more", hint=f"virtkit vm show {machine.name}")
    for path, value in values.items():
        Text(path).write(View(node), value)
    machine.update_device(node, library.LIVE)


def cannot(machine: Machine, device: str, _values: Mapping[str, str]) -> str:
    target = split(device)[1]
    there = next((disk for disk in machine.now().disks if disk.target == target), None)
    if there is not None and there.device in DRIVES:
        return ""
    return "the image is the disk itself: another disk has to be plugged in"
