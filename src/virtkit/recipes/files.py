"""A machine's small files are copied; all of its files get another name before the first of them is deleted.

So what cannot be renamed (an immutable file, a read-only file system) ends the change while all of it can be put back.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.directories import replacing, sync_directory
from virtkit.core.errors import ConflictError, NotSupportedError, SystemCallError, VerifyError
from virtkit.core.plan import Action
from virtkit.core.units import format_size
from virtkit.disk import locks

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class CopyFile(Action):
    """A file of the machine's own with the content of another: known again by its inode, whoever writes to it.

    It is its owner's alone to read (0600): libvirt hands it to QEMU's user while the machine runs.
    """

    kind: ClassVar[str] = "recipes.copy_file"
    sign: ClassVar[str] = "+"

    source: str
    target: str
    what: str

    def describe(self) -> str:
        return f"{self.target}: {self.what}, from {self.source}"

    def capture(self, system: System) -> Json:
        try:
            return os.stat(system.path(self.target)).st_ino
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SystemCallError(f"look at {self.target}", error) from error

    def apply(self, system: System, report: Sink) -> None:
        if system.exists(self.target):
            raise ConflictError(f"{self.target}: exists already", hint=f"ls -l {self.target}")
        try:
            with open(system.path(self.source), "rb") as source, replacing(system.path(self.target)) as made:
                shutil.copyfileobj(source, made, 1 << 20)
        except OSError as error:
            raise SystemCallError(f"copy {self.source} to {self.target}", error) from error

    def verify(self, system: System) -> None:
        if not filecmp.cmp(system.path(self.source), system.path(self.target), shallow=False):
            raise VerifyError(self.describe(), "holds other bytes")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            system.remove(self.target)


@dataclass(frozen=True)
class SetAside(Action):
    """Rename within its directory. Where it has the other name already (somebody was killed), nothing is to do."""

    kind: ClassVar[str] = "recipes.set_aside"
    sign: ClassVar[str] = "-"

    path: str
    aside: str
    what: str
    size: int  # bytes on the file system

    def describe(self) -> str:
        return f"{self.path}: {self.what}, {format_size(self.size)}"

    def capture(self, system: System) -> Json:
        """Which name it has; None: neither."""
        names = [word for word, path in (("its own", self.path), ("aside", self.aside)) if system.exists(path)]
        return " and ".join(names) or None

    def apply(self, system: System, report: Sink) -> None:
        if not system.exists(self.path):
            return
        if system.exists(self.aside):
            raise ConflictError(f"{self.aside}: is there already, expected nothing", hint=f"ls -l {self.aside}")
        self._rename(system, self.path, self.aside)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != "aside":
            raise VerifyError(self.describe(), f"its name is {found}, expected {self.aside}")

    def undo(self, system: System, before: Json) -> None:
        if before == "its own" and self.capture(system) == "aside":
            self._rename(system, self.aside, self.path)

    def _rename(self, system: System, old: str, new: str) -> None:
        try:
            os.rename(system.path(old), system.path(new))
            sync_directory(system.path(os.path.dirname(old)))
        except OSError as error:
            raise SystemCallError(f"rename {old}", error, hint=f"lsattr {old}; findmnt -T {old}") from error


@dataclass(frozen=True)
class DeleteFiles(Action):
    """For good. Whose they were, ``machine``, is still defined: after a kill ``vm rm`` finishes."""

    kind: ClassVar[str] = "recipes.delete_files"
    sign: ClassVar[str] = "-"
    final: ClassVar[bool] = True

    machine: str
    files: list[str]
    size: int  # bytes on the file system

    def describe(self) -> str:
        count = f"{len(self.files)} files" if len(self.files) > 1 else "1 file"
        return f"machine {self.machine}: delete {count} for good, {format_size(self.size)}"

    def capture(self, system: System) -> Json:
        """Those that are there."""
        return [file for file in self.files if system.exists(file)]

    def apply(self, system: System, report: Sink) -> None:
        """BusyError, and nothing is deleted, if somebody has one of them open by now: a machine that was started."""
        for file in self.files:
            if system.path(file).is_file():
                locks.require_free(str(system.path(file)))
        for file in self.files:
            _delete(system, file)

    def verify(self, system: System) -> None:
        if self.capture(system):
            raise VerifyError(self.describe(), f"{', '.join(map(str, self.files))} is still there")

    def undo(self, system: System, before: Json) -> None:
        there = self.capture(system)
        if isinstance(there, list) and isinstance(before, list) and len(there) < len(before):
            lost = f"{len(before) - len(there)} of {len(before)}"
            raise NotSupportedError(
                f"{lost} files of machine {self.machine} are deleted for good: virtkit vm rm {self.machine} finishes"
            )


def _delete(system: System, file: str) -> None:
    path = system.path(file)
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            with suppress(FileNotFoundError):
                path.unlink()
    except OSError as error:
        raise SystemCallError(f"delete {file}", error) from error
