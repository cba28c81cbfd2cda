"""Whether a guest is reached on a bridge, and reaches what lies behind it: proven by packets, in both directions."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotSupportedError, UsageError, VerifyError
from virtkit.vm.addresses import addresses
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.addresses import Address
    from virtkit.vm.machine import Machine

SECONDS = 60  # that a guest may take to ask for an address and get it
PINGS = 3
NO_ADDRESS = "not tried: this host has no address there"
_POLL = 1.0  # seconds; an agent's answer under emulation takes that long


class Proof(NamedTuple):
    address: Address
    to_guest: str  # "3 of 3 pings answered", or why it was not tried
    from_guest: str


def check_provable(machine: Machine, bridge: str, system: System) -> None:
    """UsageError, NotSupportedError where ``prove`` could not come to an end, whatever the guest does."""
    if not machine.active:
        raise UsageError(f"--verify: {machine.name} is off, expected running", hint=f"virtkit vm start {machine.name}")
    if not _outside(system, bridge) and not machine.now().agent_connected:
        found = f"--verify: this host has no address on {bridge}, and {machine.name} no guest agent"
        raise NotSupportedError(
            f"{found}: nothing could ping from or to it", hint="without --verify; then look yourself"
        )


def prove(machine: Machine, mac: str, bridge: str, system: System, seconds: float = SECONDS) -> Proof:
    """Wait for the guest's address on the card ``mac``; ping it over ``bridge``, and from it what the bridge leads to.

    VerifyError: no address in time, or no answer on a way that could be tried, or neither way could be.
    """
    outside = _outside(system, bridge)
    end = time.monotonic() + seconds
    while True:
        known = {}
        for found in addresses(machine, system):
            if found.mac != mac.lower():
                continue
            answered, known[found] = ping(system, bridge, found.address) if outside else (PINGS, NO_ADDRESS)
            if answered < PINGS:  # the old address, which the guest still believes in, or one that is not up yet
                continue
            reaches_out, from_guest = _from_guest(machine, outside)
            if reaches_out:  # else its DHCP client may just be at it
                return Proof(found, known[found], from_guest)
            known[found] += f", {from_guest}"
        if time.monotonic() > end:
            why = _why_not(machine, known, mac, seconds)
            raise VerifyError(f"machine {machine.name} on {bridge}", why, hint="virtkit net doctor")
        time.sleep(_POLL)


def ping(system: System, bridge: str, address: str) -> tuple[int, str]:
    """How many of three were answered, sent over ``bridge``; and that in words."""
    command = ["ping", "-c", str(PINGS), "-i", "0.2", "-W", "1", "-I", bridge, address]
    counts = re.search(r"transmitted, (\d+) received", system.run(command, check=False).stdout)
    answered = int(counts[1]) if counts else 0
    return answered, f"{answered} of {PINGS} pings answered"


def _outside(system: System, bridge: str) -> str:
    """What a guest should reach by the bridge: the gateway behind it, else the host's own address on it."""
    shown = system.run(["ip", "-json", "route", "show", "default", "dev", bridge], check=False).stdout
    gateways = [str(route["gateway"]) for route in json.loads(shown or "[]") if "gateway" in route]
    held = system.run(["ip", "-json", "-4", "address", "show", "dev", bridge], check=False).stdout
    own = [str(info["local"]) for link in json.loads(held or "[]") for info in link.get("addr_info", [])]
    return (gateways or own or [""])[0]


def _from_guest(machine: Machine, outside: str) -> tuple[bool, str]:
    """Whether it is good, and what was seen.

    Where this host has no address the guest's own gateway is asked; a guest without an agent is taken at the word of
    the other direction, if there was one.
    """
    agent = Agent(machine)
    try:
        if not (target := outside or _gateway(agent)):
            return False, "neither this host has an address there nor the guest a gateway"
        ran = agent.execute(["ping", "-c", str(PINGS), "-W", "2", target])
    except MachineError as error:
        return bool(outside), f"not tried: {error.message}"
    counts = re.search(r"transmitted, (\d+) (?:packets )?received", ran.stdout)
    answered = int(counts[1]) if counts else 0
    return answered > 0, f"{answered} of {PINGS} pings answered by {target}"


def _gateway(agent: Agent) -> str:
    found = re.search(r"default via (\S+)", agent.execute(["ip", "route", "show"]).stdout)
    return found[1] if found else ""


def _why_not(machine: Machine, known: dict[Address, str], mac: str, seconds: float) -> str:
    if known:
        shown = ", ".join(f"{found.address} ({found.source}): {seen}" for found, seen in known.items())
        return f"not reached after {seconds:g} s: {shown}"
    found = f"card {mac} has no address after {seconds:g} s that agent, leases or neighbours know"
    return f"{found}; does DHCP answer there (virtkit vm console {machine.name}), or does the guest need --restart?"
