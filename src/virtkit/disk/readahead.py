"""What the file holds of coded extents: those that lie side by side in it are read at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import KIB, MIB
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.format import Buffer, Extent

LONGEST = MIB  # bytes read at once, unless one extent alone is longer
_NEAR = 32 * KIB  # bytes between two extents that cost less to read than another call


def with_stored(extents: Sequence[Extent]) -> Iterator[tuple[Extent, Buffer]]:
    """Each extent, and its stored bytes if it is CODED; fewer of them only at the end of the file."""
    index = 0
    while index < len(extents):
        extent = extents[index]
        if extent.kind is not Kind.CODED or not extent.file:
            yield extent, b""
            index += 1
            continue
        last, end = _span(extents, index)
        begin = extent.at
        span = memoryview(extent.file.read(begin, end - begin))
        for one in extents[index:last]:
            yield one, span[one.at - begin : one.at - begin + one.stored]
        index = last


def _span(extents: Sequence[Extent], first: int) -> tuple[int, int]:
    """Which extent is the first that is not read with ``first``, and where in the file those before it end."""
    begin = extents[first].at
    end = begin + extents[first].stored
    for index in range(first + 1, len(extents)):
        one = extents[index]
        stop = max(end, one.at + one.stored)
        together = one.kind is Kind.CODED and one.file is extents[first].file and begin <= one.at <= end + _NEAR
        if not together or stop - begin > LONGEST:
            return index, end
        end = stop
    return len(extents), end
