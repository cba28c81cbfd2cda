"""A plan that may cut its administrator off, on files: what is cut is whether ``/alive`` is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from support.steps import TESTS, Write, files
from virtkit.core.deadman import Confirm, Watch
from virtkit.core.deadman.switch import Switch
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.change import Change
    from virtkit.core.plan import Json

ALIVE = "/alive"


@dataclass(frozen=True)
class Cut(Write):
    """As Write, of the running kernel as far as the journal knows. ``trouble`` may be ``applied:stop``, too."""

    kind: ClassVar[str] = "test.cut"
    cuts_off: ClassVar[bool] = True
    volatile: ClassVar[bool] = True


@dataclass(frozen=True)
class WatchFile(Watch):
    """Misses a file that was there before."""

    kind: ClassVar[str] = "test.watch_file"
    path: str = ALIVE

    def describe(self) -> str:
        return f"watch {self.path}"

    def capture(self, system: System) -> Json:
        return system.exists(self.path)

    def watched(self, before: Json) -> list[str]:
        return [self.path] if before else []

    def lost(self, system: System, before: Json) -> list[str]:
        return [f"{self.path} is gone"] if before and not system.exists(self.path) else []


def plan(confirm: Confirm | None, cut: str = "", rest: str = "") -> Plan:
    asked = (confirm,) if confirm else ()
    return Plan("guarded", (WatchFile(), Cut("/a", trouble=cut), *asked, Write("/b", trouble=rest)))


RUN = """
import json, sys
from support import guarded
from virtkit.core import engine
from virtkit.core.errors import VirtkitError
place = guarded.Place(sys.argv[1])
try:
    engine.run(guarded.plan(*guarded.wanted(sys.argv[2])), place.system, place.journal)
except VirtkitError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_status)
"""


@dataclass(frozen=True)
class Place:
    """A host made of files, and its journal."""

    folder: str

    @property
    def system(self) -> System:
        return System(Path(self.folder, "root"))

    @property
    def journal(self) -> Journal:
        return Journal(Path(self.folder, "journal"))

    @property
    def files(self) -> dict[str, str]:
        return files(self.system.root)

    @property
    def change(self) -> Change:
        return self.journal.change(1)

    @property
    def switch(self) -> Switch:
        return Switch(self.journal.directory, 1)

    def furnish(self) -> dict[str, str]:
        self.system.root.mkdir()
        for name in (ALIVE, "/a", "/a.twin"):
            self.system.write(name, "old")
        return self.files

    def start(self, *command: str, confirm: Confirm | None = None, cut: str = "", rest: str = "") -> Running:
        """The plan in a process of its own; ``command`` is put in front of it."""
        asked = json.dumps([None if confirm is None else [confirm.seconds, confirm.auto], cut, rest])
        path = f"{TESTS.parent / 'src'}:{TESTS}"
        there = [*command, sys.executable, "-c", RUN, self.folder, asked]
        return subprocess.Popen(there, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})


Running = subprocess.Popen[str]


def wanted(asked: str) -> tuple[Confirm | None, str, str]:
    confirm, cut, rest = json.loads(asked)
    return (None if confirm is None else Confirm(*confirm)), cut, rest


def until(seen: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)
