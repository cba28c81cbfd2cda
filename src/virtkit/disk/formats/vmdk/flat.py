"""Extents without tables: plain bytes of a file (FLAT, VMFS), and zeros that are nowhere (ZERO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

KINDS = ("FLAT", "VMFS")


class FlatPart:
    grain = 0
    compressed = False

    def __init__(self, file: File, kind: str, at: int, size: int) -> None:
        """``size`` bytes from byte ``at`` of ``file`` on; CorruptImageError where the file is shorter."""
        self.file: File = file
        self.kind = kind
        self.at = at
        self.size = size
        if file.size < at + size:
            raise CorruptImageError(
                file.name, "size", found=f"{file.size} bytes", expected=f"at least {at + size}", offset=file.size
            )

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end = start + length
        for begin, stop in self.file.data(self.at + start, self.at + end):
            data = begin - self.at
            if start < data:
                yield self._zeros(start, data)
            yield Extent(data, stop - begin, Kind.DATA, self.file, begin)
            start = stop - self.at
        if start < end:
            yield self._zeros(start, end)

    def _zeros(self, start: int, end: int) -> Extent:
        return Extent(start, end - start, Kind.ZERO, self.file, self.at + start, preallocated=True)


class ZeroPart:
    kind = "ZERO"
    file: File | None = None
    grain = 0
    compressed = False

    def __init__(self, size: int) -> None:
        self.size = size

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        yield Extent(start, length, Kind.ZERO)
