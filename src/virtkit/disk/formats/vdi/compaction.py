"""Blocks of zeros leave a VDI image; the rest moves together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.disk.formats.vdi.layout import SPECIAL, STATIC, ZERO
from virtkit.disk.formats.vdi.room import Blocks
from virtkit.disk.formats.vdi.settling import settle

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.formats.vdi.livemap import LiveMap

_STEP = 4 << 20  # bytes read at once
_NAME = "look for zeros"


def compact(image: LiveMap, report: Sink) -> None:
    """NotSupportedError for static images, which have a place for every block."""
    if image.header.image_type == STATIC:
        raise NotSupportedError(
            f"{image.file.name}: is a static VDI image, which keeps room for every block",
            hint=f"virtkit disk convert {image.file.name} smaller.vdi",
        )
    image.store()
    room = image.find_room()
    try:
        _drop_zeros(image, report)
    finally:
        image.file.sync()
        room.reclaim()
    settle(image, report)


def _drop_zeros(image: LiveMap, report: Sink) -> None:
    room, done = image.find_room(), 0
    report(Started(_NAME, (room.end - room.holes) * image.unit))
    for run in image.map_runs(0, image.header.blocks):
        if run.entry in SPECIAL:
            continue
        for block in range(run.begin, run.end):
            index = run.entry + block - run.begin
            if _is_zero(image, index):
                image.fill_entries(block, 1, ZERO)
                room.release(Blocks(index, index + 1))
            done += image.unit
            if done % _STEP == 0:
                report(Advanced(_NAME, done))
    report(Finished(_NAME))


def _is_zero(image: LiveMap, index: int) -> bool:
    start = image.header.block_at(index)
    for begin, stop in image.file.data(start, start + image.unit):
        for at in range(begin, stop, _STEP):
            data = image.file.read(at, min(_STEP, stop - at))
            if data.count(0) != len(data):
                return False
    return True
