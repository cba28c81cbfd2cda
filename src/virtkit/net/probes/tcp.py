"""What the administrator himself names: ``--check db.example:5432`` has to accept connections."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.net.probes.probe import Answer, Probe

if TYPE_CHECKING:
    from virtkit.net.model import Network


@dataclass(frozen=True)
class Tcp(Probe):
    kind: ClassVar[str] = "tcp"

    target: str  # as it was asked for
    address: str  # what its name meant when the plan was made: names are the DNS probes' business
    number: str  # port

    def describe(self) -> str:
        return self.target if self.address in self.target else f"{self.target} ({self.address})"

    def ask(self, network: Network, until: float) -> Answer:
        started = time.monotonic()
        try:
            with socket.create_connection((self.address, int(self.number)), timeout=max(until - started, 0.001)):
                after = (time.monotonic() - started) * 1000
        except TimeoutError:
            return Answer(well=False, said=f"{self.describe()}: no connection within {until - started:.1f} s")
        return Answer(well=True, said=f"{self.describe()}: accepts connections after {after:.1f} ms")


def parse(text: str) -> Tcp:
    """Of ``HOST:PORT`` or ``[IPV6]:PORT``; UsageError, and NotFoundError for a name that has no address."""
    found = re.fullmatch(r"(?:\[(?P<six>[^\[\]\s]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})", text)
    if not found or not 0 < int(found["port"]) < 1 << 16:
        raise UsageError(f"--check: target is {text!r}, expected HOST:PORT or [IPV6]:PORT with a port from 1 to 65535")
    host = found["six"] or found["host"]
    try:
        (*_, address), *_ = socket.getaddrinfo(host, int(found["port"]), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = str(getattr(error, "strerror", None) or "not a host's name").lower()
        raise NotFoundError(f"--check {text}: {host} has no address: {why}", hint=f"getent hosts {host}") from error
    return Tcp(text, str(address[0]), found["port"])
