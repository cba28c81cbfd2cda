"""How much of its memory the guest keeps: the balloon takes the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import KIB, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.vm.machine import Machine

PATH = "currentMemory"


def read(machine: Machine, _device: str, _paths: Iterable[str]) -> dict[str, str]:
    return {PATH: str(machine.balloon() * KIB)}


def write(machine: Machine, _device: str, values: Mapping[str, str]) -> None:
    machine.set_balloon(int(values[PATH]) // KIB)


def cannot(machine: Machine, _device: str, values: Mapping[str, str]) -> str:
    domain = machine.now()
    if int(values[PATH]) > domain.memory:
        return f"QEMU was started with {format_size(domain.memory)}"
    if not any(node.get("model") != "none" for node in domain.node.findall("devices/memballoon")):
        return "the machine has no balloon"
    return ""
