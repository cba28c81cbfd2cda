"""What an import does, as the journal writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit import disk
from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.core.units import format_size
from virtkit.disk.actions import NewImage
from virtkit.recipes.appliance import manifest
from virtkit.recipes.appliance.package import open_package

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class CheckManifest(Action):
    """Changes nothing: fails unless every file of the package has the digest that its manifest says."""

    kind: ClassVar[str] = "recipes.check_manifest"
    stands_alone: ClassVar[bool] = True
    changes: ClassVar[bool] = False

    path: str

    def describe(self) -> str:
        return f"{self.path}: every file held against the manifest"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        manifest.prove(open_package(str(system.path(self.path))), report)

    def verify(self, system: System) -> None:
        """It was just seen."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""


@dataclass(frozen=True)
class ImportDisk(NewImage):
    """A new image with the disk that lies in a stretch of ``source``."""

    kind: ClassVar[str] = "recipes.import_disk"

    source: str
    name: str  # of the disk, for messages
    start: int  # bytes
    length: int | None  # bytes; None: up to the end
    packed: bool
    most: int  # bytes that it may be unpacked to
    target: str
    format: str
    size: int  # bytes that a guest sees; 0: not known before

    def describe(self) -> str:
        size = f", {format_size(self.size)}" if self.size else ""
        return f"{self.target}: {self.format}{size}, from {self.name}{' (gzip)' if self.packed else ''}"

    def apply(self, system: System, report: Sink) -> None:
        from virtkit.disk import inside

        source = str(system.path(self.source))
        stretch = inside.Stretch(source, self.name, self.start, self.length, self.packed, self.most)
        inside.convert(stretch, str(system.path(self.target)), target_format=self.format, report=report)

    def verify(self, system: System) -> None:
        """Its content was compared before it appeared."""
        there = disk.info(str(system.path(self.target)), self.format)
        if self.size and there.virtual_size < self.size:
            raise VerifyError(self.describe(), f"its size is {there.virtual_size} bytes, expected {self.size}")
