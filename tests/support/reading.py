"""Read an image by walking its extents, as plainly as can be: what the fast engine does must come out the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.images import SECRET
from virtkit.disk.access import Access
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    import os

    from virtkit.disk.format import Format, Image


def content(image: Image, start: int = 0, length: int | None = None) -> bytes:
    """The guest's bytes; holes read as zeros, as if there were no backing image."""
    length = image.size - start if length is None else length
    return b"".join(bytes_of(extent) for extent in image.extents(start, length))


def bytes_of(extent: Extent) -> bytes:
    if extent.kind in {Kind.HOLE, Kind.ZERO}:
        return bytes(extent.length)
    assert extent.file is not None
    if extent.kind is Kind.DATA:
        data = extent.file.read(extent.at, extent.length)
    else:
        assert extent.decode is not None
        unit = extent.decode(extent, extent.file.read(extent.at, extent.stored))
        data = bytes(unit[extent.skip : extent.skip + extent.length])
    assert len(data) == extent.length, extent
    return data


def open_with(format_: Format, path: str | os.PathLike[str]) -> Image:
    """Open ``path``; the file is closed again where the format refuses it."""
    file = File.open(path)
    try:
        return format_.open(file, Access(secret=SECRET))
    except BaseException:
        file.close()
        raise


def assert_covers(image: Image, start: int, length: int) -> None:
    """The promise of ``Image.extents``: in order, without gaps, none empty, runs merged."""
    at, before = start, None
    for extent in image.extents(start, length):
        assert extent.start == at, extent
        assert extent.length > 0, extent
        assert before is None or not _should_be_one(before, extent), (before, extent)
        at, before = extent.end, extent
    assert at == start + length


def _should_be_one(one: Extent, other: Extent) -> bool:
    if one.kind is not other.kind or one.kind is Kind.CODED or one.preallocated != other.preallocated:
        return False
    return one.file is None or (one.file is other.file and one.at + one.length == other.at)
