"""A bridge is in its port's firewalld zone before it gets the port's addresses: what was let in is let in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.net import firewalld

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


def plan_zone(system: System, port: str, bridge: str) -> list[Action]:
    """Nothing where firewalld does not run, or the default zone has both."""
    if not firewalld.runs(system):
        return []
    zone = firewalld.zone(system, port)
    return [SetZone(bridge, zone)] if zone and zone != firewalld.zone(system, bridge) else []


@dataclass(frozen=True)
class SetZone(Action):
    kind: ClassVar[str] = "net.set_zone"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    link: str
    zone: str

    def describe(self) -> str:
        return f"{self.link}: in firewalld's zone {self.zone}"

    def capture(self, system: System) -> Json:
        return firewalld.zone(system, self.link) if firewalld.runs(system) else ""

    def apply(self, system: System, report: Sink) -> None:
        firewalld.assign(system, self.link, self.zone)

    def verify(self, system: System) -> None:
        if (found := firewalld.zone(system, self.link)) != self.zone:
            raise VerifyError(self.describe(), f"zone is {found or 'the default'}, expected {self.zone}")

    def undo(self, system: System, before: Json) -> None:
        if firewalld.runs(system):
            firewalld.assign(system, self.link, str(before or ""))
