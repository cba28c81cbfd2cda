"""One open file or block device: positioned reads and writes, holes, size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from virtkit.core.errors import NotFoundError, SystemCallError

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer


class File:
    """Owns its descriptor. ``name`` is the path as the user wrote it, for messages."""

    __slots__ = ("fd", "name")

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = False) -> Self:
        """NotFoundError, SystemCallError."""
        name = os.fspath(path)
        try:
            return cls(os.open(name, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC), name)
        except FileNotFoundError as error:
            raise NotFoundError(f"{name}: no such file") from error
        except OSError as error:
            raise SystemCallError(f"open {name}", error) from error

    @property
    def size(self) -> int:
        """Bytes; of a block device too."""
        return os.lseek(self.fd, 0, os.SEEK_END)

    def read(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes at ``at``; fewer only at the end of the file."""
        try:
            got = os.pread(self.fd, length, at)
            while len(got) < length and (more := os.pread(self.fd, length - len(got), at + len(got))):
                got += more
        except OSError as error:
            raise SystemCallError(f"{self.name}: read {length} bytes at {at:#x}", error) from error
        return got

    def write(self, at: int, data: Buffer) -> None:
        rest = memoryview(data)
        try:
            while rest:
                done = os.pwrite(self.fd, rest, at)
                rest, at = rest[done:], at + done
        except OSError as error:
            raise SystemCallError(f"{self.name}: write at {at:#x}", error) from error

    def close(self) -> None:
        os.close(self.fd)
