"""The promise to undo, kept on disk: one JSON line per fact, on the disk before the fact it promises.

One file per change, ``<number>.jsonl``, locked by the process that works on it; the lock goes with the process.

begin    the plan, before anything is touched       undoing  step N is about to be put back
before   step N's state, before it is touched       undone   step N is as it was before
done     step N's state, after it was verified      kept     step N holds data and was left on purpose
commit   every step is done

Of a change that may cut the administrator off (core/deadman):

armed    it has to wait for its confirmation by then    taken    another process goes on with it
holding  step N waits for the confirmation until then   back     everything is being put back, and why
confirmed  it may stay
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from virtkit import __version__
from virtkit.core.boot import boot_id
from virtkit.core.change import Change
from virtkit.core.directories import sync_directory
from virtkit.core.errors import BusyError, NotFoundError, SystemCallError, VirtkitError
from virtkit.core.flock import locked
from virtkit.core.processes import this_process
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from virtkit.core.change import Line
    from virtkit.core.plan import Json, Plan

_KEEP_SIZE = 0x01  # FALLOC_FL_KEEP_SIZE, linux/falloc.h; fallocate(2)


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

    def reserve(self, size: int) -> None:
        """Room for ``size`` more bytes of lines, so that none of them meets a full disk; else SystemCallError.

        The file keeps its length (FALLOC_FL_KEEP_SIZE). A file system that reserves nothing (NFS) is asked for its
        free room instead.
        """
        try:
            _reserve(self._fd, size)
        except OSError as error:
            raise SystemCallError(f"reserve {format_size(size)} for {self.path}", error) from error

    def take(self) -> None:
        """From here on this process works on it."""
        pid, birth = this_process()
        self.write("taken", pid=pid, born=birth)

    def withdraw(self) -> None:
        """The promise is taken back: nothing was touched."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _reserve(fd: int, size: int) -> None:
    import ctypes  # only for changes that are guarded

    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    end = os.fstat(fd).st_size
    if fallocate(fd, _KEEP_SIZE, ctypes.c_int64(end), ctypes.c_int64(size)) == 0:
        return
    number = ctypes.get_errno()
    if number == errno.EOPNOTSUPP:
        free = os.fstatvfs(fd)
        number = errno.ENOSPC if free.f_bavail * free.f_frsize < size else 0
    if number:
        raise OSError(number, os.strerror(number))


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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time looks whether a change that may cut the host off is open, and begins its own."""
        self._make_directory()
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def begin(self, plan: Plan, origin: str = "") -> Log:
        """Promise ``plan``; nothing has been touched yet. SystemCallError if the promise cannot be kept on disk."""
        self._make_directory()
        try:
            log = self._create()
            sync_directory(self.directory)
        except OSError as error:
            raise SystemCallError(f"write a journal in {self.directory}", error) from error
        steps: list[Json] = [{**action.data(), "text": action.describe()} for action in plan.actions]
        pid, birth = this_process()
        facts: Line = {"guarded": plan.cuts_off, "boot": boot_id(), "pid": pid, "born": birth, "version": __version__}
        try:
            log.write("begin", title=plan.title, origin=origin, plan=steps, **facts)
        except BaseException:
            log.withdraw()
            log.close()
            raise
        return log

    def changes(self) -> list[Change]:
        """Oldest first. A file whose first line never reached the disk is no change: nothing was touched."""
        return [change for number in self._numbers() if (change := self.change(number)).title]

    def change(self, number: int) -> Change:
        """What the journal says of change ``number``, without waiting for a process that works on it."""
        path = self._path(number)
        fd = self._open(number, os.O_RDONLY)
        try:
            running = not locked(fd, fcntl.LOCK_SH)
            change, _ = _read(fd, number, path)
        finally:
            os.close(fd)
        change.running = running
        return change

    def peek(self, number: int) -> Change:
        """As ``change``, without a look at who works on it: that takes no lock from who waits for it."""
        fd = self._open(number, os.O_RDONLY)
        try:
            return _read(fd, number, self._path(number))[0]
        finally:
            os.close(fd)

    def size(self, number: int) -> int:
        """Bytes; as long as it does not grow, ``peek`` tells nothing new."""
        fd = self._open(number, os.O_RDONLY)
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def reopen(self, number: int) -> Log:
        """Take over change ``number``; BusyError while another process works on it."""
        path = self._path(number)
        fd = self._open(number, os.O_RDWR | os.O_APPEND)
        try:
            if not locked(fd, fcntl.LOCK_EX):
                raise BusyError(f"change {number}: another virtkit is working on it", hint="virtkit history")
            change, end = _read(fd, number, path)
            if end < os.fstat(fd).st_size:  # else it would free the room that was reserved
                os.ftruncate(fd, end)  # a torn last line was never relied upon
        except BaseException:
            os.close(fd)
            raise
        return Log(path, fd, change)

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SystemCallError(f"write a journal in {self.directory}", error) from error

    def _open(self, number: int, flags: int) -> int:
        path = self._path(number)
        try:
            return os.open(path, flags | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"change {number}: not in the journal", hint="virtkit history") from error
        except OSError as error:
            raise SystemCallError(f"open {path}", error) from error

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
