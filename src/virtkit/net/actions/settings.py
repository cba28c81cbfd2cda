"""A port's settings of the kernel become its bridge's, before the addresses come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.net import settings

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class CarrySettings(Action):
    """Daemons set some of them anew when they take the bridge over; only what is still as it was set here goes back."""

    kind: ClassVar[str] = "net.carry_settings"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True
    unseen: ClassVar[bool] = True

    link: str
    port: str
    values: dict[str, str]  # by ``ipv4/conf/rp_filter``

    def describe(self) -> str:
        said = [f"{key.replace('/', '.')} {value}" for key, value in sorted(self.values.items())]
        shown = ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")  # noqa: PLR2004  fit a line
        return f"{self.link}: as {self.port}: {shown}"

    def details(self) -> list[str]:
        return [f"{settings.path(self.link, key)} = {value}" for key, value in sorted(self.values.items())]

    def capture(self, system: System) -> Json:
        return {key: system.read_or(settings.path(self.link, key), "") for key in self.values}

    def fingerprint(self, state: Json) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        for key, value in self.values.items():
            system.write(settings.path(self.link, key), value)

    def verify(self, system: System) -> None:
        for key, value in self.values.items():
            if (found := system.read_or(settings.path(self.link, key), "")) != value:
                raise VerifyError(self.describe(), f"{key} is {found or 'nothing'}, expected {value}")

    def undo(self, system: System, before: Json) -> None:
        for key, value in before.items() if isinstance(before, dict) else ():
            place = settings.path(self.link, key)
            if value and system.read_or(place, "") == self.values.get(key):
                system.write(place, str(value))
