"""A file that appears under its name when it is whole, or not at all."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Self

from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.disk.file import File

if TYPE_CHECKING:
    from types import TracebackType

_NO_NAMELESS = {
    errno.EOPNOTSUPP,
    errno.EISDIR,
    errno.ENOENT,
    errno.EINVAL,
}  # what O_TMPFILE answers where it is unknown
_MODE = 0o644


class NewFile:
    """Use as a context: ``publish`` gives ``file`` its name; leaving without it leaves nothing behind.

    The file has no name until then, so that even SIGKILL leaves nothing; where the file system cannot do that, it has
    a hidden name beside the target. A symbolic link is followed. A block device is written in place.
    """

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        self.path = os.path.realpath(path)
        self._directory, name = os.path.split(self.path)
        self._hidden = os.path.join(self._directory, f".{name}.{os.getpid()}.part")
        self._named = False  # whether something stands under the hidden name
        self._overwrite = overwrite
        self._old = check(path, overwrite=overwrite)
        self._beside: list[NewFile] = []
        self._in_place = bool(self._old and stat.S_ISBLK(self._old.st_mode))
        self._held: File | None = None
        if not self._in_place:
            self._hold()
        try:
            self.file = File.open(path, writable=True) if self._in_place else self._create(path)
        except BaseException:
            self._release()
            raise

    def _hold(self) -> None:
        """Lock what will be replaced: no machine uses it, nor can start on it before it is replaced. BusyError."""
        self._release()
        try:
            self._held = File.open(self.path, writable=True)
        except (NotFoundError, SystemCallError):  # nothing there; or not ours to write, though to replace
            return

    def _release(self) -> None:
        if self._held:
            self._held.close()
            self._held = None

    def _create(self, path: str) -> File:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            try:
                return File(os.open(self._directory, flags | os.O_TMPFILE, _MODE), path)
            except OSError as error:
                if error.errno not in _NO_NAMELESS:
                    raise
            fd = os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, _MODE)
        except FileNotFoundError as error:
            raise NotFoundError(f"{self._directory}: no such directory") from error
        except OSError as error:
            raise SystemCallError(f"create {path}", error) from error
        self._named = True
        return File(fd, path)

    @property
    def allocated(self) -> int:
        """Bytes that this file and those beside it take on their file system."""
        return self.file.allocated + sum(other.allocated for other in self._beside)

    def beside(self, name: str) -> File:
        """Another file of the same directory that belongs to this one and appears before it; UsageError."""
        path = os.path.join(os.path.dirname(self.file.name), name)
        if os.path.dirname(name) or os.path.realpath(path) == self.path:
            raise UsageError(f"{name}: is a path, or the image itself; expected the name of another file beside it")
        self._beside.append(NewFile(path, overwrite=self._overwrite))
        return self._beside[-1].file

    def again(self, name: str | None = None) -> File:
        """A second descriptor, its owner's to close; of the file beside this one that is called ``name``, if given."""
        found = [self, *self._beside]
        if name is not None:
            found = [other for other in self._beside if os.path.basename(other.file.name) == name]
        if not found:
            raise NotFoundError(f"{self.file.name}: no new file beside it is called {name}")
        return File(os.dup(found[0].file.fd), found[0].file.name)

    def publish(self, *, durable: bool = False) -> None:
        """Give the files their names, this one's last. With ``durable`` all is on stable storage first.

        Where a name cannot be given, those that were new are gone again. What is replaced and was not alone is taken
        away first: for a moment there is no image, but never an old one on new extents.
        """
        done: list[str] = []
        try:
            if self._beside and self._old and not self._in_place:
                self._take_away()
            for other in self._beside:
                new = not os.path.lexists(other.path)
                other.publish(durable=durable)
                done += [other.path] if new else []
            self._publish(durable=durable)
        except BaseException:
            for path in done:
                os.unlink(path)
            raise

    def _take_away(self) -> None:
        try:
            os.unlink(self.path)
        except OSError as error:
            raise SystemCallError(f"replace {self.file.name}", error) from error

    def _publish(self, *, durable: bool) -> None:
        if durable:
            self.file.sync()
        if self._in_place:
            return
        try:
            if self._overwrite:
                self._hold()  # another file may stand there by now
            if self._old:
                self._inherit(self._old)
            self._name()
            if durable:
                self._sync_directory()
        except FileExistsError as error:
            raise UsageError(f"{self.file.name}: exists already", hint="another name, or --overwrite") from error
        except OSError as error:
            raise SystemCallError(f"create {self.file.name}", error) from error

    def _name(self) -> None:
        """A link fails where the name was taken meanwhile; a rename replaces."""
        wanted = self._hidden if self._overwrite else self.path
        if not self._named:
            self._link(f"/proc/self/fd/{self.file.fd}", wanted)
            self._named = self._overwrite
        elif not self._overwrite:
            self._link(self._hidden, self.path)
        if self._overwrite:
            os.rename(self._hidden, self.path)
            self._named = False

    def _link(self, existing: str, new: str) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # with a directory given, os.link() follows the symbolic link in /proc
            os.link(existing, os.path.basename(new), dst_dir_fd=directory)
        finally:
            os.close(directory)

    def _inherit(self, old: os.stat_result) -> None:
        """Who could use the file that is replaced can use the new one."""
        os.fchmod(self.file.fd, stat.S_IMODE(old.st_mode))
        if os.geteuid() == 0:
            os.fchown(self.file.fd, old.st_uid, old.st_gid)

    def _sync_directory(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for other in self._beside:
            other.__exit__(kind, error, at)
        self.file.close()
        self._release()
        if self._named:
            os.unlink(self._hidden)


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
