"""The metadata of a VDI image held against each other, and mended.

Corrupt: entries that name a block which another entry names too, or one behind the end of the file; a count of blocks
that would make VirtualBox and QEMU write new data over old. A leak is a block of the file that no entry names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.progress import Note, Sink, silent
from virtkit.core.units import divide_up
from virtkit.disk.format import Findings
from virtkit.disk.formats.vdi import settling
from virtkit.disk.formats.vdi.layout import FREE, SPECIAL
from virtkit.disk.formats.vdi.livemap import LiveMap
from virtkit.disk.formats.vdi.mapping import PIECE
from virtkit.disk.formats.vdi.room import Blocks, Room

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.formats.vdi.mapping import VdiImage

_MOST_DETAILS = 100
_MOST_MARKS = 8  # for each block of the disk; more belong to a file that is mostly leaks, or to a false size
_FAR = 1 << 32  # behind every block that an entry can name


class _Named(NamedTuple):
    """Blocks of the file, and the first of the blocks of the disk whose entries name them."""

    stretch: Blocks
    block: int


def check(image: VdiImage) -> Findings:
    return _of_sound(image) or _examined(image)


def _of_sound(image: VdiImage) -> Findings | None:
    """No block is named twice or is missing: a mark for each tells, for a million of them in any order.

    None where that is not so, or where the file is far longer than its map accounts for.
    """
    header, limit, allocated = image.header, _limit(image), 0
    if limit > _MOST_MARKS * header.blocks:
        return None
    marks = bytearray(limit)
    for first in range(0, header.blocks, PIECE):
        table = image.entries(first, min(PIECE, header.blocks - first))
        named = [entry for entry in table if entry < limit]
        if len(named) + sum(map(table.count, SPECIAL)) != len(table):
            return None
        allocated += len(named)
        for entry in named:
            marks[entry] = 1
    end = marks.rfind(1) + 1
    cut = end == limit and header.block_at(limit - 1) + header.block_size > image.file.size
    if cut or marks.count(1) != allocated or header.blocks_allocated < end:
        return None
    leaks = _there(image, end) - allocated
    details = (_leaking(leaks),) if leaks else ()
    return Findings(0, leaks, header.start_of(end), header.blocks, allocated, details=details)


def _there(image: VdiImage, end: int) -> int:
    """Blocks that the file holds or its header counts, where the last one used is in front of ``end``."""
    header = image.header
    return max((image.file.size - header.data_offset) // header.stride, header.blocks_allocated, end)


def _leaking(blocks: int) -> str:
    return f"{blocks} blocks of the file are not named by the map"


def _examined(image: VdiImage) -> Findings:
    header, named, limit = image.header, list(_named(image)), _limit(image)
    outside, inside = list(_parts(named, limit, _FAR)), list(_parts(named, 0, limit))
    twice = list(_twice(inside))
    used = Room(entry.stretch for entry in inside)
    allocated = used.end - used.holes
    details = [
        *(f"{_blocks(entry)}: behind the end of the file" for entry in outside),
        *(f"{_blocks(entry)}: another block has the same place" for entry in twice),
    ]
    corruptions = sum(entry.stretch.length for entry in (*outside, *twice))
    if cut := _is_cut(image, inside, limit):
        details.append(f"{_blocks(cut)}: cut off by the end of the file")
        corruptions += 1
    if header.blocks_allocated < used.end:
        details.append(f"header: blocks allocated is {header.blocks_allocated}, expected {used.end}")
        corruptions += 1
    if leaks := _there(image, used.end) - allocated:
        details.append(_leaking(leaks))
    return Findings(
        corruptions,
        leaks,
        header.start_of(used.end),
        header.blocks,
        allocated,
        details=tuple(details[:_MOST_DETAILS]),
    )


def repair(image: VdiImage, *, leaks_only: bool, report: Sink = silent) -> Findings:
    """Where two entries name one block, each gets a copy; an entry behind the end of the file is FREE again.

    Leaks are closed by moving the last blocks of the file; in an image that is corrupt, nothing moves.
    """
    before = check(image)
    if (not before.corruptions and not before.leaks) or (before.corruptions and leaks_only):
        return before
    live = LiveMap(image.file, image.header, image.access)
    if before.corruptions:
        _mend(live)
    live.store()
    live.file.sync()
    settling.settle(live)
    live.file.sync()
    image.header = live.header
    for detail in before.details:
        report(Note(f"repair {image.file.name}", detail))
    return check(image)


def _mend(image: LiveMap) -> None:
    limit = _limit(image)
    for entry in list(_parts(_named(image), limit, _FAR)):
        image.fill_entries(entry.block, entry.stretch.length, FREE)
    named = list(_named(image))
    target = Room(entry.stretch for entry in named).end
    for entry in _twice(named):
        for offset in range(entry.stretch.length):
            image.copy(entry.stretch.begin + offset, target)
            image.waiting[entry.block + offset] = target
            target += 1


def _named(image: VdiImage) -> Iterator[_Named]:
    for run in image.map_runs(0, image.header.blocks):
        if run.entry not in SPECIAL:
            yield _Named(Blocks(run.entry, run.entry + run.end - run.begin), run.begin)


def _limit(image: VdiImage) -> int:
    """Blocks that the file has, the last one maybe not to its end."""
    return max(divide_up(image.file.size - image.header.data_offset, image.header.stride), 0)


def _parts(named: Iterable[_Named], begin: int, end: int) -> Iterator[_Named]:
    """What of it names blocks [begin, end) of the file."""
    for stretch, block in named:
        first, last = max(stretch.begin, begin), min(stretch.end, end)
        if first < last:
            yield _Named(Blocks(first, last), block + first - stretch.begin)


def _twice(named: Iterable[_Named]) -> Iterator[_Named]:
    """What names blocks that others, which come first in the file or on the disk, name too."""
    reached = 0
    for entry in sorted(named):
        if entry.stretch.begin < reached:
            yield next(_parts([entry], 0, reached))
        reached = max(reached, entry.stretch.end)


def _is_cut(image: VdiImage, inside: Iterable[_Named], limit: int) -> _Named | None:
    """The block of the disk whose bytes the file does not have to the last."""
    for entry in _parts(inside, limit - 1, limit):
        seen = min(image.header.block_size, image.size - entry.block * image.header.block_size)
        if image.header.block_at(limit - 1) + seen > image.file.size:
            return entry
    return None


def _blocks(entry: _Named) -> str:
    last = entry.block + entry.stretch.length - 1
    return f"block {entry.block}" if last == entry.block else f"blocks {entry.block} to {last}"
