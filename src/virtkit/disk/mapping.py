"""The map of a disk as ``qemu-img map`` prints it."""

from __future__ import annotations

from virtkit.core.typed import TYPE_CHECKING, NamedTuple
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.core.plan import Json
    from virtkit.disk.format import Extent


class Entry(NamedTuple):
    """One stretch of the guest's disk; numbers in bytes. The names are qemu-img's keys."""

    start: int
    length: int
    depth: int
    present: bool
    zero: bool
    data: bool
    compressed: bool
    offset: int | None  # in ``file``
    file: str | None = None  # name of the one that holds the bytes, where their offset is known

    def follows(self, before: Entry) -> bool:
        """Whether both can be told as one stretch."""
        if self[2:7] != before[2:7] or self.file != before.file:
            return False
        return self.offset == (None if before.offset is None else before.offset + before.length)

    def told(self) -> dict[str, Json]:
        """qemu-img's keys, in its order."""
        keys: dict[str, Json] = {
            "start": self.start,
            "length": self.length,
            "depth": self.depth,
            "present": self.present,
            "zero": self.zero,
            "data": self.data,
            "compressed": self.compressed,
        }
        return keys if self.offset is None else {**keys, "offset": self.offset}


def entries(extents: Iterable[Extent]) -> Iterator[Entry]:
    """In order and without gaps, as long as possible."""
    last: Entry | None = None
    for extent in extents:
        entry = _entry(extent)
        if last and entry.follows(last):
            last = last._replace(length=last.length + entry.length)
            continue
        if last:
            yield last
        last = entry
    if last:
        yield last


def _entry(extent: Extent) -> Entry:
    data = extent.kind in (Kind.DATA, Kind.CODED)
    placed = extent.kind is Kind.DATA or extent.preallocated
    return Entry(
        extent.start,
        extent.length,
        extent.depth,
        present=extent.kind is not Kind.HOLE,
        zero=not data,
        data=data,
        compressed=extent.kind is Kind.CODED,
        offset=extent.at if placed else None,
        file=extent.file.name if placed and extent.file else None,
    )
