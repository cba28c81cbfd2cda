"""Directories of this machine, whose names are data as files are."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO


def sync_directory(directory: str | Path) -> None:
    """Make a rename or a new name in ``directory`` survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def replacing(target: str | Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``target`` at the end, whole, and so that it survives a power cut.

    It is nobody else's to read (0o600) unless it is told otherwise. OSError: then ``target`` is as it was.
    """
    folder, name = os.path.split(target)
    beside = os.path.join(folder, f".{name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        os.unlink(beside)  # of a process that had our number, and was killed
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(beside, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    sync_directory(folder)
