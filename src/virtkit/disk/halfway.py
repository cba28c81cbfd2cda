"""The record of a conversion in place: written before anything in the file is moved, removed when all is done.

It lies beside the file and has all that is needed to go on or to take back: the first block of the disk, where the
disk's other blocks are on the file system, and what was asked for. A power cut cannot leave half of it in force: as
long as its digest does not match, nothing was touched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.directories import sync_directory
from virtkit.core.errors import ImageError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.file import File

SUFFIX = ".in-place"
_MAGIC = b"virtkit: a disk is being converted in place; see virtkit disk convert --help\n"
_PRIVATE = 0o600  # the first block of a disk is a secret as the disk is


class Record(NamedTuple):
    inode: int
    size: int  # bytes of the file before
    block: int  # bytes; of the file system
    room: int  # bytes by which the disk is moved back
    first: bytes  # the first block of the disk
    blocks: tuple[tuple[int, int, int, int], ...]  # of the file before, as disk/physical.py has them
    format: str  # of the new image
    options: Mapping[str, str]
    target: str | None  # the name that the image gets in the end, from the directory of the file


def path_of(name: str) -> str:
    """Where the record of the file ``name`` is."""
    return os.path.realpath(name) + SUFFIX


def require_whole(file: File) -> None:
    """ImageError where ``file`` is half way between a raw disk and another image."""
    if os.path.exists(f"{file.name}{SUFFIX}") and read(file):
        raise ImageError(f"{file.name}: its conversion in place was broken off", hint=advice(file.name))


def advice(name: str) -> str:
    back = f"virtkit disk convert --in-place --take-back {name}"
    return f"virtkit disk convert --in-place {name} goes on, {back} makes it the raw disk again"


def read(file: File) -> Record | None:
    """What is recorded of this very file; None: nothing, or nothing that came into force."""
    import json
    from hashlib import sha256

    try:
        with open(path_of(file.name), "rb") as stored:
            magic, digest, text = stored.readline(), stored.readline(), stored.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemCallError(f"read {path_of(file.name)}", error) from error
    if magic != _MAGIC or digest.strip() != sha256(text).hexdigest().encode():
        return None
    found = json.loads(text)
    record = Record(**{**found, "first": bytes.fromhex(found["first"]), "blocks": tuple(map(tuple, found["blocks"]))})
    return record if record.inode == file.identity[1] else None


def write(file: File, record: Record) -> None:
    """It is on stable storage then, and its name too. SystemCallError."""
    import json
    from hashlib import sha256

    text = json.dumps({**record._asdict(), "first": record.first.hex(), "options": dict(record.options)}).encode()
    path = path_of(file.name)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _PRIVATE)
        with open(fd, "wb") as stored:
            stored.write(b"%s%s\n%s" % (_MAGIC, sha256(text).hexdigest().encode(), text))
            stored.flush()
            os.fsync(fd)
        sync_directory(os.path.dirname(path))
    except OSError as error:
        raise SystemCallError(f"write {path}", error) from error


def remove(path: str) -> None:
    try:
        os.unlink(path)
        sync_directory(os.path.dirname(path))
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemCallError(f"remove {path}", error) from error
