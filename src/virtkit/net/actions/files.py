"""A configuration file of a backend is made, changed or removed, and comes back exactly as it was."""

from __future__ import annotations

import difflib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core import files
from virtkit.core.errors import ConflictError, VerifyError
from virtkit.core.files import text_of
from virtkit.core.plan import Action

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import File

DROP_INS = ".d"  # the end of the name of a directory with additions to a file


def plan_file(system: System, file: File) -> Action | None:
    """None: the file says so already."""
    was = text_of(system, file.path)
    if file.text is None:
        return None if was is None else RemoveFile(file.path, was)
    if was is None:
        return CreateFile(file.path, file.text, file.mode)
    return None if was == file.text else ChangeFile(file.path, was, file.text, file.mode)


@dataclass(frozen=True)
class _File(Action):
    needs_root: ClassVar[bool] = True

    path: str

    def capture(self, system: System) -> Json:
        return files.capture(system, self.path)

    def undo(self, system: System, before: Json) -> None:
        if before is not None:
            self._make_place(system)
        files.restore(system, self.path, before)
        if before is None:
            self._remove_place(system)

    def _make_place(self, system: System) -> None:
        """The directory for drop-ins, which appears with the first of them."""
        place = system.path(self.path).parent
        if place.name.endswith(DROP_INS):
            place.mkdir(exist_ok=True)

    def _remove_place(self, system: System) -> None:
        """It goes with the last of them."""
        place = system.path(self.path).parent
        if place.name.endswith(DROP_INS):
            with suppress(OSError):  # not empty, or gone
                place.rmdir()

    def _expect(self, system: System, was: str | None) -> None:
        """The plan was made for the file as it stood then."""
        if text_of(system, self.path) != was:
            raise ConflictError(f"{self.path}: was changed since the plan was made")

    def _write(self, system: System, text: str, mode: int | None) -> None:
        self._make_place(system)
        files.rewrite(system, self.path, text.encode("utf-8", "surrogateescape"), mode)

    def _shows(self, system: System, text: str | None) -> None:
        if text_of(system, self.path) != text:
            raise VerifyError(self.describe(), "does not read back as it was written")


@dataclass(frozen=True)
class CreateFile(_File):
    kind: ClassVar[str] = "net.create_file"
    sign: ClassVar[str] = "+"

    text: str
    mode: int | None = None

    def describe(self) -> str:
        return f"{self.path}: create"

    def details(self) -> list[str]:
        return _difference("", self.text)

    def apply(self, system: System, report: Sink) -> None:
        self._expect(system, None)
        self._write(system, self.text, self.mode)

    def verify(self, system: System) -> None:
        self._shows(system, self.text)


@dataclass(frozen=True)
class ChangeFile(_File):
    kind: ClassVar[str] = "net.change_file"

    was: str
    text: str
    mode: int | None = None

    def describe(self) -> str:
        return f"{self.path}: change"

    def details(self) -> list[str]:
        return _difference(self.was, self.text)

    def apply(self, system: System, report: Sink) -> None:
        self._expect(system, self.was)
        self._write(system, self.text, self.mode)

    def verify(self, system: System) -> None:
        self._shows(system, self.text)


@dataclass(frozen=True)
class RemoveFile(_File):
    kind: ClassVar[str] = "net.remove_file"
    sign: ClassVar[str] = "-"

    was: str

    def describe(self) -> str:
        return f"{self.path}: remove"

    def apply(self, system: System, report: Sink) -> None:
        self._expect(system, self.was)
        system.remove(self.path)
        self._remove_place(system)

    def verify(self, system: System) -> None:
        self._shows(system, None)


def _difference(was: str, text: str) -> list[str]:
    """Changed lines with two around them; secrets (Wi-Fi keys and the like) stand in no line that we change."""
    lines = difflib.unified_diff(was.splitlines(), text.splitlines(), lineterm="", n=2)
    return [line for line in lines if not line.startswith(("---", "+++"))]
