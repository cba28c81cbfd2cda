"""The whole disk made longer or shorter: its last extent, and files that come or go.

A file is made longer before the descriptor says so, and shorter after: what the descriptor tells is there always.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import SECTOR, round_up
from virtkit.disk.file import File
from virtkit.disk.formats.vmdk import layout, renewal, resizing
from virtkit.disk.formats.vmdk.descriptor import Line
from virtkit.disk.formats.vmdk.layouts import FlatLayout, SparseLayout
from virtkit.disk.formats.vmdk.liveflat import LiveFlat
from virtkit.disk.formats.vmdk.livesparse import LiveSparse
from virtkit.disk.formats.vmdk.options import SPLIT
from virtkit.disk.formats.vmdk.writer import PART
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from virtkit.disk.formats.vmdk.live import LivePart, LiveRow

_NUMBERED = re.compile(r"(.*-[fs])(\d{3,})(\.[^.]*)?")


def resize(image: LiveRow, size: int) -> None:
    """``size``: bytes, a multiple of a sector, not what it was."""
    if size > image.size:
        _grow(image, size)
    else:
        _shrink(image, size)


def _grow(image: LiveRow, size: int) -> None:
    parts, last = list(image.live), image.live[-1]
    rest = size - image.starts[-1]
    most = max(PART, round_up(last.size, image.unit)) if image.descriptor.create_type in SPLIT else rest
    _grow_part(last, min(rest, most))
    lines: list[Line] = []
    rest -= last.size
    while rest:
        parts.append(_add(parts[-1], min(rest, PART)))
        lines.append(_line(parts[-1]))
        rest -= parts[-1].size
    sectors = [part.size // SECTOR for part in image.live]
    image.describe(renewal.with_sizes(image.descriptor, sectors, lines))
    image.rearrange(parts)
    image.file.sync()


def _grow_part(part: LivePart, size: int) -> None:
    if isinstance(part, LiveSparse):
        resizing.resize(part, size)
        return
    if isinstance(part, LiveFlat):
        _require_file(part)
        if part.file.size > part.at + part.size:  # what lies behind was never the guest's
            part.file.zero(part.at + part.size, part.file.size - part.at - part.size)
        part.file.resize(max(part.file.size, part.at + size))
        part.file.sync()
    part.size = size


def _add(before: LivePart, size: int) -> LivePart:
    """Another file behind that of ``before``, named and made alike."""
    found = _NUMBERED.fullmatch(before.file.name) if before.file else None
    if not found or not isinstance(before, LiveSparse | LiveFlat):
        name = before.file.name if before.file else "the last extent"
        raise NotSupportedError(f"{name}: is no numbered part such as disk-s001.vmdk, which another could follow")
    path = f"{found[1]}{int(found[2]) + 1:03d}{found[3] or ''}"
    if os.path.lexists(path):
        raise UsageError(
            f"{path}: exists already, expected room for another part", hint=f"if it is nobody's: rm {path}"
        )
    with NewFile(path) as new:
        if isinstance(before, LiveSparse):
            SparseLayout(new.file, size, zeroed=before.shape.zeroed, embedded=False).finish(b"")
        else:
            FlatLayout(new.file, size)
        new.publish(durable=True)
    file = File.open(path, writable=True)
    if isinstance(before, LiveFlat):
        return LiveFlat(file, before.kind, 0, size)
    header = layout.read_header(file)
    return LiveSparse(file, header, header.shape, before.kind)


def _line(part: LivePart) -> Line:
    name = os.path.basename(part.file.name) if part.file else ""
    return Line("RW", part.size // SECTOR, part.kind, name, 0 if part.kind == "FLAT" else None)


def _shrink(image: LiveRow, size: int) -> None:
    """At least the first extent stays."""
    kept = max(sum(start < size for start in image.starts), 1)
    parts, gone = image.live[:kept], image.live[kept:]
    inside = size - image.starts[kept - 1]
    sectors = [*(part.size // SECTOR for part in parts[:-1]), inside // SECTOR]
    image.describe(renewal.with_sizes(image.descriptor, sectors, ()))
    image.file.sync()
    _shrink_part(parts[-1], inside)
    image.rearrange(parts)
    used = {part.file for part in parts} | {image.file}
    for file in dict.fromkeys(part.file for part in gone):
        if file and file not in used:
            file.close()
            os.unlink(file.name)


def _shrink_part(part: LivePart, size: int) -> None:
    if isinstance(part, LiveSparse):
        resizing.resize(part, size)
        return
    if isinstance(part, LiveFlat):
        _require_file(part)
        if part.file.size == part.at + part.size:
            part.file.resize(part.at + size)
    part.size = size


def _require_file(part: LiveFlat) -> None:
    if part.file.is_device:
        raise NotSupportedError(f"{part.file.name}: is a block device, whose size virtkit does not change")
