"""A raw disk that becomes another image in its own file: the data stays where it is, metadata goes in front of it.

In this order, each step on stable storage before the next: a record beside the file; a mark in the disk's first block,
by which every program that knows the format refuses the file; the room in front of the disk; the metadata; the header
in place of the mark, which is one sector. So a raw disk that is half way never passes for a whole one, and whatever
ends the work leaves the raw disk, the new image, or a record by which the same command goes on or takes back.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING

from virtkit.core.errors import (
    ImageError,
    NotFoundError,
    NotSupportedError,
    SystemCallError,
    UnknownFormatError,
    UsageError,
)
from virtkit.core.units import SECTOR, format_size, round_up
from virtkit.disk import catalog, halfway, physical
from virtkit.disk.conversion import shift
from virtkit.disk.conversion.order import Converted
from virtkit.disk.file import File
from virtkit.disk.format import EnvelopingFormat
from virtkit.disk.halfway import Record
from virtkit.disk.physical import SHARED, UNWRITTEN, Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.disk.format import Envelope, Stretch


def convert_in_place(
    path: str,
    target: str | None = None,
    *,
    target_format: str = "qcow2",
    options: Mapping[str, str] | None = None,
    dry_run: bool = False,
) -> Converted:
    """Make the raw disk ``path`` an image of another format without copying it: ext4 and XFS only.

    In the end the file is called ``target``, if given, which must not exist. What was broken off goes on, as it was
    asked for then. After an error or Ctrl-C the file is the raw disk again; after SIGKILL or a power cut a record
    beside it says how far it was: this again, or ``take_back_in_place``. All is on stable storage when it returns.
    UsageError, NotSupportedError, BusyError, SystemCallError; ImageError where ``path`` is no raw disk.
    """
    with closing(File.open(path, writable=True)) as file:
        begun = halfway.read(file)
        if begun and _state(file, begun) != "raw":
            record = begun
        else:
            record = _planned(file, target, target_format, options or {})
        envelope = _envelope(record)
        if not dry_run:
            _carry_out(file, record, envelope, begun=begun)
        name = path if record.target is None else os.path.join(os.path.dirname(path), record.target)
        return Converted(name, record.format, round_up(record.size, SECTOR), file.allocated)


def take_back_in_place(path: str) -> None:
    """Make a file whose conversion in place was broken off the raw disk again; may be broken off and done again.

    NotFoundError where nothing was broken off; UsageError where all but the record's removal was done.
    """
    with closing(File.open(path, writable=True)) as file:
        record = halfway.read(file)
        if record is None:
            raise NotFoundError(f"{path}: no conversion in place was broken off")
        state = _state(file, record)
        if state == "whole":
            raise UsageError(f"{path}: is {record.format} already", hint=f"virtkit disk convert --in-place {path}")
        if state == "half":
            _take_back(file, record)
        halfway.remove(halfway.path_of(path))


def _planned(file: File, target: str | None, format_: str, options: Mapping[str, str]) -> Record:
    block = os.fstatvfs(file.fd).f_frsize
    _require_movable(file, block)
    if found := _signature(file):
        raise ImageError(f"{file.name}: format is {found} by its signature, expected raw")
    if target is not None and os.path.lexists(target):
        raise UsageError(f"{target}: exists already", hint="another name; --in-place replaces no file")
    if target is not None and os.stat(os.path.dirname(target) or ".").st_dev != file.identity[0]:
        raise UsageError(f"{target}: is on another file system, where the file cannot be moved without a copy")
    shift.require(file, block)
    file.sync()
    blocks = tuple(_cut_to(physical.blocks(file, 0, file.size), round_up(file.size, block)))
    _require_own(file, blocks)
    first = file.read(0, block)
    beside = os.path.dirname(os.path.realpath(file.name))
    name = os.path.relpath(os.path.realpath(target), beside) if target is not None else None
    record = Record(file.identity[1], file.size, block, 0, first, blocks, format_, options, name)
    record = record._replace(room=_envelope(record).room)
    _require_room(file, record)
    return record


def _require_movable(file: File, block: int) -> None:
    copy = f"virtkit disk convert -f raw {file.name} NEW.qcow2"
    if file.is_device:
        raise NotSupportedError(f"{file.name}: is a block device, within which nothing can be moved", hint=copy)
    if os.fstat(file.fd).st_nlink > 1:
        raise NotSupportedError(f"{file.name}: has other names, under which it would change too", hint=copy)
    if file.size <= block:
        raise NotSupportedError(
            f"{file.name}: size is {format_size(file.size)}, expected more than a block of {format_size(block)}",
            hint=copy,
        )


def _require_own(file: File, blocks: Iterable[Block]) -> None:
    for block in blocks:
        if block.flags & SHARED:
            raise NotSupportedError(
                f"{file.name}: shares blocks with another file, from which it could be told apart only by a copy",
                hint=f"virtkit disk convert -f raw {file.name} NEW.qcow2, which shares them too and copies nothing",
            )
        if not block.is_plain and not block.flags & UNWRITTEN:
            raise NotSupportedError(f"{file.name}: at {block.start:#x} its file system has no plain blocks")


def _require_room(file: File, record: Record) -> None:
    status = os.fstatvfs(file.fd)
    free = status.f_bavail * status.f_frsize
    if free < record.room + record.block:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        doing = f"{file.name}: make room for {format_size(record.room)} of metadata"
        raise SystemCallError(doing, full, hint=f"df -h {os.path.dirname(file.name) or '.'}")


def _cut_to(blocks: Iterable[Block], end: int) -> Iterator[Block]:
    """Without room that the file system has taken behind the file's end."""
    for block in blocks:
        if block.start < end:
            yield block._replace(length=min(block.end, end) - block.start)


