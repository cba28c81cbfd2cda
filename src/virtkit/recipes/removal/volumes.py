"""Logical volumes that were disks: removed when that is asked for. They have no other name first: each is final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, NotSupportedError, VerifyError, VirtkitError
from virtkit.core.plan import Action
from virtkit.core.units import format_size
from virtkit.disk import lvm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.disk.lvm import Volume


@dataclass(frozen=True)
class RemoveVolume(Action):
    """LVM is asked once more whether it is open, and what would go with it."""

    kind: ClassVar[str] = "recipes.remove_volume"
    needs_root: ClassVar[bool] = True
    sign: ClassVar[str] = "-"
    final: ClassVar[bool] = True

    volume: str  # VG/LV
    what: str
    size: int  # bytes

    def describe(self) -> str:
        return f"{self.volume}: remove the logical volume for good, {self.what}, {format_size(self.size)}"

    def capture(self, system: System) -> Json:
        """Its UUID."""
        found = _found(self.volume, system)
        return found.uuid if found else None

    def apply(self, system: System, report: Sink) -> None:
        lvm.remove(lvm.doomed(self.volume, system=system), system)

    def verify(self, system: System) -> None:
        if self.capture(system) is not None:
            raise VerifyError(self.describe(), "is still there")

    def undo(self, system: System, before: Json) -> None:
        if before is not None and self.capture(system) is None:
            raise NotSupportedError(f"{self.volume}: is removed for good")


def removals(devices: Mapping[str, str], system: System, *, active: bool) -> tuple[list[RemoveVolume], dict[str, str]]:
    """The steps for those of ``devices`` (path -> what it is) that can be removed, and why the others stay.

    ``active``: the machine's own QEMU has them open still.
    """
    steps, kept = [], {}
    for path, what in devices.items():
        try:
            found = lvm.find(path, system) if active else lvm.doomed(path, system=system)[-1]
        except VirtkitError as error:
            kept[path] = f"{what}, a device: {error.message}"
        else:
            steps.append(RemoveVolume(found.full_name, what, found.size))
    return steps, kept


def _found(volume: str, system: System) -> Volume | None:
    try:
        return lvm.find(volume, system)
    except NotFoundError:
        return None
