"""The file ``N.switch`` beside the journal of a change that may cut its administrator off.

It is there as long as the change is open; the guardian holds its lock; and it takes the answer. That is written in
place, over blanks that have their room on the disk already: a full disk refuses no confirmation. Any process may write
it, and whoever waits at that time finds it.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.directories import sync_directory
from virtkit.core.errors import NotFoundError, SystemCallError
from virtkit.core.flock import locked

if TYPE_CHECKING:
    from pathlib import Path

_SIZE = 128  # bytes
_SUFFIX = ".switch"


class Verdict(Enum):
    CONFIRM = "confirm"
    ROLLBACK = "rollback"


class Answer(NamedTuple):
    verdict: Verdict
    by: str  # for the journal: ``virtkit confirm, pid 812``


@dataclass(frozen=True)
class Switch:
    directory: Path  # the journal's
    number: int  # of the change

    @property
    def path(self) -> Path:
        return self.directory / f"{self.number}{_SUFFIX}"

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        """OSError where there is no room for it."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, b" " * _SIZE, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_directory(self.directory)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def answer(self) -> Answer | None:
        """What was said last; None: nothing yet."""
        try:
            said = self.path.read_text(errors="replace").split(maxsplit=1)
        except FileNotFoundError:
            return None
        words = {verdict.value: verdict for verdict in Verdict}
        if not said or said[0] not in words:
            return None
        return Answer(words[said[0]], said[1].strip() if said[1:] else "")

    def say(self, verdict: Verdict, by: str) -> None:
        """NotFoundError: the change is not open any more."""
        text = f"{verdict.value} {by}".encode(errors="replace")[:_SIZE].ljust(_SIZE)
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"change {self.number}: is not open any more", hint="virtkit history") from error
        try:
            os.pwrite(fd, text, 0)
            os.fsync(fd)
        except OSError as error:
            raise SystemCallError(f"write {self.path}", error) from error
        finally:
            os.close(fd)

    def guard(self) -> bool:
        """Its lock, for as long as this process lives; False: another guardian has it, or the change is not open."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)  # closed by the end of the process
        except FileNotFoundError:
            return False
        return locked(fd, fcntl.LOCK_EX)

    @property
    def guarded(self) -> bool:
        """Whether a guardian stands by."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not locked(fd, fcntl.LOCK_SH, tries=1)
        finally:
            os.close(fd)


def switches(directory: Path) -> list[Switch]:
    """Those of the changes that are open, oldest first."""
    names = (path.name.removesuffix(_SUFFIX) for path in directory.glob(f"*{_SUFFIX}"))
    return [Switch(directory, number) for number in sorted(int(name) for name in names if name.isdecimal())]
