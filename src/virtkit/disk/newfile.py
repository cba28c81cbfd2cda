"""A file that appears under its name when it is whole, or not at all; with others that belong to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.directories import sync_directory
from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.disk.file import File, at_home
from virtkit.disk.nameless import Nameless

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from virtkit.disk.nameless import Part


class NewFile:
    """Use as a context: ``publish`` gives ``file`` its name; leaving without it leaves nothing behind.

    The file has no name until then, so that even SIGKILL leaves nothing; where the file system cannot do that, it has
    a hidden name beside the target. A symbolic link is followed. A block device is written in place.
    """

    def __init__(self, path: str, *, overwrite: bool = False, part: Part | None = None) -> None:
        """NotFoundError, BusyError where a machine uses what would be replaced, UsageError, SystemCallError.

        With ``part`` all files have hidden names that outlive the process; ``keep`` says that they shall.
        """
        self._overwrite, self._part = overwrite, part
        self._main = Nameless(at_home(path), overwrite=overwrite, part=part)
        self._beside: list[Nameless] = []
        self.path = self._main.path
        self.file = self._main.file

    @property
    def allocated(self) -> int:
        """Bytes that this file and those beside it take on their file system."""
        return sum(new.file.allocated for new in (self._main, *self._beside))

    @property
    def files(self) -> list[File]:
        return [new.file for new in (self._main, *self._beside)]

    def keep(self) -> None:
        """Without ``publish`` the hidden names stay."""
        for new in (self._main, *self._beside):
            new.kept = True

    def beside(self, name: str) -> File:
        """Another file of the same directory that belongs to this one and appears before it; UsageError."""
        path = os.path.join(os.path.dirname(self.file.name), name)
        if os.path.dirname(name) or os.path.realpath(path) == self.path:
            raise UsageError(f"{name}: is a path, or the image itself; expected the name of another file beside it")
        self._beside.append(Nameless(path, overwrite=self._overwrite, part=self._part))
        return self._beside[-1].file

    def again(self, name: str | None = None) -> File:
        """A second descriptor, its owner's to close; of the file beside this one that is called ``name``, if given."""
        found = [self.file, *(new.file for new in self._beside)]
        if name is not None:
            found = [file for file in found[1:] if os.path.basename(file.name) == name]
        if not found:
            raise NotFoundError(f"{self.file.name}: no new file beside it is called {name}")
        return File(os.dup(found[0].fd), found[0].name)

    def publish(self, *, durable: bool = False) -> None:
        """Give the files their names, this one's last. With ``durable`` all is on stable storage before and after.

        After an error none has its name, and what stood there before stands there again. One file replaces another
        at one moment. Killed while several replace others, there is no image: the old ones are beside, hidden.
        """
        together = [*self._beside, self._main]
        for new in together:
            new.prepare(durable=durable)
        try:
            _give_names(together)
            if durable:
                for directory in {new.directory for new in together}:
                    sync_directory(directory)
        except FileExistsError as error:
            raise UsageError(f"{self.file.name}: exists already", hint="another name, or --overwrite") from error
        except OSError as error:
            raise SystemCallError(f"create {self.file.name}", error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for new in (*self._beside, self._main):
            new.close()


def _give_names(together: list[Nameless]) -> None:
    """Of several the image, which is last, is set aside first: old and new files together are never an image."""
    try:
        if len(together) > 1:
            for new in reversed(together):
                new.set_aside()
        for new in together:
            new.give_name()
    except BaseException:
        for new in together:
            new.take_back()
        raise
    for new in together:
        new.settle()
