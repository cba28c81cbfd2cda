"""DHCP clients that a host's scripts start, one for each link: found, held, and moved to another link with the lease.

The lease moves because the client does: with the old one's command line, a copy of its lease file and the same MAC
address it is the same client to the server, and asks for the same address first (INIT-REBOOT, RFC 2131 section 4.3.2).
The old one is killed without a word to the server: a release would make it give the address to somebody else.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError, NotSupportedError
from virtkit.net import diff, processes, standing
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtkit.core.system import System

DHCLIENT, DHCPCD, UDHCPC = "dhclient", "dhcpcd", "udhcpc"
PROGRAMS = (DHCLIENT, DHCPCD, UDHCPC)
PATIENCE = 90.0  # seconds: dhclient itself gives up after 60 (timeout in dhclient.conf)
LEASES = "/var/lib/dhcp/dhclient.{link}.leases"  # where ifupdown keeps them


@dataclass(frozen=True)
class Client:
    pid: int
    program: str
    command: tuple[str, ...]
    stopped: bool

    @property
    def family(self) -> str:
        """``4`` or ``6``: a link may have a client for each."""
        return "6" if "-6" in self.command else "4"

    def file(self, option: str) -> str:
        """What follows an option of its command line; empty: it is not given."""
        words = self.command
        return words[words.index(option) + 1] if option in words[:-1] else ""


def running(system: System, link: str) -> list[Client]:
    """The clients that were started for ``link``."""
    return list(_running(system, link))


def _running(system: System, link: str) -> Iterator[Client]:
    for pid, program in processes.running(system, PROGRAMS):
        command = tuple(system.read_or(f"/proc/{pid}/cmdline", "").rstrip("\0").split("\0"))
        if link in command:
            stopped = re.search(r"^State:\s+T", system.read_or(f"/proc/{pid}/status", ""), re.MULTILINE)
            yield Client(pid, program, command, bool(stopped))


def check(clients: Sequence[Client], link: str) -> None:
    """NotSupportedError for a client that cannot move without emptying the link first."""
    for client in clients:
        if client.program != DHCLIENT:
            reason = f"a {client.program} that starts takes the addresses off its link first"
            raise NotSupportedError(
                f"{link}: DHCP client is {client.program} (pid {client.pid}), expected {DHCLIENT}: {reason}",
                hint=f"apt install isc-dhcp-client; kill {client.pid}; ifup --force {link}",
            )


def hold(clients: Sequence[Client]) -> None:
    """A client that renews its lease now would give its link the address that has just moved away."""
    for client in clients:
        _signal(client, signal.SIGSTOP)


def resume(clients: Sequence[Client]) -> None:
    for client in clients:
        _signal(client, signal.SIGCONT)


def move(
    system: System, clients: Sequence[Client], source: str, target: str, leases: Mapping[str, str] | None = None
) -> None:
    """One after the other, ``source``'s clients become ``target``'s; ``leases``: the family's file for the new one.

    NetworkError if a new one drops the address: with neither server nor router in sight it does, and sleeps.
    """
    for client in clients:
        command = relinked(client, source, target, (leases or {}).get(client.family, ""))
        new = Client(0, client.program, command, stopped=False)
        old_file, new_file = client.file("-lf"), new.file("-lf")
        if system.exists(old_file) and old_file != new_file:
            text = system.read(old_file) + "\n"
            lease = text.replace(f'interface "{source}";', f'interface "{target}";')
            system.replace(new_file, lease.encode("utf-8", "surrogateescape"))
        _start(system, target, command)
        drop(system, client)
        if not system.exists(f"/sys/class/net/{source}"):
            system.remove(old_file)


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
            drop(system, client)
        kernel.transaction(diff.filled(network, now, held))
    lost = f"{command[0]} gave up {gone[0].partition(' ')[0]}"
    raise NetworkError(f"{link}: {lost}: neither the DHCP server nor the router answers")


def drop(system: System, client: Client) -> None:
    """SIGKILL, so that no handler releases the lease, and without a trace in /run."""
    _signal(client, signal.SIGKILL)
    if pid_file := client.file("-pf"):
        system.remove(pid_file)


def relinked(client: Client, source: str, target: str, lease_file: str = "") -> tuple[str, ...]:
    """The command line for another link: its name is a word of it, and in the names of files."""
    pattern = re.compile(rf"(?<![A-Za-z0-9]){re.escape(source)}(?![A-Za-z0-9]|\.\d)")
    command = [pattern.sub(target.replace("\\", r"\\"), word) for word in client.command]
    for option, path in (("-lf", LEASES.format(link=target)), ("-pf", f"/run/{DHCLIENT}.{target}.pid")):
        if option not in command:
            command[1:1] = [option, path]
    if lease_file:
        command[command.index("-lf") + 1] = lease_file
    return tuple(command)


def _signal(client: Client, number: signal.Signals) -> None:
    try:
        os.kill(client.pid, number)
    except ProcessLookupError:
        return