def _envelope(record: Record) -> Envelope:
    """The same at any time: nothing but the record decides."""
    kind = catalog.load_writable(record.format)
    if not isinstance(kind, EnvelopingFormat):
        raise NotSupportedError(f"{record.format}: no raw disk becomes this in place", hint="-O qcow2")
    catalog.require_options(record.format, kind, record.options)
    size = round_up(record.size, SECTOR)
    found = kind.envelope(size, list(_data(record, size)), record.options)
    if found.room % record.block:
        block = format_size(record.block)
        raise NotSupportedError(f"{record.format}: a cluster is smaller than the file system's block of {block}")
    return found


def _data(record: Record, size: int) -> Iterator[Stretch]:
    for block in map(Block._make, record.blocks):
        if not block.flags & UNWRITTEN and block.start < size:
            yield block.start, min(block.end, size)


def _state(file: File, record: Record) -> str:
    """raw: nothing was moved, and the guest may have gone on; half: neither; whole: only the end is missing."""
    head = file.read(0, SECTOR)
    if head == _envelope(record).unfinished:
        return "half"
    moved = file.size >= record.size + record.room
    return "whole" if moved and _signature(file) == record.format else "raw"


def _signature(file: File) -> str | None:
    try:
        return catalog.detect(file)
    except UnknownFormatError:
        return None


def _carry_out(file: File, record: Record, envelope: Envelope, *, begun: Record | None) -> None:
    if begun is not record:
        try:
            halfway.write(file, record)
        except BaseException:  # nothing was moved yet
            halfway.remove(halfway.path_of(file.name))
            raise
    if _state(file, record) != "whole":
        try:
            _move(file, record, envelope)
            _fill(file, record, envelope)
        except BaseException:
            _take_back(file, record)
            halfway.remove(halfway.path_of(file.name))
            raise
        file.write(0, envelope.head[:SECTOR])
        file.sync()
    _finish(file, record)


def _move(file: File, record: Record, envelope: Envelope) -> None:
    gap = shift.find(file, record)
    if gap == record.block:
        return
    if gap is not None:  # the kernel was interrupted
        shift.undo(file, record)
    file.write(0, envelope.unfinished)
    file.sync()
    shift.insert(file, record)


def _fill(file: File, record: Record, envelope: Envelope) -> None:
    """All but the first sector; the disk's first block is put where it belongs now."""
    file.write(SECTOR, envelope.head[SECTOR:])
    for at, part in envelope.parts():
        file.write(at, part)
    file.write(record.room, record.first)
    file.resize(envelope.size)
    file.sync()


def _take_back(file: File, record: Record) -> None:
    """The mark goes last: as long as it is there, nobody takes the file for the raw disk."""
    shift.undo(file, record)
    file.sync()
    file.write(0, record.first)
    file.sync()


def _finish(file: File, record: Record) -> None:
    """The last name, then the end of the record: as long as that is there, the name can be given."""
    old = os.path.realpath(file.name)
    if record.target is not None:
        new = os.path.join(os.path.dirname(old), record.target)
        try:
            if not os.path.lexists(new) or not os.path.samefile(new, old):
                os.link(old, new)
            os.unlink(old)
        except OSError as error:
            raise SystemCallError(f"{file.name}: is {record.format} now; name it {new}", error) from error
    halfway.remove(halfway.path_of(old))
