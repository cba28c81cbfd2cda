"""The promise to undo, kept on disk: one JSON line per fact, on the disk before the fact it promises.

One file per change, ``<number>.jsonl``, locked by the process that works on it; the lock goes with the process.

begin    the plan, before anything is touched       undoing  step N is about to be put back
before   step N's state, before it is touched       undone   step N is as it was before
done     step N's state, after it was verified      kept     step N holds data and was left on purpose
commit   every step is done
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from virtkit import __version__
from virtkit.core.directories import sync_directory
from virtkit.core.errors import BusyError, NotFoundError, SystemCallError, VirtkitError
from virtkit.core.plan import Action, load_action

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from virtkit.core.plan import Json, Plan

Line: TypeAlias = "dict[str, Json]"


class Status(Enum):
    PLANNED = "planned"
    BEGUN = "begun"  # may be half done
    DONE = "done"
    UNDOING = "undoing"  # may be half undone
    UNDONE = "undone"
    KEPT = "kept"


LOCK_TRIES = 5  # 0.1 s: another process that only reads the history lets go at once
STILL_THERE = (Status.BEGUN, Status.DONE, Status.UNDOING)


@dataclass
class Step:
    kind: str
    fields: dict[str, Json]
    text: str
    status: Status = Status.PLANNED
    before: Json = None
    after: Json = None

    def action(self) -> Action:
        return load_action(self.kind, self.fields)


@dataclass
class Change:
    """What a journal file says, read line by line."""

    number: int
    title: str = ""
    origin: str = ""  # what asked for it: a file's path, or empty
    started: float = 0.0  # seconds since the epoch
    committed: bool = False
    running: bool = False  # a living process works on it
    steps: list[Step] = field(default_factory=list)

    @property
    def begun(self) -> bool:
        """Whether anything was ever touched."""
        return any(step.status is not Status.PLANNED for step in self.steps)

    @property
    def remaining(self) -> list[Step]:
        return [step for step in self.steps if step.status in STILL_THERE]

    @property
    def state(self) -> str:
        if self.running:
            return "running"
        if not self.remaining:
            kept = any(step.status is Status.KEPT for step in self.steps)
            return "undone, data kept" if kept else "undone" if self.committed else "rolled back"
        if not self.committed:
            return "interrupted"
        touched = any(step.status in (Status.UNDONE, Status.UNDOING, Status.KEPT) for step in self.steps)
        return "partly undone" if touched else "done"

    def follow(self, line: Line) -> None:
        event = line["event"]
        if event == "begin":
            self._begin(line)
        elif event == "commit":
            self.committed = True
        else:
            self._step(str(event), self.steps[int(str(line["step"]))], line)

    def _begin(self, line: Line) -> None:
        self.title, self.origin, self.started = str(line["title"]), str(line["origin"]), float(str(line["time"]))
        plan: list[dict[str, Json]] = line["plan"]  # type: ignore[assignment]  # _read() reports what is not so
        self.steps = [Step(str(entry["kind"]), dict(entry["fields"]), str(entry["text"])) for entry in plan]  # type: ignore[arg-type]  # the same

    def _step(self, event: str, step: Step, line: Line) -> None:
        if event == "before":
            step.status, step.before = Status.BEGUN, line["state"]
        elif event == "done":
            step.status, step.after = Status.DONE, line["state"]
        else:
            step.status = Status(event)


class Log:
    """The open, locked journal of one change."""

    def __init__(self, path: Path, fd: int, change: Change) -> None:
        self.path, self._fd, self.change = path, fd, change

    def write(self, event: str, **facts: Json) -> None:
        """Returns when the line is on the disk; SystemCallError if it cannot be put there."""
        line: Line = {"event": event, **facts, "time": time.time()}
        try:
            _append(self._fd, line)
        except OSError as error:
            raise SystemCallError(f"write {self.path}", error) from error
        self.change.follow(line)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _append(fd: int, line: Line) -> None:
    """All of the line or none: a full disk or Ctrl-C must not leave half a line for the next to be glued to."""
    end = os.lseek(fd, 0, os.SEEK_END)
    data = json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    except BaseException:
        os.ftruncate(fd, end)
        raise


@dataclass(frozen=True)
class Journal:
    directory: Path

    @classmethod
    def default(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """``$VIRTKIT_STATE_DIR``, else /var/lib/virtkit for root and the user's state directory for others."""
        if chosen := environment.get("VIRTKIT_STATE_DIR"):
            return cls(Path(chosen) / "journal")
        if os.geteuid() == 0:
            return cls(Path("/var/lib/virtkit/journal"))
        home = environment.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        return cls(Path(home) / "virtkit" / "journal")

    def begin(self, plan: Plan, origin: str = "") -> Log:
        """Promise ``plan``; nothing has been touched yet. SystemCallError if the promise cannot be kept on disk."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            log = self._create()
            sync_directory(self.directory)
        except OSError as error:
            raise SystemCallError(f"write a journal in {self.directory}", error) from error
        steps: list[Json] = [{**action.data(), "text": action.describe()} for action in plan.actions]
        try:
            log.write("begin", title=plan.title, origin=origin, plan=steps, version=__version__)
        except BaseException:
            log.path.unlink()
            log.close()
            raise
        return log

    def changes(self) -> list[Change]:
        """Oldest first. A file whose first line never reached the disk is no change: nothing was touched."""
        return [change for number in self._numbers() if (change := self.change(number)).title]

    def change(self, number: int) -> Change:
        """What the journal says of change ``number``, without waiting for a process that works on it."""
        path = self._path(number)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"change {number}: not in the journal", hint="virtkit history") from error
        except OSError as error:
            raise SystemCallError(f"open {path}", error) from error
        try:
            running = not _lock(fd, fcntl.LOCK_SH)
            change, _ = _read(fd, number, path)
        finally:
            os.close(fd)
        change.running = running
        return change

    def reopen(self, number: int) -> Log:
        """Take over change ``number`` to undo it; BusyError while another process works on it."""
        path = self._path(number)
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"change {number}: not in the journal", hint="virtkit history") from error
        except OSError as error:
            raise SystemCallError(f"open {path}", error) from error
        try:
            if not _lock(fd, fcntl.LOCK_EX):
                raise BusyError(f"change {number}: another virtkit is working on it", hint="virtkit history")
            change, end = _read(fd, number, path)
            os.ftruncate(fd, end)  # a torn last line was never relied upon
        except BaseException:
            os.close(fd)
            raise
        return Log(path, fd, change)

    def _create(self) -> Log:
        number = max(self._numbers(), default=0) + 1
        while True:
            path = self._path(number)
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except FileExistsError:  # another process took the number since
                number += 1
                continue
            fcntl.flock(fd, fcntl.LOCK_EX)
            return Log(path, fd, Change(number))

    def _path(self, number: int) -> Path:
        return self.directory / f"{number}.jsonl"

    def _numbers(self) -> list[int]:
        names = (path.stem for path in self.directory.glob("*.jsonl"))
        return sorted(int(name) for name in names if name.isdecimal())


def _lock(fd: int, mode: int) -> bool:
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return True
    return False


def _read(fd: int, number: int, path: Path) -> tuple[Change, int]:
    """The change, and where its last whole line ends. A line without a newline was being written at the crash."""
    with open(fd, "rb", closefd=False) as file:
        text = file.read()
    end = text.rfind(b"\n") + 1
    change = Change(number)
    for index, line in enumerate(text[:end].splitlines(), 1):
        try:
            change.follow(json.loads(line))
        except (ValueError, LookupError, TypeError) as error:
            raise VirtkitError(f"{path}:{index}: not a line that virtkit wrote", hint=f"less {path}") from error
    return change, end
