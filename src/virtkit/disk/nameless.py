"""An open file that gets its name when it is whole, and how it takes the place of another."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.disk import writeback
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_NAMELESS = {
    errno.EOPNOTSUPP,
    errno.EISDIR,
    errno.ENOENT,
    errno.EINVAL,
}  # answers to O_TMPFILE
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_MODE = 0o644
PART = "virtkit-part"  # suffix of what an interrupted conversion leaves on purpose


class Part(NamedTuple):
    """A file with a hidden name that is known before."""

    goes_on: bool  # it is there, from an earlier time
    file: Callable[[int, str], File]  # what to make of its descriptor and the name that it will have


def hidden(name: str) -> str:
    """Nobody takes it for an image by its name."""
    return f".{name}.{PART}"


class Nameless:
    """``file`` is on its way to ``path``, an absolute path without symbolic links. A block device is ``in_place``.

    Where the file system knows no files without a name it has a hidden one beside. What ``path`` names is locked as
    long as this is open: no machine uses it, nor can start on it before it is replaced.

    ``part``: it has a hidden name of its own that outlives the process, and is ``kept`` at the end if that is set.
    """

    def __init__(self, path: str, *, overwrite: bool, part: Part | None = None) -> None:
        """NotFoundError, UsageError, BusyError, SystemCallError."""
        self.path = os.path.realpath(path)
        self.directory, name = os.path.split(self.path)
        self._hidden = os.path.join(self.directory, hidden(name) if part else f".{name}.{os.getpid()}.part")
        self._part = part
        self.kept = False
        self._aside = os.path.join(self.directory, f".{name}.{os.getpid()}.old")
        self._overwrite = overwrite
        self._old = check(path, overwrite=overwrite)
        self._has_hidden_name = self._has_name = self._set_aside = False
        self._held: File | None = None
        self.in_place = bool(self._old and stat.S_ISBLK(self._old.st_mode))
        if self.in_place:
            self.file = File.open(path, writable=True)
            return
        self._hold()
        try:
            self.file = self._create(path)
        except BaseException:
            self._release()
            raise

    def prepare(self, *, durable: bool) -> None:
        """Whatever can be refused before there is a name: BusyError, UsageError, SystemCallError."""
        if durable:
            writeback.sync(self.file)
        if self.in_place or not self._overwrite:
            return
        check(self.path, overwrite=True)  # something else may stand there by now
        self._hold()
        if self._old:
            self._inherit(self._old)

    def set_aside(self) -> None:
        """What stands at ``path`` gets a hidden name. OSError."""
        if self._overwrite and not self.in_place and os.path.lexists(self.path):
            os.rename(self.path, self._aside)
            self._set_aside = True

    def give_name(self) -> None:
        """OSError: FileExistsError where the name was taken meanwhile and is not to be replaced."""
        if self.in_place:
            return
        if not self._has_hidden_name and self._overwrite:
            self._link(f"/proc/self/fd/{self.file.fd}", self._hidden)
            self._has_hidden_name = True
        if self._has_hidden_name:
            self._move()
        else:
            self._link(f"/proc/self/fd/{self.file.fd}", self.path)
        self._has_name = True

    def take_back(self) -> None:
        """As it was before ``set_aside`` and ``give_name``."""
        if self._has_name:
            os.unlink(self.path)
            self._has_name = False
        if self._set_aside:
            os.rename(self._aside, self.path)
            self._set_aside = False

    def settle(self) -> None:
        """There is no way back any more: what was set aside is gone."""
        if self._set_aside:
            os.unlink(self._aside)
            self._set_aside = False

    def close(self) -> None:
        self.file.close()
        self._release()
        if self._has_hidden_name and not self.kept:
            os.unlink(self._hidden)

    def _create(self, path: str) -> File:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            if self._part:
                return self._open_part(self._part, flags, path)
            try:
                return File(os.open(self.directory, flags | os.O_TMPFILE, _MODE), path)
            except OSError as error:
                if error.errno not in _NO_NAMELESS:
                    raise
            fd = os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, _MODE)
        except FileNotFoundError as error:
            raise NotFoundError(f"{self.directory}: no such directory") from error
        except OSError as error:
            raise SystemCallError(f"create {path}", error) from error
        self._has_hidden_name = True
        return File(fd, path)

    def _open_part(self, part: Part, flags: int, path: str) -> File:
        if part.goes_on and not os.path.exists(self._hidden):
            raise NotFoundError(f"{self._hidden}: is gone, and what was begun cannot be finished without it")
        fd = os.open(self._hidden, flags | (0 if part.goes_on else os.O_CREAT | os.O_TRUNC), _MODE)
        self._has_hidden_name = True
        return part.file(fd, path)

    def _hold(self) -> None:
        self._release()
        try:
            self._held = File.open(self.path, writable=True)
        except (NotFoundError, SystemCallError):  # nothing there; or not ours to write, though to replace
            return

    def _release(self) -> None:
        if self._held:
            self._held.close()
            self._held = None

    def _inherit(self, old: os.stat_result) -> None:
        """Who could use the file that is replaced can use the new one."""
        try:
            os.fchmod(self.file.fd, stat.S_IMODE(old.st_mode))
            if os.geteuid() == 0:
                os.fchown(self.file.fd, old.st_uid, old.st_gid)
        except OSError as error:
            raise SystemCallError(f"give {self.file.name} the owner of the file it replaces", error) from error

    def _move(self) -> None:
        """From the hidden name to the right one."""
        if not self._overwrite and self._has_both_names():
            os.unlink(self._hidden)
        else:
            os.rename(self._hidden, self.path)
        self._has_hidden_name = False

    def _has_both_names(self) -> bool:
        """A rename replaces, a link does not; where there are no links, an empty file keeps the name for the rename."""
        try:
            self._link(self._hidden, self.path)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
            self._has_name = True
            return False
        return True

    def _link(self, existing: str, new: str) -> None:
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # with a directory given, os.link() follows the symbolic link in /proc
            os.link(existing, os.path.basename(new), dst_dir_fd=directory)
        finally:
            os.close(directory)


def check(path: str, *, overwrite: bool) -> os.stat_result | None:
    """What stands at ``path`` now; UsageError where no new file may go there."""
    old = _status(os.path.realpath(path))
    if old and not overwrite:
        raise UsageError(f"{path}: exists already", hint="another name, or --overwrite")
    if old and not stat.S_ISBLK(old.st_mode) and not stat.S_ISREG(old.st_mode):
        raise UsageError(f"{path}: is no file and no block device")
    return old


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemCallError(f"look at {path}", error) from error
