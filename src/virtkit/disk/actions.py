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


class NewImage(Action):
    """What makes the new file ``target``: it is known again by its inode, whatever a guest writes into it."""

    sign: ClassVar[str] = "+"
    holds_data: ClassVar[bool] = True

    target: str

    def capture(self, system: System) -> Json:
        path = system.path(self.target)
        if not path.exists():
            return None
        status = path.stat()
        return {"inode": status.st_ino, "size": status.st_size, "mtime_ns": status.st_mtime_ns}

    def fingerprint(self, state: Json) -> Json:
        """The file itself: a guest writes to its disk, and that alone is nobody's change to it."""
        return state["inode"] if isinstance(state, dict) else None

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            system.remove(self.target)


@dataclass(frozen=True)
class Convert(NewImage):
    """A new image with the content of ``source``. Paths are absolute; formats None: by signature, by suffix."""

    source: str
    target: str
    source_format: str | None = None
    target_format: str | None = None
    size: int | None = None  # bytes that the new disk grows to; it never shrinks
    allow_backing: bool = False

    kind: ClassVar[str] = "disk.convert"

    def describe(self) -> str:
        what = f"{self.target}: {self.target_format or 'image'} made from {self.source}"
        return f"{what}, grown to {format_size(self.size)}" if self.size else what

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


@dataclass(frozen=True)
class Create(NewImage):
    """A new, empty image, alone or on a backing image, whose path is absolute and of which ``size`` may be None."""

    target: str
    size: int | None  # bytes
    format: str
    backing: str = ""
    backing_format: str | None = None

    kind: ClassVar[str] = "disk.create"

    def describe(self) -> str:
        size = f", {format_size(self.size)}" if self.size is not None else ""
        return f"{self.target}: {self.format}{size}, {f'on {self.backing}' if self.backing else 'empty'}"

    def apply(self, system: System, report: Sink) -> None:
        disk.create(
            str(system.path(self.target)),
            self.size,
            target_format=self.format,
            backing=str(system.path(self.backing)) if self.backing else None,
            backing_format=self.backing_format,
            durable=True,
            access=disk.Access(allow_backing=True),
        )

    def verify(self, system: System) -> None:
        there = disk.info(str(system.path(self.target)), self.format, disk.Access(allow_backing=True))
        if self.size is not None and there.virtual_size < self.size:
            raise VerifyError(self.describe(), f"its size is {there.virtual_size} bytes, expected {self.size}")
        wanted = str(system.path(self.backing)) if self.backing else None
        if (found := there.backing.name if there.backing else None) != wanted:
            raise VerifyError(self.describe(), f"stands on {found or 'nothing'}, expected {wanted or 'nothing'}")


@dataclass(frozen=True)
class Reflink(NewImage):
    """The same file again, its blocks shared until one of the two is written: FICLONE, ioctl_ficlonerange(2)."""

    source: str
    target: str

    kind: ClassVar[str] = "disk.reflink"

    def describe(self) -> str:
        return f"{self.target}: a copy of {self.source} that shares its blocks"

    def apply(self, system: System, report: Sink) -> None:
        from virtkit.disk.reflink import clone

        clone(str(system.path(self.source)), str(system.path(self.target)))

    def verify(self, system: System) -> None:
        source, target = system.path(self.source).stat().st_size, system.path(self.target).stat().st_size
        if source != target:
            raise VerifyError(self.describe(), f"is {target} bytes long, expected {source}")
