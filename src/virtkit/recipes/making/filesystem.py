"""A directory tree becomes an ext4 file system, without mounting anything: mke2fs(8), -d."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit import disk
from virtkit.core.errors import ConflictError, VerifyError
from virtkit.core.units import KIB, format_size
from virtkit.disk.actions import NewImage

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_PATIENCE = 3600.0  # seconds; a tree of 10 GB takes some minutes on a slow disk


@dataclass(frozen=True)
class TreeDisk(NewImage):
    """Owners, modes, hard links, devices and extended attributes go along; sockets do not."""

    kind: ClassVar[str] = "recipes.tree_disk"

    target: str
    tree: str
    size: int  # bytes
    format: str
    uuid: str  # of the file system

    def describe(self) -> str:
        return f"{self.target}: {self.format}, one ext4 of {format_size(self.size)} with what is in {self.tree}"

    def apply(self, system: System, report: Sink) -> None:
        target, raw = system.path(self.target), system.path(self._raw)
        if system.exists(self.target):
            raise ConflictError(f"{self.target}: exists already", hint=f"ls -l {self.target}")
        try:
            self._fill(str(raw), system)
            disk.convert(
                str(raw), str(target), source_format="raw", target_format=self.format, durable=True, report=report
            )
            target.chmod(0o600)  # there are password hashes in it
        finally:
            raw.unlink(missing_ok=True)

    def verify(self, system: System) -> None:
        """The file system was checked while it was still a raw file."""
        found = disk.info(str(system.path(self.target)), self.format)
        if found.virtual_size != self.size:
            raise VerifyError(self.describe(), f"its size is {found.virtual_size} bytes, expected {self.size}")

    def undo(self, system: System, before: Json) -> None:
        """With the raw file that a kill left."""
        super().undo(system, before)
        if before is None:
            system.remove(self._raw)

    @property
    def _raw(self) -> str:
        folder, name = os.path.split(self.target)
        return os.path.join(folder, f".{name}.tree")

    def _fill(self, raw: str, system: System) -> None:
        with open(os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.truncate(self.size)
        tree = str(system.path(self.tree))
        make = ["mke2fs", "-q", "-F", "-t", "ext4", "-U", self.uuid, "-L", "root", "-d", tree, raw]
        environment = {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
        system.run([*make, f"{self.size // KIB}k"], timeout=_PATIENCE, env=environment)
        system.run(["e2fsck", "-f", "-n", raw], timeout=_PATIENCE, env=environment)
