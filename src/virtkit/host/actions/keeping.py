"""A file that keeps knobs over a restart is written, and comes back to the byte."""

from __future__ import annotations

import difflib
import posixpath
import shlex
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from virtkit.core import files
from virtkit.core.errors import ConflictError, NotFoundError, VerifyError
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
    """State: the file, or None in ``file``, and the directories above it that were not there.

    Several changes may write one file. Each answers for its own lines: undo brings the file back to the byte where
    nobody else wrote there since, else it takes its lines out and puts those back that they replaced.
    """

    kind: ClassVar[str] = "host.persist_knobs"
    needs_root: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True
    path: str
    text: str
    values: dict[str, str] = field(default_factory=dict)  # settings that the file is to keep
    whole: bool = True  # no other file has to follow before they are kept
    refresh: str = ""  # the command that the next boot depends on
    was: str = ""  # the file's text before

    def describe(self) -> str:
        kept = ", ".join(f"{name}={value}" for name, value in self.values.items())
        more = f"{kept[:_WIDTH]}..." if len(kept) > _WIDTH else kept
        return f"{self.path}: {more} from the next boot on" + (f" ({self.refresh})" if self.refresh else "")

    def details(self) -> list[str]:
        lines = difflib.unified_diff(self.was.splitlines(), self.text.splitlines(), lineterm="", n=1)
        return [line for line in lines if not line.startswith(("---", "+++"))]

    def capture(self, system: System) -> Json:
        found: dict[str, Json] = {"file": files.capture(system, self.path), "missing": _missing(system, self.path)}
        return found | {"sets": self._sets(system)}

    def fingerprint(self, state: Json) -> Json:
        """What the file sets of our settings, and which lines are there of those that this wrote, and replaced."""
        if not isinstance(state, dict):
            return None
        there, (ours, replaced) = _lines(state["file"]), self._own()
        lines: list[Json] = [[line in there for line in ours], [line in there for line in replaced]]
        return {"sets": state.get("sets"), "lines": lines}

    def difference(self, left: Json, now: Json, system: System) -> str:
        there = (files.text_of(system, self.path) or "").splitlines()
        lost = [line for line in self._own()[0] if line not in there]
        return f"{self.path} does not say any more: {'; '.join(lost)}"

    def _sets(self, system: System) -> dict[str, Json]:
        keeping = Keeping(Kernel(system))
        found: dict[str, Json] = {}
        for name in self.values:
            with suppress(NotFoundError):  # no knob: what virtual functions a card has
                found[name] = keeping.said(self.path, setting(name))
        return found

    def _own(self) -> tuple[list[str], list[str]]:
        was, text = self.was.splitlines(), self.text.splitlines()
        ours = [line for line in text if line not in was and not line.startswith(_FRAME)]
        return ours, [line for line in was if line not in text and not line.startswith(_FRAME)]

    def apply(self, system: System, report: Sink) -> None:
        if (files.text_of(system, self.path) or "") != self.was:
            raise ConflictError(f"{self.path}: was changed since the plan was made")
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
        now = files.text_of(system, self.path)
        if now is None or now in {self.text, self.was}:
            if before["file"] is not None:
                system.path(posixpath.dirname(self.path)).mkdir(parents=True, exist_ok=True)
            files.restore(system, self.path, before["file"])
        else:
            self._take_out(system, now)
        missing = before.get("missing")
        for folder in missing if isinstance(missing, list) else ():
            with suppress(OSError):  # not empty, or gone
                system.path(str(folder)).rmdir()
        self._refresh(system)

    def _take_out(self, system: System, now: str) -> None:
        """Ours from among the others' lines; a file that then says nothing goes."""
        ours, replaced = self._own()
        there = now.splitlines()
        back = [line for line in replaced if line not in there]
        kept = [line for line in there if line not in ours] + back
        if all(line.startswith(_FRAME) or not line for line in kept):
            system.remove(self.path)
        else:
            files.rewrite(system, self.path, ("\n".join(kept) + "\n").encode("utf-8", "surrogateescape"))

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


def _lines(file: Json) -> list[str]:
    """Of a captured file."""
    content = b64decode(str(file["content"])) if isinstance(file, dict) else b""
    return content.decode("utf-8", "surrogateescape").splitlines()


_WIDTH = 100  # columns of a plan's line
_FRAME = ("#", "[", "summary=", "include=")  # what stands around the lines that set something
