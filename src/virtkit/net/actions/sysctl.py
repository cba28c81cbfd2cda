"""A setting of the running kernel, as sysctl(8) names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, VerifyError
from virtkit.core.plan import Action

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class SetSysctl(Action):
    """Until the next reboot; what lasts is a file in /etc/sysctl.d beside it."""

    kind: ClassVar[str] = "net.set_sysctl"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True

    path: str  # below /proc/sys: ``net/ipv4/ip_forward``; a link's name may hold dots, so not with dots
    value: str

    def describe(self) -> str:
        return f"{self.path}: set {self.value}"

    def capture(self, system: System) -> Json:
        """None where the kernel has no such setting (a module is not loaded, the link is gone)."""
        return system.read(self._file) if system.exists(self._file) else None

    def apply(self, system: System, report: Sink) -> None:
        if not system.exists(self._file):
            raise NotFoundError(f"{self._file}: the kernel has no such setting")
        system.write(self._file, self.value)

    def verify(self, system: System) -> None:
        if (found := system.read(self._file)) != self.value:
            raise VerifyError(self.describe(), f"is {found}, expected {self.value}")

    def undo(self, system: System, before: Json) -> None:
        if before is not None and system.exists(self._file):
            system.write(self._file, str(before))

    @property
    def _file(self) -> str:
        return f"/proc/sys/{self.path}"
