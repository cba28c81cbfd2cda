"""ISC's dhclient: says all in its command line, and keeps a lease file for each link."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.net.dhcpclient.client import Successor

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.dhcpclient.client import Client, Custom

LEASES, PID = "/var/lib/dhcp/dhclient.{link}.leases", "/run/dhclient.{link}.pid"  # where ifupdown keeps them


class Dhclient:
    name = "dhclient"

    def serves(self, command: tuple[str, ...], link: str) -> bool:
        return link in command

    def successor(self, client: Client, source: str, target: str, custom: Custom) -> Successor:
        """The link's name is a word of the command line, and in the names of files."""
        pattern = re.compile(rf"(?<![A-Za-z0-9]){re.escape(source)}(?![A-Za-z0-9]|\.\d)")
        command = [pattern.sub(target.replace("\\", r"\\"), word) for word in client.command]
        for option, path in (("-lf", LEASES), ("-pf", PID)):
            if option not in command:
                command[1:1] = [option, path.format(link=target)]
        place = command.index("-lf") + 1
        command[place] = custom.leases.get(client.family, command[place])
        old = _after(client, "-lf")
        leases = ((old, command[place]),) if old and old != command[place] else ()
        return Successor(tuple(command), leases)

    def copied(self, record: bytes, source: str, target: str) -> bytes:
        """With the identity (default-duid) that the server knows the client by."""
        return record.replace(f'interface "{source}";'.encode(), f'interface "{target}";'.encode())

    def family(self, system: System, client: Client) -> list[int]:
        return [client.pid]

    def traces(self, system: System, client: Client, link: str) -> list[str]:
        return list(filter(None, [_after(client, "-pf")]))


def _after(client: Client, option: str) -> str:
    """What follows an option of its command line; empty: it is not given."""
    words = client.command
    return words[words.index(option) + 1] if option in words[:-1] else ""
