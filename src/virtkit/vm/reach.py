"""Whether a guest is reached on a bridge, and reaches what lies behind it: proven by packets, in both directions."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, VerifyError
from virtkit.vm.addresses import addresses
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.addresses import Address
    from virtkit.vm.machine import Machine

SECONDS = 60  # that a guest may take to ask for an address and get it
PINGS = 3
NO_ADDRESS = "not tried: this host has no address on {bridge}"
_POLL = 1.0  # seconds; an agent's answer under emulation takes that long


class Proof(NamedTuple):
    address: Address
    to_guest: str  # "3 of 3 pings answered", or why it was not tried
    from_guest: str


def prove(machine: Machine, mac: str, bridge: str, system: System, seconds: float = SECONDS) -> Proof:
    """Wait for the guest's address on the card ``mac``; ping it over ``bridge``, and from it what the bridge leads to.

    VerifyError: no address in time, or no answer on a way that could be tried, or neither way could be.
    """
    step = f"machine {machine.name} on {bridge}"
    outside = _outside(system, bridge)
    end = time.monotonic() + seconds
    while True:
        known = [found for found in addresses(machine, system) if found.mac == mac.lower()]
        for found in known:
            to_guest = ping(system, bridge, found.address) if outside else NO_ADDRESS.format(bridge=bridge)
            if to_guest.startswith("0 "):  # its old address, that it still believes in; or not up yet
                continue
            return Proof(found, to_guest, _from_guest(machine, step, outside, proven=bool(outside)))
        if time.monotonic() > end:
            raise VerifyError(step, _why_not(machine, known, mac, seconds))
        time.sleep(_POLL)


def ping(system: System, bridge: str, address: str, count: int = PINGS) -> str:
    """``3 of 3 pings answered``, sent over ``bridge``."""
    command = ["ping", "-c", str(count), "-i", "0.2", "-W", "1", "-I", bridge, address]
    told = system.run(command, check=False).stdout
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", told)
    return f"{counts[2]} of {counts[1]} pings answered" if counts else f"0 of {count} pings answered"


def _outside(system: System, bridge: str) -> str:
    """What a guest should reach by the bridge: the gateway behind it, else the host's own address on it."""
    shown = system.run(["ip", "-json", "route", "show", "default", "dev", bridge], check=False).stdout
    gateways = [str(route["gateway"]) for route in json.loads(shown or "[]") if "gateway" in route]
    held = system.run(["ip", "-json", "-4", "address", "show", "dev", bridge], check=False).stdout
    own = [str(info["local"]) for link in json.loads(held or "[]") for info in link.get("addr_info", [])]
    return (gateways or own or [""])[0]


def _from_guest(machine: Machine, step: str, target: str, *, proven: bool) -> str:
    if not target:
        raise VerifyError(step, "this host has neither an address nor a route there: nothing to ping from or to")
    try:
        ran = Agent(machine).execute(["ping", "-c", str(PINGS), "-W", "2", target])
    except MachineError as error:
        if proven:
            return f"not tried: {error.message}"
        raise VerifyError(step, f"not reached in either direction: {error.message}") from error
    counts = re.search(r"(\d+) packets transmitted, (\d+) (?:packets )?received", ran.stdout)
    if counts is None or counts[2] == "0":
        raise VerifyError(step, f"the guest gets no answer from {target}: {(ran.stderr or ran.stdout).strip()[-200:]}")
    return f"{counts[2]} of {counts[1]} pings answered by {target}"


def _why_not(machine: Machine, known: list[Address], mac: str, seconds: float) -> str:
    if known:
        shown = ", ".join(f"{found.address} ({found.source})" for found in known)
        return f"no answer after {seconds:g} s from {shown}"
    hint = f"its console: virtkit vm console {machine.name}"
    return f"card {mac} has no address after {seconds:g} s that agent, leases or neighbours know; {hint}"
