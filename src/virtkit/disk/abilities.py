"""What can be done with a format: tried on a small image in memory, not claimed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import MIB
from virtkit.disk.access import Access
from virtkit.disk.file import File
from virtkit.disk.format import (
    AmendableFormat,
    Blank,
    CheckableFormat,
    CompactImage,
    LiveBitmapImage,
    LiveImage,
    LiveSnapshotImage,
    RepairableFormat,
    WritableFormat,
)

if TYPE_CHECKING:
    from virtkit.disk.format import Format, Image


class Abilities(NamedTuple):
    """All formats are read."""

    create: bool = False
    write: bool = False  # in place
    compress: bool = False
    snapshots: bool = False
    bitmaps: bool = False
    check: bool = False
    repair: bool = False
    compact: bool = False
    amend: bool = False


def of(kind: Format) -> Abilities:
    checks = Abilities(check=isinstance(kind, CheckableFormat), repair=isinstance(kind, RepairableFormat))
    if not isinstance(kind, WritableFormat):
        return checks
    made = checks._replace(create=True, compress=_compresses(kind), amend=isinstance(kind, AmendableFormat))
    image = _live_image(kind)
    if image is None:
        return made
    try:
        return made._replace(
            write=isinstance(image, LiveImage),
            snapshots=isinstance(image, LiveSnapshotImage),
            bitmaps=isinstance(image, LiveBitmapImage),
            compact=isinstance(image, CompactImage),
        )
    finally:
        image.close()


def _compresses(kind: WritableFormat) -> bool:
    try:
        return kind.encoder("fast", {}) is not None
    except (NotSupportedError, UsageError):  # without options that it needs for that
        return False


def _live_image(kind: WritableFormat) -> Image | None:
    file = _in_memory("image")
    try:
        cheap = {option.name: "1" for option in kind.options if option.name == "iter-time"}
        kind.writer(file, Blank(MIB, 0, cheap, _in_memory, secret=b"only tried")).finish()
        return kind.open(file, Access(writable=True))
    except NotSupportedError:
        file.close()
        return None


def _in_memory(name: str) -> File:
    return File(os.memfd_create(name), name)
