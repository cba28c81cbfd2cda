"""What the guest itself sees of a device that comes or goes, by its agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import MachineError
from virtkit.core.units import format_size
from virtkit.vm.agent import Agent
from virtkit.vm.difference import flatten, split

if TYPE_CHECKING:
    from virtkit.vm.machine import Machine

BLIND = "no guest agent says what the guest sees"


def seen(machine: Machine, device: str) -> str:
    """In words: the guest's disks, network cards or memory, whatever ``device`` is one of."""
    if not machine.now().agent_connected:
        return BLIND
    try:
        return _SIGHTS.get(split(device)[0], _nothing)(machine, device)
    except MachineError as error:
        return error.message


def _disk(machine: Machine, _device: str) -> str:
    return f"the guest's disks: {', '.join(Agent(machine).disks()) or 'none'}"


def _card(machine: Machine, device: str) -> str:
    mac = split(device)[1]
    there = mac in {each.lower() for each in Agent(machine).cards()}
    return f"the guest {'sees' if there else 'does not see'} a network card {mac}"


def _module(machine: Machine, _device: str) -> str:
    return f"the guest's memory: {format_size(Agent(machine).memory())}"


def _virtio_mem(machine: Machine, device: str) -> str:
    given = flatten(machine.now().node).get(f"{device}/target/current", "0")
    return f"the guest uses {format_size(int(given))} of it"


def _nothing(_machine: Machine, device: str) -> str:
    return f"the guest's agent knows nothing of {split(device)[0]} devices"


_SIGHTS = {"disk": _disk, "interface": _card, "dimm": _module, "virtio-mem": _virtio_mem}
