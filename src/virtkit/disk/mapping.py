"""The map of a disk as ``qemu-img map`` prints it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    def json(self) -> str:
        """qemu-img's keys, in its order and with its blanks; an image may have millions of these."""
        place = "" if self.offset is None else f', "offset": {self.offset}'
        return f'{{ "start": {self.start}, "length": {self.length}, {_state(*self[2:7])}{place}}}'


@lru_cache(maxsize=256)
def _state(depth: int, present: bool, zero: bool, data: bool, compressed: bool) -> str:  # noqa: FBT001  an Entry's
    flags = {"present": present, "zero": zero, "data": data, "compressed": compressed}
    return f'"depth": {depth}, ' + ", ".join(f'"{name}": {"true" if flag else "false"}' for name, flag in flags.items())


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
    kind, file = extent.kind, extent.file
    coded = kind is Kind.CODED
    data = coded or kind is Kind.DATA
    placed = extent.preallocated or kind is Kind.DATA
    at, name = (extent.at, file.name if file else None) if placed else (None, None)
    return Entry(extent.start, extent.length, extent.depth, kind is not Kind.HOLE, not data, data, coded, at, name)
