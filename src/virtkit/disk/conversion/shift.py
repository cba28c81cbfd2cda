"""A disk moved back within its file, and forth again, without moving a byte: the file system changes its map.

FALLOC_FL_INSERT_RANGE and FALLOC_FL_COLLAPSE_RANGE, fallocate(2). The kernel moves one extent after the other, each in
a transaction of its own: a power cut leaves the front of the file where it was, then the gap, then what was moved.
Where the gap is, is seen by the blocks on the file system, which nobody else moves meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from virtkit.core.errors import ConflictError, NotSupportedError, SystemCallError
from virtkit.disk import physical
from virtkit.disk.physical import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.file import File
    from virtkit.disk.halfway import Record

_COLLAPSE, _INSERT = 0x08, 0x20  # linux/falloc.h
_CANNOT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def require(file: File, block: int) -> None:
    """NotSupportedError where the file system moves nothing: tried behind the file's end, where nothing can happen."""
    try:
        _call(file, _INSERT, (file.size // block + 1) * block, block)
    except OSError as error:
        if error.errno != errno.EINVAL:  # which says that it could, were there something
            raise _unable(file) from error


def insert(file: File, record: Record) -> None:
    """Room behind the first block; NotSupportedError, SystemCallError, and nothing is moved then."""
    insert_at(file, record.block, record.room)


def insert_at(file: File, start: int, length: int) -> None:
    """As ``insert``, at any byte."""
    try:
        _call(file, _INSERT, start, length)
    except OSError as error:
        if error.errno in _CANNOT:
            raise _unable(file) from error
        raise SystemCallError(f"{file.name}: move the disk back by {length} bytes", error) from error


def undo(file: File, record: Record) -> None:
    """All blocks but the first are where they were, and the file is as long as it was."""
    gap = find(file, record)
    if gap is not None and gap + record.room < file.size:
        try:
            _call(file, _COLLAPSE, gap, record.room)
        except OSError as error:
            raise SystemCallError(f"{file.name}: move the disk forth by {record.room} bytes", error) from error
    if file.size != record.size:
        file.resize(record.size)


def find(file: File, record: Record) -> int | None:
    """Where the gap begins, ``record.block`` when all is moved; None: nothing is. ConflictError if neither is so."""
    now = list(physical.blocks(file, 0, file.size))
    gap, moved = record.block, False
    for block in _behind(record):
        here = 0 if moved else _agreeing(now, block.start, block)
        gap = block.start + here if here else gap
        rest = _cut(block, block.start + here)
        moved = moved or rest.length > 0
        if _agreeing(now, rest.start + record.room, rest) < rest.length:
            raise ConflictError(
                f"{file.name}: what was at {rest.start:#x} is at neither place where its conversion in place left it",
                hint=f"a defragmentation, or a copy over the file; its map before is in {file.name}.in-place",
            )
    return gap if moved or file.size >= record.size + record.room else None


def _behind(record: Record) -> Iterator[Block]:
    """All that was in the file behind the first block."""
    blocks = (Block(*block) for block in record.blocks)
    return (_cut(block, record.block) for block in blocks if block.end > record.block)


def _cut(block: Block, start: int) -> Block:
    """What lies from ``start`` on."""
    skipped = max(start - block.start, 0)
    return Block(block.start + skipped, block.length - skipped, block.at + skipped, block.flags)


def _agreeing(now: Sequence[Block], start: int, block: Block) -> int:
    """How many of the first bytes of ``block`` lie at ``start`` of the file now."""
    done = 0
    while done < block.length:
        index = bisect_right(now, start + done, key=attrgetter("start")) - 1
        if index < 0 or now[index].end <= start + done:
            break
        if now[index].at + start + done - now[index].start != block.at + done:
            break
        done = min(block.length, now[index].end - start)
    return done


def _call(file: File, mode: int, start: int, length: int) -> None:
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    if fallocate(file.fd, mode, ctypes.c_int64(start), ctypes.c_int64(length)):
        raise OSError(number := ctypes.get_errno(), os.strerror(number))


def _unable(file: File) -> NotSupportedError:
    return NotSupportedError(
        f"{file.name}: its file system moves no data within a file (ext4 and XFS do)",
        hint=f"virtkit disk convert -f raw {file.name} NEW.qcow2",
    )
