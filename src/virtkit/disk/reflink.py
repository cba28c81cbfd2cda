"""A file as another one that shares all of its blocks: XFS, btrfs, bcachefs, and what shares them over a network."""

from __future__ import annotations

import os

from virtkit.core.errors import NotSupportedError, SystemCallError
from virtkit.disk.file import File
from virtkit.disk.newfile import NewFile


def clone(source: str, target: str) -> None:
    """``target`` appears when it is whole. NotSupportedError where the file system shares no blocks."""
    file = File.open(source)
    try:
        with NewFile(target) as new:
            if not new.file.share(0, file, 0, 0):  # 0: up to the end
                raise _cannot(source, target)
            new.publish(durable=True)
    finally:
        file.close()


def check(source: str, directory: str) -> None:
    """NotSupportedError unless a file in ``directory`` can share its blocks; tried on one without a name."""
    file = File.open(source, shared=True)
    try:
        trial = File(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600), directory)
        try:
            if not trial.share(0, file, 0, 0):
                raise _cannot(source, directory)
        finally:
            trial.close()
    except OSError as error:
        raise SystemCallError(f"make a file in {directory}", error) from error
    finally:
        file.close()


def _cannot(source: str, target: str) -> NotSupportedError:
    found = f"{target}: shares no blocks with {source}: its file system cannot, or is another one"
    return NotSupportedError(found, hint="--by overlay, or --by copy")
