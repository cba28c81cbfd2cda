"""What the actions on machines have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtkit.core.plan import Action
from virtkit.vm import connection

if TYPE_CHECKING:
    from virtkit.vm.connection import Connection


@dataclass(frozen=True)
class MachineAction(Action):
    """``uri`` is settled when the action is made: undo speaks to the same libvirt, whatever the environment is then."""

    name: str
    uri: str = field(default_factory=connection.default_uri, kw_only=True)

    def _open(self) -> Connection:
        return connection.open(self.uri)
