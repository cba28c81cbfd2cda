"""Which other files an image may open. An image's header is written by whoever made it, often by a guest."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from virtkit.core.errors import ForbiddenReferenceError, NotFoundError

if TYPE_CHECKING:
    from virtkit.disk.reference import Reference

BACKING = "backing file"


def resolve(image: str, reference: Reference, *, allow_backing: bool = False, what: str = BACKING) -> str:
    """The path that ``image`` may open for ``reference``.

    A file beside the image or below its directory; anywhere with ``allow_backing``. Names of QEMU's network and
    JSON drivers are refused always. ``what`` is for messages. ForbiddenReferenceError, NotFoundError.
    """
    name = reference.name
    if "\0" in name or not name or _names_a_driver(name):
        raise ForbiddenReferenceError(f"{image}: {what} is {name!r}, expected the name of a file")
    directory = os.path.dirname(image) or "."
    path = os.path.join(os.path.dirname(image), name)
    if not allow_backing and not _within(path, directory):
        raise ForbiddenReferenceError(
            f"{image}: {what} is {name}, expected a file in or below {directory}",
            hint="if you trust this image, repeat with --allow-backing",
        )
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        elsewhere = "; if it is called otherwise: --parent FILE" if what == BACKING else ""
        raise NotFoundError(f"{image}: {what} {path} is not there", hint=f"ls -l {directory}{elsewhere}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise ForbiddenReferenceError(f"{image}: {what} {path} is no regular file and no block device")
    return path


def _names_a_driver(name: str) -> bool:
    """``json:{...}``, ``nbd://host``, ``file:x``: a colon before any slash, as QEMU's path_has_protocol() tells."""
    return ":" in name.partition("/")[0]


def _within(path: str, directory: str) -> bool:
    """After all symbolic links."""
    home = os.path.realpath(directory)
    return os.path.commonpath([os.path.realpath(path), home]) == home
