"""A daemon that netplan renders for, and how it adopts what netplan's files say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Boot, File
    from virtkit.net.standing import Side


@dataclass(frozen=True)
class Roles:
    renderer: str  # networkd or NetworkManager
    bridge: str  # there now, to be, or that was
    holder: str  # the link that has addresses
    definition: str  # its id
    others: tuple[str, ...]  # the port, if a bridge has them
    port_definition: str  # its id


class Renderer(Protocol):
    empties: bool  # the link that it takes, so that it has to have the bridge before that holds anything

    def pins(self, system: System, held: Side) -> list[tuple[str, str]]:
        """Settings of the bridge, as YAML in flow style, without which it would be otherwise than its port was."""

    def additions(self, system: System, port: str, bridge: str) -> list[File]:
        """What netplan cannot say about a bridge that has its port's layer 3."""

    def leftovers(self, system: System, bridge: str) -> list[File]:
        """Additions to take away with the bridge."""

    def stand_back(self, system: System, roles: Roles, port: str) -> None:
        """Before a move."""

    def introduce(self, system: System, roles: Roles, bridge: str) -> None:
        """The bridge is there and empty, the port not yet in it."""

    def dismiss(self, system: System, roles: Roles, bridge: str) -> None:
        """The bridge is empty and about to be deleted."""

    def adopt(self, system: System, roles: Roles, report: Sink) -> None:
        """After a move or the undo of one, with the files in place."""

    def let_go(self, system: System, roles: Roles, port: str) -> None:
        """Before an adoption is undone."""

    def missing(self, system: System, roles: Roles) -> str:
        """Empty: all is well."""

    def boot(self, system: System) -> Boot:
        """How the daemon starts with the host."""
