"""DHCP clients that a host's scripts start, one for each link: found, held, and moved to another link with the lease.

The lease moves because the client does: with the old one's command line, a copy of its lease file and the same MAC
address it is the same client to the server, and asks for the same address first (INIT-REBOOT, RFC 2131 section 4.3.2).
The old one is killed without a word to the server: a release would make it give the address to somebody else.
"""

from __future__ import annotations

import os
import re
import signal
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

__all__ = ["Client", "Custom", "check", "hold", "move", "resume", "running"]

KNOWN: dict[str, Program] = {program.name: program for program in (Dhclient(), Dhcpcd())}
UDHCPC = "udhcpc"
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


def check(clients: Sequence[Client], link: str) -> None:
    """NotSupportedError for a client that cannot move without emptying the link first."""
    for client in clients:
        if client.program not in KNOWN:
            reason = f"a {client.program} that starts takes the addresses off its link first"
            raise NotSupportedError(
                f"{link}: DHCP client is {client.program} (pid {client.pid}), expected {' or '.join(KNOWN)}: {reason}",
                hint="apt install isc-dhcp-client, then reboot",
            )


def hold(clients: Sequence[Client]) -> None:
    """A client that renews its lease now would give its link the address that has just moved away."""
    for client in clients:
        _signal(client.pid, signal.SIGSTOP)


def resume(clients: Sequence[Client]) -> None:
    for client in clients:
        _signal(client.pid, signal.SIGCONT)


def move(system: System, clients: Sequence[Client], source: str, target: str, custom: Custom | None = None) -> None:
    """One after the other, ``source``'s clients become ``target``'s.

    NetworkError if a new one drops the address: with neither server nor router in sight it does, and sleeps.
    """
    for client in clients:
        program = KNOWN[client.program]
        successor = program.successor(client, source, target, custom or Custom())
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
        _signal(pid, signal.SIGKILL)
    for path in program.traces(system, client, link):
        system.remove(path)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
