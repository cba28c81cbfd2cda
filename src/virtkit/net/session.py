"""The SSH session that this process belongs to."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.net.diag import Endpoint

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.standing import Side

FOUND = re.compile(r"(?:^|\0)SSH_CONNECTION=(\S+) (\d{1,5}) (\S+) (\d{1,5})(?:\0|$)")


class Session(NamedTuple):
    client: Endpoint
    server: Endpoint  # on this host
    scope: str = ""  # the link of a link-local address, which never moves

    def over(self, side: Side) -> bool:
        return self.scope == side.name or any(self.server.address == address.local for address in side.addresses)


def find(system: System) -> Session | None:
    """Asks the processes above too, since sudo drops SSH_CONNECTION. None: nobody came by SSH."""
    pid = os.getpid()
    while pid > 1:
        if found := FOUND.search(system.read_or(f"/proc/{pid}/environ", "")):
            server, _, scope = found[3].partition("%")
            return Session(Endpoint(found[1].partition("%")[0], int(found[2])), Endpoint(server, int(found[4])), scope)
        parent = re.search(r"^PPid:\s*(\d+)", system.read_or(f"/proc/{pid}/status", ""), re.MULTILINE)
        pid = int(parent[1]) if parent else 0
    return None
