"""DHCP clients that a host's scripts start, one for each link: found, held, and moved to another link with the lease.

The lease moves because the client does: with the old one's command line, a copy of its lease file and the same MAC
address it is the same client to the server, and asks for the same address first (INIT-REBOOT, RFC 2131 section 4.3.2).
The old one is killed without a word to the server: a release would make it give the address to somebody else.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError, NotSupportedError
from virtkit.net import diff, processes, standing
from virtkit.net.dhcpclient.client import Client, Custom
from virtkit.net.dhcpclient.dhclient import Dhclient
from virtkit.net.dhcpclient.dhcpcd import Dhcpcd
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.dhcpclient.client import Program

__all__ = ["Client", "Custom", "check", "hold", "missing", "move", "resume", "running"]

KNOWN: dict[str, Program] = {program.name: program for program in (Dhclient(), Dhcpcd())}
UDHCPC = "udhcpc"
NAMES = {"4": "DHCP", "6": "DHCPv6"}  # by family
DYING, POLL = 5.0, 0.01  # seconds, on a host that is busy
# For a rehearsal: the first question is lost while the bridge has no carrier, and dhclient shall ask again after 1 s
# (dhclient.conf(5)), not after 3 to 15; dhcpcd, alone there, shall look for no duplicates (dhcpcd.conf(5)).
IMPATIENT = """
test ! -d /etc/dhcp || echo 'initial-interval 1; backoff-cutoff 1;' >>/etc/dhcp/dhclient.conf
test ! -f /etc/dhcpcd.conf || printf '\\nnodelay\\nnoarp\\n' >>/etc/dhcpcd.conf
"""
PATIENCE = 90.0  # seconds: dhclient itself gives up after 60 (timeout in dhclient.conf)


def running(system: System, link: str) -> list[Client]:
    """The clients that were started for ``link``."""
    return list(_running(system, link))


def _running(system: System, link: str) -> Iterator[Client]:
    for pid, program in processes.running(system, (*KNOWN, UDHCPC)):
        command = tuple(system.read_or(f"/proc/{pid}/cmdline", "").rstrip("\0").split("\0"))
        if KNOWN[program].serves(command, link) if program in KNOWN else link in command:
            stopped = re.search(r"^State:\s+T", system.read_or(f"/proc/{pid}/status", ""), re.MULTILINE)
            yield Client(pid, program, command, bool(stopped))


def check(system: System, link: str, families: Sequence[str], hint: str) -> None:
    """NotSupportedError for a client that cannot move without emptying the link first, and for one that does not run.

    ``families``, 4 and 6, have their addresses from DHCP; ``hint`` starts their clients.
    """
    clients = running(system, link)
    for client in clients:
        if client.program not in KNOWN:
            reason = f"a {client.program} that starts takes the addresses off its link first"
            raise NotSupportedError(
                f"{link}: DHCP client is {client.program} (pid {client.pid}), expected {' or '.join(KNOWN)}: {reason}",
                hint="apt install isc-dhcp-client, then reboot",
            )
    for family in _without(clients, families):
        raise NotSupportedError(f"{link}: is set up by {NAMES[family]}, but no client runs on it", hint=hint)


def hold(system: System, *links: str) -> None:
    """A client that renews its lease during a move would bring the address back to where it left."""
    for client in (client for link in links for client in running(system, link)):
        _signal(client.pid, signal.SIGSTOP)


def resume(system: System, link: str) -> None:
    for client in running(system, link):
        _signal(client.pid, signal.SIGCONT)


def missing(system: System, giver: str, holder: str, families: Sequence[str]) -> str:
    """What is not as it shall be after :func:`move`; empty: all is."""
    if left := running(system, giver):
        return f"a DHCP client of {giver} still runs (pid {left[0].pid})"
    awake = [client for client in running(system, holder) if not client.stopped]
    return next((f"no {NAMES[family]} client on {holder}" for family in _without(awake, families)), "")


def _without(clients: Sequence[Client], families: Sequence[str]) -> list[str]:
    return [family for family in families if family not in {client.family for client in clients}]


def move(system: System, source: str, target: str, custom: Custom) -> None:
    """One after the other, ``source``'s clients become ``target``'s.

    NetworkError if a new one drops the address: with neither server nor router in sight it does, and sleeps.
    """
    for client in running(system, source):
        program = KNOWN[client.program]
        successor = program.successor(client, source, target, custom)
        for old, new in successor.leases:
            if system.exists(old):
                system.replace(new, program.copied(system.path(old).read_bytes(), source, target))
        _start(system, target, successor.command)
        _drop(system, client, source)
        if not system.exists(f"/sys/class/net/{source}"):
            for old, _ in successor.leases:
                system.remove(old)


def _start(system: System, link: str, command: Sequence[str]) -> None:
    """A client that finds no server takes the address away and sleeps on: it is ended, and the address comes back."""
    with Kernel() as kernel:
        held = standing.side_of(kernel.network(), link)
    system.run(command, timeout=PATIENCE)
    with Kernel() as kernel:
        network = kernel.network()
        now = standing.side_of(network, link)
        gone = [line for line in held.address_lines() if line not in now.address_lines()]
        if not gone:
            return
        for client in running(system, link):
            _drop(system, client, link)
        kernel.transaction(diff.filled(network, now, held))
    lost = f"{command[0]} gave up {gone[0].partition(' ')[0]}"
    raise NetworkError(f"{link}: {lost}: neither the DHCP server nor the router answers")


def _drop(system: System, client: Client, link: str) -> None:
    """SIGKILL, so that no handler releases the lease, and without a trace in /run."""
    program = KNOWN[client.program]
    for pid in program.family(system, client):
        _kill(system, pid)
    for path in program.traces(system, client, link):
        system.remove(path)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _kill(system: System, pid: int) -> None:
    """And wait until it is dead, when it has no command line any more: who looks for it next would find it still."""
    _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + DYING
    while system.read_or(f"/proc/{pid}/cmdline", "") and time.monotonic() < deadline:
        time.sleep(POLL)
