"""A daemon that netplan renders for, and how it adopts what netplan's files say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Boot, File


@dataclass(frozen=True)
class Roles:
    renderer: str  # networkd or NetworkManager
    holder: str  # the link that has addresses
    definition: str  # its id
    others: tuple[str, ...]  # the port, if a bridge has them
    port_definition: str  # its id


class Renderer(Protocol):
    def additions(self, system: System, port: str, bridge: str) -> list[File]:
        """What netplan cannot say about a bridge that has its port's layer 3."""

    def leftovers(self, system: System, bridge: str) -> list[File]:
        """Additions to take away with the bridge."""

    def stand_back(self, system: System, port: str, bridge: str) -> None:
        """Before a move, and before one is undone."""

    def adopt(self, system: System, roles: Roles, report: Sink) -> None:
        """After either, with the files in place."""

    def missing(self, system: System, roles: Roles) -> str:
        """Empty: all is well."""

    def boot(self, system: System) -> Boot:
        """How the daemon starts with the host."""
