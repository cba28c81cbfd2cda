"""Changes to disk images, as the journal writes them down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit import disk
from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.core.units import format_size
from virtkit.disk.lvm import actions as lvm  # noqa: F401  the journal finds them here

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class Convert(Action):
    """A new image with the content of ``source``. Paths are absolute; formats None: by signature, by suffix."""

    source: str
    target: str
    source_format: str | None = None
    target_format: str | None = None
    size: int | None = None  # bytes that the new disk grows to; it never shrinks
    allow_backing: bool = False

    kind: ClassVar[str] = "disk.convert"
    sign: ClassVar[str] = "+"
    holds_data: ClassVar[bool] = True

    def describe(self) -> str:
        what = f"{self.target}: {self.target_format or 'image'} made from {self.source}"
        return f"{what}, grown to {format_size(self.size)}" if self.size else what

    def capture(self, system: System) -> Json:
        path = system.path(self.target)
        if not path.exists():
            return None
        status = path.stat()
        return {"inode": status.st_ino, "size": status.st_size, "mtime_ns": status.st_mtime_ns}

    def fingerprint(self, state: Json) -> Json:
        """The file itself: a guest writes to its disk, and that alone is nobody's change to it."""
        return state["inode"] if isinstance(state, dict) else None

    def apply(self, system: System, report: Sink) -> None:
        disk.convert(
            str(system.path(self.source)),
            str(system.path(self.target)),
            source_format=self.source_format,
            target_format=self.target_format,
            size=self.size,
            durable=True,  # the journal will say that it is there
            access=disk.Access(allow_backing=self.allow_backing),
            report=report,
        )

    def verify(self, system: System) -> None:
        source, target = str(system.path(self.source)), str(system.path(self.target))
        with disk.open(target, "r", self.target_format) as made:
            size = made.size
        if self.size and size < self.size:
            raise VerifyError(self.describe(), f"its size is {size} bytes, expected at least {self.size}")
        result = disk.compare(
            source,
            target,
            left_format=self.source_format,
            right_format=self.target_format,
            access=disk.Access(allow_backing=self.allow_backing),
        )
        if result.left_size > result.right_size:
            raise VerifyError(self.describe(), f"its size is {size} bytes, expected {result.left_size}")
        if result.offset is not None:
            raise VerifyError(self.describe(), f"it differs from its source at byte {result.offset:#x}")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            system.remove(self.target)
