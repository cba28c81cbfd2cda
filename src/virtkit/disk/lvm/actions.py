"""Changes to logical volumes, as the journal writes them down."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, VerifyError
from virtkit.core.plan import Action
from virtkit.core.units import format_size
from virtkit.disk.lvm import tools

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.disk.lvm.report import Volume


class _NewVolume(Action):
    """What making a volume has in common, however it is made."""

    sign: ClassVar[str] = "+"
    needs_root: ClassVar[bool] = True
    holds_data: ClassVar[bool] = True

    @property
    @abstractmethod
    def full_name(self) -> str:
        """VG/LV."""

    @abstractmethod
    def command(self) -> list[str]:
        """What makes it."""

    def capture(self, system: System) -> Json:
        found = _found(system, self.full_name)
        return {"uuid": found.uuid, "size": found.size} if found else None

    def fingerprint(self, state: Json) -> Json:
        """The volume itself: somebody may have given it more room since."""
        return state["uuid"] if isinstance(state, dict) else None

    def apply(self, system: System, report: Sink) -> None:
        tools.run(system, *self.command())

    def undo(self, system: System, before: Json) -> None:
        if before is None and _found(system, self.full_name):
            tools.remove(system, self.full_name)


@dataclass(frozen=True)
class CreateVolume(_NewVolume):
    """A logical volume of ``size`` bytes: plain, thin in ``pool``, or a thin pool itself."""

    group: str
    name: str
    size: int
    pool: str | None = None
    as_pool: bool = False

    kind: ClassVar[str] = "disk.lvm_create"

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    def describe(self) -> str:
        what = "thin pool" if self.as_pool else "logical volume"
        where = f", thin in {self.pool}" if self.pool else ""
        return f"{self.full_name}: {what} of {format_size(self.size)}{where}"

    def command(self) -> list[str]:
        start = ["lvcreate", "--yes", "--name", self.name]
        if self.pool:
            return [*start, "--virtualsize", f"{self.size}b", "--thinpool", self.pool, self.group]
        kind = ["--type", "thin-pool"] if self.as_pool else ["--wipesignatures", "y"]
        return [*start, *kind, "--size", f"{self.size}b", self.group]

    def verify(self, system: System) -> None:
        made = _found(system, self.full_name)
        if made is None or made.size < self.size:
            raise VerifyError(self.describe(), f"it is {made.size} bytes long" if made else "it is not there")


@dataclass(frozen=True)
class SnapshotVolume(_NewVolume):
    """``size``: bytes that may change; None for thin volumes, whose snapshots take their room from the pool."""

    group: str
    origin: str
    name: str
    size: int | None = None

    kind: ClassVar[str] = "disk.lvm_snapshot"

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    def describe(self) -> str:
        room = f", with {format_size(self.size)} for what changes" if self.size else ""
        return f"{self.full_name}: snapshot of {self.group}/{self.origin}{room}"

    def command(self) -> list[str]:
        """A thin snapshot would not be activated by itself, as if it were a backup."""
        room = ["--size", f"{self.size}b"] if self.size else ["--setactivationskip", "n"]
        return ["lvcreate", "--yes", "--snapshot", "--name", self.name, *room, f"{self.group}/{self.origin}"]

    def verify(self, system: System) -> None:
        made = _found(system, self.full_name)
        if made is None or made.origin != self.origin:
            raise VerifyError(self.describe(), f"its origin is {made.origin}" if made else "it is not there")


def _found(system: System, full_name: str) -> Volume | None:
    try:
        return tools.find(system, full_name)
    except NotFoundError:
        return None
