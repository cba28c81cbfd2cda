"""A DHCP client that runs for one link, and what each program does differently."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.system import System


@dataclass(frozen=True)
class Client:
    pid: int
    program: str
    command: tuple[str, ...]  # its command line, as far as it shows
    stopped: bool = False

    @property
    def family(self) -> str:
        """``4`` or ``6``: a link may have a client for each."""
        return "6" if "-6" in self.command else "4"


@dataclass(frozen=True)
class Custom:
    """How the host's scripts start the new client, where that differs from the old one."""

    leases: Mapping[str, str] = field(default_factory=dict)  # by family, for dhclient
    dhcpcd: tuple[str, ...] = ()  # the command line


@dataclass(frozen=True)
class Successor:
    """The same client on another link."""

    command: tuple[str, ...]
    leases: tuple[tuple[str, str], ...]  # what the old one has on record: file, and the file of the new one


class Program(Protocol):
    name: str  # as /proc/*/comm has it

    def serves(self, command: tuple[str, ...], link: str) -> bool:
        """Whether a process with this command line is the client of ``link``, and not one of its helpers."""

    def successor(self, client: Client, source: str, target: str, custom: Custom) -> Successor: ...

    def copied(self, record: bytes, source: str, target: str) -> bytes:
        """A lease file for another link."""

    def family(self, system: System, client: Client) -> list[int]:
        """All of its processes."""

    def traces(self, system: System, client: Client, link: str) -> list[str]:
        """The files in /run by which others find it."""
