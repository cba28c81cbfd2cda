"""The file of an interrupted image, taken up again: what is told to it a second time is not written again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.format import Place


class TakenUp(File):
    """Until ``go_on`` every change is only counted: it is there already.

    The descriptor cannot write so long: what would slip past these methods is an error, not damage.
    """

    __slots__ = ("_again", "_end", "_writable")

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC), name)
        self._writable = fd
        self._again = True
        self._end = 0  # of what is in the file by what was told so far

    def go_on(self) -> None:
        """What lies behind the part that is done belongs to jobs that are done anew."""
        if not self._again:
            return
        os.close(self.fd)
        self.fd, self._again = self._writable, False
        try:
            os.ftruncate(self.fd, self._end)
        except OSError as error:
            raise SystemCallError(f"cut {self.name}", error) from error

    def close(self) -> None:
        super().close()
        if self._again:
            os.close(self._writable)

    @property
    def size(self) -> int:
        return self._end if self._again else super().size

    def fill(self, place: Place) -> None:
        """Data is there already."""
        self._reach(place.at + place.length)

    def write(self, at: int, data: bytes | bytearray | memoryview) -> None:
        if self._again:
            self._reach(at + len(data))
        else:
            super().write(at, data)

    def write_parts(self, at: int, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        if self._again:
            self._reach(at + sum(map(len, parts)))
        else:
            super().write_parts(at, parts)

    def share(self, at: int, source: File, source_at: int, length: int) -> bool:
        if not self._again:
            return super().share(at, source, source_at, length)
        self._reach(at + length)
        return True

    def resize(self, size: int) -> None:
        if self._again:
            self._end = size
        else:
            super().resize(size)

    def zero(self, start: int, length: int) -> None:
        if not self._again:
            super().zero(start, length)

    def discard(self, start: int, length: int) -> None:
        if not self._again:
            super().discard(start, length)

    def allocate(self, start: int, length: int) -> None:
        if self._again:
            self._reach(start + length)
        else:
            super().allocate(start, length)

    def _reach(self, end: int) -> None:
        self._end = max(self._end, end)
