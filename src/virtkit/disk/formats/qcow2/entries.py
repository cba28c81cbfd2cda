"""What an L2 entry says of its cluster, and an extended one of each subcluster.

Specification: "L2 table entry", "Extended L2 Entries".
"""

from __future__ import annotations

from functools import lru_cache

from virtkit.core.units import SECTOR
from virtkit.disk.format import Kind
from virtkit.disk.formats.qcow2.layout import ALL_SUBCLUSTERS, COMPRESSED, COPIED, OFFSET, SUBCLUSTERS, ZERO

NO_ROOM = frozenset({0, ZERO, COPIED, COPIED | ZERO})  # entries that name no cluster and may repeat
NO_ROOM_OUTSIDE = frozenset({0, ZERO})  # likewise, where data is in another file: offset 0 is a cluster there
_OFFSET_BITS = 62  # of a compressed entry, shared with the count of sectors
_SECTOR_BITS = 8  # fewer bits than a cluster's offset has the count of its sectors


def has_room(entry: int, *, outside: bool) -> bool:
    """Whether a standard entry names a cluster. ``outside``: in an external data file."""
    return bool(entry & OFFSET) or (outside and bool(entry & COPIED))


@lru_cache(maxsize=4096)
def subclusters(bitmap: int) -> tuple[tuple[int, int, Kind], ...]:
    """Runs [first, last) of subclusters of one kind. A bitmap that contradicts itself answers nothing."""
    holds, zeros = bitmap & ALL_SUBCLUSTERS, bitmap >> SUBCLUSTERS
    if holds & zeros:
        return ()
    found: list[tuple[int, int, Kind]] = []
    for index in range(SUBCLUSTERS):
        kind = Kind.DATA if holds >> index & 1 else Kind.ZERO if zeros >> index & 1 else Kind.HOLE
        if found and found[-1][2] is kind:
            found[-1] = found[-1][0], index + 1, kind
        else:
            found.append((index, index + 1, kind))
    return tuple(found)


def compressed_place(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Offset and most bytes of a compressed cluster (specification, "Compressed Clusters Descriptor").

    The entry counts the 512-byte sectors that the data touches besides its first.
    """
    offset_bits, sector_bits = compressed_bits(cluster_bits)
    at = entry & (1 << offset_bits) - 1
    sectors = (entry >> offset_bits & (1 << sector_bits) - 1) + 1
    return at, sectors * SECTOR - at % SECTOR


def compressed_bits(cluster_bits: int) -> tuple[int, int]:
    """Of a compressed entry: the bits of its offset, the lowest, and those of its sectors, right above."""
    return _OFFSET_BITS - (cluster_bits - _SECTOR_BITS), cluster_bits - _SECTOR_BITS


def compressed_entry(at: int, stored: int, cluster_bits: int) -> int:
    """The entry of ``stored`` bytes at ``at``."""
    offset_bits, _ = compressed_bits(cluster_bits)
    return COMPRESSED | (at + stored - 1) // SECTOR - at // SECTOR << offset_bits | at
