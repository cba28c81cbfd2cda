"""What changes in a running machine: a module per knob, found by its name.

``read(machine, device, paths)`` says what the machine has now; ``write(machine, device, values)`` changes it;
``cannot(machine, device, values)`` is the reason why this machine, as it runs, cannot have these values, or empty.
``device`` is as in ``difference.devices``, empty for what is the machine's own; values go by their path below it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.vm.machine import Machine


class Knob(Protocol):
    def read(self, machine: Machine, device: str, paths: Iterable[str]) -> dict[str, str]: ...

    def write(self, machine: Machine, device: str, values: Mapping[str, str]) -> None: ...

    def cannot(self, machine: Machine, device: str, values: Mapping[str, str]) -> str: ...


def load(name: str) -> Knob:
    return cast("Knob", import_module(f"virtkit.vm.knobs.{name}"))
