"""A file that keeps knobs over a restart is written, and comes back to the byte."""

from __future__ import annotations

import difflib
import posixpath
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from virtkit.core import files
from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.host.keeping import Keeping
from virtkit.host.kernel import Kernel
from virtkit.host.registry import setting

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_REFRESH_SECONDS = 300  # update-grub asks every disk for other systems


@dataclass(frozen=True)
class PersistKnobs(Action):
    """State: the file, or None in ``file``, and the directories above it that were not there."""

    kind: ClassVar[str] = "host.persist_knobs"
    stands_alone: ClassVar[bool] = True
    path: str
    text: str
    values: dict[str, str] = field(default_factory=dict)  # settings that the file is to keep
    whole: bool = True  # no other file has to follow before they are kept
    refresh: str = ""  # the command that the next boot depends on
    was: str = ""  # the file's text before, for the plan

    def describe(self) -> str:
        kept = ", ".join(f"{name}={value}" for name, value in self.values.items())
        more = f"{kept[:_WIDTH]}..." if len(kept) > _WIDTH else kept
        return f"{self.path}: {more} from the next boot on" + (f" ({self.refresh})" if self.refresh else "")

    def details(self) -> list[str]:
        lines = difflib.unified_diff(self.was.splitlines(), self.text.splitlines(), lineterm="", n=1)
        return [line for line in lines if not line.startswith(("---", "+++"))]

    def capture(self, system: System) -> Json:
        return {"file": files.capture(system, self.path), "missing": _missing(system, self.path)}

    def fingerprint(self, state: Json) -> Json:
        return state["file"] if isinstance(state, dict) else None

    def apply(self, system: System, report: Sink) -> None:
        system.path(posixpath.dirname(self.path)).mkdir(parents=True, exist_ok=True)
        files.rewrite(system, self.path, self.text.encode("utf-8", "surrogateescape"))
        self._refresh(system)

    def verify(self, system: System) -> None:
        """Not only that the file is as written: a boot has to end with these values."""
        if files.text_of(system, self.path) != self.text:
            raise VerifyError(self.describe(), "the file does not read back as it was written")
        keeping = Keeping(Kernel(system))
        for name, value in self.values.items() if self.whole else ():
            kept = keeping.winner(setting(name))
            if kept is None or kept.value != value:
                raise VerifyError(
                    self.describe(), f"{name} would be {kept.value} ({kept.where})" if kept else "no line"
                )

    def undo(self, system: System, before: Json) -> None:
        if not isinstance(before, dict):
            return
        if before["file"] is not None:
            system.path(posixpath.dirname(self.path)).mkdir(parents=True, exist_ok=True)
        files.restore(system, self.path, before["file"])
        missing = before.get("missing")
        for folder in missing if isinstance(missing, list) else ():
            with suppress(OSError):  # not empty, or gone
                system.path(str(folder)).rmdir()
        self._refresh(system)

    def _refresh(self, system: System) -> None:
        if self.refresh:
            system.run(shlex.split(self.refresh), timeout=_REFRESH_SECONDS)


def _missing(system: System, path: str) -> list[str]:
    """The directories above that are not there, the innermost first."""
    found = []
    folder = posixpath.dirname(path)
    while not system.exists(folder):
        found.append(folder)
        folder = posixpath.dirname(folder)
    return found


_WIDTH = 100  # columns of a plan's line
