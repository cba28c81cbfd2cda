"""How much a disk may do a second. libvirt's update of the device says yes to new limits and keeps the old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.vm.difference import split
from virtkit.vm.fields import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.vm.machine import Machine

__all__ = ["cannot", "read", "write"]

TEXT = "group_name"


def write(machine: Machine, device: str, values: Mapping[str, str]) -> None:
    limits = {path.rpartition("/")[2]: value for path, value in values.items()}
    numbers = {name: int(value or "0") for name, value in limits.items() if name != TEXT}
    machine.set_throttle(split(device)[1], numbers)


def cannot(_machine: Machine, _device: str, values: Mapping[str, str]) -> str:
    return "the group of limits is made when the disk is plugged in" if f"iotune/{TEXT}" in values else ""
