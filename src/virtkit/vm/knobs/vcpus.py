"""How many vCPUs the guest uses.

Plugged by libvirt, brought online and taken offline by the guest's agent. Taking one out again ends QEMU 7.2 under TCG
with a double free: there the guest alone lets go of it, and QEMU keeps it until the machine is off.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.vm.agent import Agent
from virtkit.vm.machine import POLL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

PATH = "vcpu@current"
SECONDS = 10  # for the guest to see a new vCPU


def read(machine: Machine, _device: str, _paths: Iterable[str]) -> dict[str, str]:
    """Those that the guest uses; without an agent, those that are plugged in."""
    domain = machine.now()
    online = Agent(machine).vcpus_online() if domain.agent_connected else 0
    return {PATH: str(online or domain.vcpus_on or domain.vcpus)}


def as_used(machine: Machine) -> Domain:
    """The running machine with as many vCPUs as its guest uses; one that is off as it will start."""
    domain = machine.now()
    if machine.active:
        domain.vcpus_on = int(read(machine, "", ())[PATH])
    return domain


def write(machine: Machine, _device: str, values: Mapping[str, str]) -> None:
    domain, count = machine.now(), int(values[PATH])
    plugged = domain.vcpus_on or domain.vcpus
    if count > plugged:
        machine.set_vcpus(count)
    if domain.agent_connected:
        _use(Agent(machine), count)
    if count < plugged and domain.type == "kvm":
        machine.set_vcpus(count)


def cannot(machine: Machine, _device: str, values: Mapping[str, str]) -> str:
    domain, count = machine.now(), int(values[PATH])
    if count > domain.vcpus:
        return f"QEMU was started with room for {domain.vcpus} vCPUs"
    if count < (domain.vcpus_on or domain.vcpus) and not domain.agent_connected:
        return "no guest agent is there to take vCPUs offline, and one in use is not taken out"
    return ""


def _use(agent: Agent, count: int) -> None:
    end = time.monotonic() + SECONDS
    while not agent.use_vcpus(count) and time.monotonic() < end:
        time.sleep(POLL)
