"""The file of a VDI image made dense: its last blocks move into free ones, then it is cut.

Each block is copied to a free place, and its entry names the copy when that is stored: whenever this is broken off,
the map is right and ``blocks_allocated`` too great at worst.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.progress import Advanced, Finished, Started, silent
from virtkit.disk.formats.vdi.layout import SPECIAL
from virtkit.disk.formats.vdi.room import Blocks, Room

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.formats.vdi.livemap import LiveMap

_BATCH = 64  # blocks between two waits for stable storage


def settle(image: LiveMap, report: Sink = silent) -> None:
    """Where everything that waited is stored: no free block is left in front of the last used one."""
    room = image.find_room()
    try:
        if holes := room.holes:
            _move(image, room.free(), room.end - holes, report)
            image.room = Room([Blocks(0, room.end - holes)])
    except BaseException:
        image.room = None  # whoever asks next looks again
        raise
    _cut(image, room.end - holes)


def _move(image: LiveMap, free: list[Blocks], target: int, report: Sink) -> None:
    """All blocks from ``target`` on into ``free`` ones in front of it."""
    blocks, indices = _behind(image, target)
    places = (index for stretch in free for index in range(stretch.begin, stretch.end))
    report(Started("move blocks", len(blocks) * image.unit))
    for first in range(0, len(blocks), _BATCH):
        several = slice(first, first + _BATCH)
        moved = list(zip(blocks[several], indices[several], places, strict=False))
        for _, index, place in moved:
            image.copy(index, place)
        image.file.sync_data()
        for block, _, place in moved:
            image.fill_entries(block, 1, place)
        report(Advanced("move blocks", (first + len(moved)) * image.unit))
    image.file.sync_data()
    report(Finished("move blocks"))


def _behind(image: LiveMap, target: int) -> tuple[array[int], array[int]]:
    """The blocks of the disk, and where they are, that lie at ``target`` or behind in the file."""
    blocks, indices = array("I"), array("I")
    for run in image.map_runs(0, image.header.blocks):
        last = run.entry + run.end - run.begin
        if run.entry not in SPECIAL and last > target:
            first = max(run.entry, target)
            indices.extend(range(first, last))
            blocks.extend(range(run.begin + first - run.entry, run.end))
    return blocks, indices


def _cut(image: LiveMap, used: int) -> None:
    if image.header.blocks_allocated != used:
        image.put_header(blocks_allocated=used)
        image.file.sync_data()
    if image.file.size != image.header.start_of(used):
        image.file.resize(image.header.start_of(used))
        image.file.sync()
