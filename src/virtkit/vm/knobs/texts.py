"""What people call a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.vm.fields import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.vm.machine import Machine

__all__ = ["cannot", "read", "write"]


def write(machine: Machine, _device: str, values: Mapping[str, str]) -> None:
    for kind, value in values.items():
        machine.set_text(kind, value)


def cannot(_machine: Machine, _device: str, _values: Mapping[str, str]) -> str:
    return ""
