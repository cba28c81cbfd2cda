"""A new, empty image on one that is left as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit import disk
from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class Overlay(Action):
    """Undo of a change that is done leaves the file: a guest may have written to it."""

    kind: ClassVar[str] = "recipes.overlay"
    sign: ClassVar[str] = "+"
    holds_data: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    file: str
    base: str
    base_format: str

    def describe(self) -> str:
        return f"{self.file}: empty qcow2 image on {self.base}"

    def capture(self, system: System) -> Json:
        """Its inode; what a guest writes to it is nobody's change to it."""
        with suppress(OSError):
            return os.stat(system.path(self.file)).st_ino
        return None

    def apply(self, system: System, report: Sink) -> None:
        disk.create(
            str(system.path(self.file)),
            target_format="qcow2",
            backing=self.base,
            backing_format=self.base_format,
            durable=True,
            access=disk.Access(allow_backing=True),
        )

    def verify(self, system: System) -> None:
        backing = disk.info(str(system.path(self.file)), "qcow2").backing
        if backing is None or backing.name != self.base:
            raise VerifyError(self.describe(), f"its backing image is {backing}, expected {self.base}")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            with suppress(FileNotFoundError):
                os.unlink(system.path(self.file))
