"""An action on two files that stumbles where it is told to."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

POINTS = ("capture", "apply", "half", "applied", "verify")
UNDO_POINTS = ("undo", "half undone", "undone")
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "hup": signal.SIGHUP, "term": signal.SIGTERM}
TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Write(Action):
    """Two files get one text. ``trouble`` is ``<point>:<raise|verify|ctrl-c|kill|stop|hup|term>``."""

    kind: ClassVar[str] = "test.write"
    path: str
    text: str = "new"
    trouble: str = ""

    def describe(self) -> str:
        return f"write {self.path}"

    def capture(self, system: System) -> Json:
        self._stumble("capture")
        return {path: system.read(path) if system.exists(path) else None for path in self._both()}

    def apply(self, system: System, report: Sink) -> None:
        self._stumble("apply")
        first, second = self._both()
        system.write(first, self.text)
        self._stumble("half")
        system.write(second, self.text)
        self._stumble("applied")

    def verify(self, system: System) -> None:
        self._stumble("verify")
        for path in self._both():
            if (found := system.read(path)) != self.text:
                raise VerifyError(self.describe(), f"is {found}")

    def undo(self, system: System, before: Json) -> None:
        self._stumble("undo")
        assert isinstance(before, dict)
        for path, text in before.items():
            if text is None:
                system.remove(path)
            else:
                system.write(path, str(text))
            self._stumble("half undone")
        self._stumble("undone")

    def _both(self) -> tuple[str, str]:
        return self.path, f"{self.path}.twin"

    def _stumble(self, point: str) -> None:
        at, _, how = self.trouble.partition(":")
        if at != point:
            return
        if how in SIGNALS:
            os.kill(os.getpid(), SIGNALS[how])
            return
        if how == "ctrl-c":
            raise KeyboardInterrupt
        if how == "verify":
            raise VerifyError(self.describe(), "it is still old")
        raise OSError(28, "No space left on device")


@dataclass(frozen=True)
class WriteAlone(Write):
    kind: ClassVar[str] = "test.write_alone"
    stands_alone: ClassVar[bool] = True


@dataclass(frozen=True)
class Fill(Write):
    """As Write, into a directory that others may remove; it is made by nobody here."""

    kind: ClassVar[str] = "test.fill"

    def capture(self, system: System) -> Json:
        return super().capture(system) if system.path(self.path).parent.is_dir() else None


@dataclass(frozen=True)
class WriteData(Write):
    kind: ClassVar[str] = "test.write_data"
    holds_data: ClassVar[bool] = True


def files(root: Path) -> dict[str, str]:
    """Every file below ``root`` and its text."""
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}
