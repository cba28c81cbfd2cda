"""dhcpcd for one link: several processes, whose title stands where their command line was."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.net import processes
from virtkit.net.dhcpclient.client import Successor

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.dhcpclient.client import Client, Custom

LEASES, RUN = "/var/lib/dhcpcd", "/run/dhcpcd"


class Dhcpcd:
    name = "dhcpcd"

    def serves(self, command: tuple[str, ...], link: str) -> bool:
        """``dhcpcd: eth0 [ip4] [ip6]``; helpers have a role in brackets first, a manager of all links has no link."""
        return bool(re.match(rf"dhcpcd: {re.escape(link)} \[", " ".join(command)))

    def successor(self, client: Client, source: str, target: str, custom: Custom) -> Successor:
        """Its client identifier is made of the machine's DUID and the MAC address: both stay."""
        ends = (".lease", ".lease6")
        leases = tuple((f"{LEASES}/{source}{end}", f"{LEASES}/{target}{end}") for end in ends)
        return Successor(custom.dhcpcd or ("dhcpcd", target), leases)

    def copied(self, record: bytes, source: str, target: str) -> bytes:
        """The server's last message, as it came."""
        return record

    def family(self, system: System, client: Client) -> list[int]:
        """It and its helpers have a session of their own."""
        own = _session(system, client.pid)
        found = (pid for pid, _ in processes.running(system, (self.name,)))
        return [client.pid, *(pid for pid in found if pid != client.pid and _session(system, pid) == own)]

    def traces(self, system: System, client: Client, link: str) -> list[str]:
        starts = tuple(f"{link}{family}." for family in ("", "-4", "-6"))
        return [f"{RUN}/{name}" for name in system.names(RUN) if name.startswith(starts)]


def _session(system: System, pid: int) -> int:
    """Field 6 of /proc/PID/stat; the second, a name in parentheses, may hold anything. 0: it is gone."""
    from_the_third = system.read_or(f"/proc/{pid}/stat", "").rpartition(")")[2].split()
    return int(next(iter(from_the_third[3:4]), 0))
