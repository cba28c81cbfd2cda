"""A plan that may cut its administrator off, on files: what is cut is whether ``/alive`` is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from support.steps import TESTS, Write, files
from virtkit.core import engine
from virtkit.core.deadman import Confirm, Watch
from virtkit.core.deadman.switch import Switch
from virtkit.core.errors import NotFoundError
from virtkit.core.journal import Journal
from virtkit.core.plan import Action, Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.change import Change
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink

ALIVE, DAEMON = "/alive", "/daemon"
WHOLE = dict.fromkeys(["a", "a.twin", "b", "b.twin"], "new") | {"alive": "old"}  # when all is done
SOON, LATE = Confirm(2), Confirm(60)


@dataclass(frozen=True)
class Cut(Write):
    """As Write, of the running kernel as far as the journal knows."""

    kind: ClassVar[str] = "test.cut"
    cuts_off: ClassVar[bool] = True
    volatile: ClassVar[bool] = True

    def apply(self, system: System, report: Sink) -> None:
        """``command:<kill|hup>``: by a command that is busy when its virtkit, or all of the terminal, gets that."""
        at, _, how = self.trouble.partition(":")
        if at != "command":
            super().apply(system, report)
            return
        whom = "$PPID" if how == "kill" else "-$PPID"
        script = f'kill -s {how.upper()} -- {whom}; sleep 0.5; printf {self.text} >"$0"; printf {self.text} >"$0.twin"'
        system.run(["sh", "-c", script, str(system.path(self.path))])


@dataclass(frozen=True)
class WatchFile(Watch):
    """Misses a file that was there before."""

    kind: ClassVar[str] = "test.watch_file"
    patience: ClassVar[float] = 1.5
    path: str = ALIVE

    def describe(self) -> str:
        return f"watch {self.path}"

    def capture(self, system: System) -> Json:
        return system.exists(self.path)

    def watched(self, before: Json) -> list[str]:
        return [self.path] if before else []

    def lost(self, system: System, before: Json) -> list[str]:
        return [f"{self.path} is gone"] if before and not system.exists(self.path) else []


@dataclass(frozen=True)
class Tell(Action):
    """A daemon that can be told everything but that it was all in vain; unless it runs (``/daemon``)."""

    kind: ClassVar[str] = "test.tell"
    unseen: ClassVar[bool] = True

    def describe(self) -> str:
        return "tell the daemon"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        """It listens."""

    def verify(self, system: System) -> None:
        """It has listened."""

    def undo(self, system: System, before: Json) -> None:
        if not system.exists(DAEMON):
            raise NotFoundError("it does not run")


def plan(
    confirm: Confirm | None, cut: str = "", rest: str = "", *, second: str | None = None, daemon: bool = False
) -> Plan:
    """What may stumble has its trouble: the first cut, what is made after its confirmation, and a second cut."""
    asked = (confirm,) if confirm else ()
    told = (Tell(),) if daemon else ()
    made = Plan("guarded", (WatchFile(), *told, Cut("/a", trouble=cut), *asked, Write("/b", trouble=rest)))
    return made if second is None else made + Plan("", (Cut("/c", trouble=second), *asked, Write("/d")))


RUN = """
import json, sys
from support import guarded
from virtkit.core import engine
from virtkit.core.errors import VirtkitError
place = guarded.Place(sys.argv[1])
try:
    engine.run(guarded.wanted(sys.argv[2]), place.system, place.journal)
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

    def times(self, event: str) -> list[float]:
        """When the journal got its lines of this kind, in seconds since the epoch."""
        lines = (self.journal.directory / "1.jsonl").read_text().splitlines()
        return [line["time"] for line in map(json.loads, lines) if line["event"] == event]

    def told(self, event: str) -> float:
        """The last of ``times``."""
        return self.times(event)[-1]

    def waiting(self) -> bool:
        return self.switch.exists and self.change.waiting is not None

    def closed(self) -> None:
        until(lambda: not self.switch.exists)

    def guardians(self) -> list[int]:
        """The journal stands on their command line."""
        command = ["pgrep", "-f", f"guardian.*{self.folder}/journal"]
        return [int(pid) for pid in subprocess.run(command, capture_output=True, check=False).stdout.split()]

    def begin(self, confirm: Confirm = LATE, rest: str = "", *, daemon: bool = False) -> Running:
        """The plan up to where it waits."""
        running = self.start(confirm=confirm, rest=rest, daemon=daemon)
        until(self.waiting)
        return running

    def orphan(self, running: Running) -> None:
        """Neither the process that makes the change nor its guardian is left."""
        found = self.guardians()
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        running.kill()
        running.communicate()
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not self.switch.guarded)

    def start(
        self,
        confirm: Confirm | None = None,
        cut: str = "",
        rest: str = "",
        *,
        second: str | None = None,
        daemon: bool = False,
    ) -> Running:
        """The plan in a process of its own, which is a job of its own as at a terminal."""
        asked = json.dumps([None if confirm is None else [confirm.seconds, confirm.auto], cut, rest, second, daemon])
        path = f"{TESTS.parent / 'src'}:{TESTS}"
        there = [sys.executable, "-c", RUN, self.folder, asked]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.Popen(there, stderr=subprocess.PIPE, text=True, env=environment, process_group=0)

    def run(self, confirm: Confirm | None, rest: str = "") -> int:
        """The plan in this process."""
        return engine.run(plan(confirm, rest=rest), self.system, self.journal)

    def harmless(self) -> int:
        return engine.run(Plan("harmless", (Write("/a"),)), self.system, self.journal)

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        path = f"{TESTS.parent / 'src'}:{TESTS}"
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, check=False, timeout=60, capture_output=True, text=True
        )


Running = subprocess.Popen[str]


def end(running: Running) -> tuple[int, str]:
    """Its exit status, and what it said."""
    said = running.communicate(timeout=20)[1]
    return running.returncode, said


def wanted(asked: str) -> Plan:
    confirm, cut, rest, second, daemon = json.loads(asked)
    return plan(None if confirm is None else Confirm(*confirm), cut, rest, second=second, daemon=daemon)


def until(seen: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)
