"""VDI images made longer or shorter.

A longer disk needs a longer block map. Where the data begins too early for it, the first blocks move to the end of
the file, the new map goes where they were, and the header, one sector, turns from the old map to the new one at once.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.formats.vdi.layout import ENTRY, FREE, HEADER_SIZE, MOST_BLOCKS, SPECIAL, STATIC
from virtkit.disk.formats.vdi.mapping import PIECE, write_table
from virtkit.disk.formats.vdi.room import Blocks

if TYPE_CHECKING:
    from virtkit.disk.formats.vdi.livemap import LiveMap

_HEADER_END = round_up(HEADER_SIZE + 72, SECTOR)
_LAST_OFFSET = 0xFFFF_FFFF


def resize(image: LiveMap, size: int) -> None:
    blocks = divide_up(size, image.unit)
    if blocks > MOST_BLOCKS:
        raise NotSupportedError(
            f"{image.file.name}: {size} bytes are {blocks} blocks of {image.unit} bytes, expected at most {MOST_BLOCKS}"
        )
    image.store()
    image.file.sync_data()
    image.find_room().reclaim()
    if size < image.size:
        _shrink(image, size, blocks)
    elif size > image.size:
        _grow(image, size, blocks)
    image.size = size


def _shrink(image: LiveMap, size: int, blocks: int) -> None:
    room = image.find_room()
    gone = [run for run in image.map_runs(blocks, image.header.blocks) if run.entry not in SPECIAL]
    image.put_header(blocks=blocks, disk_size=size)
    image.file.sync_data()
    for run in gone:
        room.release(Blocks(run.entry, run.entry + run.end - run.begin))


def _grow(image: LiveMap, size: int, blocks: int) -> None:
    _clear_tail(image)
    map_offset, moved = _place_for_map(image, ENTRY * blocks)
    old, used = image.header.blocks, max(image.find_room().end - moved, 0)
    first_new = used if image.header.image_type == STATIC else None
    if first_new is not None:
        used += blocks - old
        image.prepare(Blocks(moved + first_new, moved + used))
    end = image.header.start_of(moved + used)
    if image.file.size < end:
        image.file.resize(end)
    if first_new is not None:  # blocks that the disk lost when it was made shorter may lie there still
        begin = image.header.start_of(moved + first_new)
        image.file.zero(begin, end - begin)
    for first in range(old if map_offset == image.header.map_offset else 0, blocks, PIECE):
        table = _entries(image, first, min(first + PIECE, blocks), moved=moved, first_new=first_new)
        write_table(image.file, map_offset + ENTRY * first, table)
    image.file.sync()
    image.put_header(
        map_offset=map_offset,
        data_offset=image.header.start_of(moved),
        blocks=blocks,
        blocks_allocated=used,
        disk_size=size,
    )
    image.file.sync()
    image.room = None


def _clear_tail(image: LiveMap) -> None:
    """What lies in the last block behind the disk's end is about to be seen."""
    block, skip = divmod(image.size, image.unit)
    if skip and (entry := image.entries(block, 1)[0]) not in SPECIAL:
        image.file.zero(image.header.block_at(entry) + skip, image.unit - skip)


def _place_for_map(image: LiveMap, length: int) -> tuple[int, int]:
    """Where the new map goes, and how many blocks at the start of the data make room for it."""
    header = image.header
    if header.map_offset + length <= header.data_offset:
        return header.map_offset, 0
    if _HEADER_END + length <= header.map_offset:
        return _HEADER_END, 0
    count = divide_up(length, header.stride)
    if header.start_of(count) > _LAST_OFFSET:
        raise NotSupportedError(
            f"{image.file.name}: its block map would need {length} bytes, expected less than 4 GiB with what is there",
            hint=f"virtkit disk convert {image.file.name} bigger.vdi",
        )
    _move_first(image, count)
    return header.data_offset, count


def _move_first(image: LiveMap, count: int) -> None:
    """The first ``count`` blocks of the file go to its end."""
    target = max(image.find_room().end, count)
    for run in image.map_runs(0, image.header.blocks):
        if run.entry in SPECIAL:
            continue
        for index in range(run.entry, min(run.entry + run.end - run.begin, count)):
            image.copy(index, target)
            image.waiting[run.begin + index - run.entry] = target
            target += 1
    image.room = None
    image.store()
    image.file.sync_data()


def _entries(image: LiveMap, first: int, end: int, *, moved: int, first_new: int | None) -> array[int]:
    """Entries [first, end) of the new map; new blocks are FREE, or have places from ``first_new`` on."""
    old = image.header.blocks
    table = image.entries(first, min(end, old) - first) if first < old else array("I")
    if moved:
        table = array("I", (entry if entry in SPECIAL else entry - moved for entry in table))
    begin = max(first, old)
    if first_new is None:
        return table + array("I", [FREE]) * (end - begin)
    return table + array("I", range(first_new + begin - old, first_new + end - old))
