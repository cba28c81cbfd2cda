"""An image's file made shorter in place: zeros give their room back, the tail moves forward, the file is cut."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.progress import Advanced, Finished, Sink, Started, silent
from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk import pieces
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import open_chain
from virtkit.disk.copying.hands import BUFFER, Memory
from virtkit.disk.format import CompactImage, Kind, LiveImage
from virtkit.disk.live import open_live, settled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.format import Extent, Image, Stretch

_AT_ONCE = 256 * MIB  # bytes of the disk between two signs of life


class Compacted(NamedTuple):
    """Numbers in bytes."""

    before: int  # what the image's files took on their file system
    after: int
    length_before: int  # how long they were
    length_after: int
    zeros: int  # of the disk, that held room and gave it back


def compact(
    path: str,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    *,
    dry_run: bool = False,
    report: Sink = silent,
) -> Compacted:
    """Give back the room of what reads as zeros or was discarded, and make the file as short as that allows.

    What a guest reads stays the same, and no second file is needed. A raw disk gets holes. It may be broken off at any
    moment (``report`` raises, Ctrl-C, SIGKILL): the image is sound, and starting again goes on. ``dry_run``: only
    count the zeros. NotSupportedError where the image cannot be written in place.
    """
    if dry_run:
        with open_chain(path, source_format, access._replace(shared=True)) as chain:
            image = chain.layers[0].image
            zeros = sum(end - start for start, end in _silent(image, _unit(image), report, path))
            allocated, length = _sizes(image)
            return Compacted(allocated, allocated, length, length, zeros)
    with open_live(path, source_format, access) as live:
        allocated, length = _sizes(live.top)
        zeros = 0
        for start, end in _silent(live.top, live.top.unit, report, path):
            live.top.discard(start, end - start)
            zeros += end - start
        live.flush()
        _move_tail(live.top, report)
        return Compacted(allocated, _sizes(live.top)[0], length, _sizes(live.top)[1], zeros)


def _move_tail(top: LiveImage, report: Sink) -> None:
    """Where the data has a fixed place (a raw disk, a flat or static image), holes are all that can be had."""
    if isinstance(top, CompactImage):
        with suppress(NotSupportedError):
            top.compact(report)
        top.flush()


def _unit(image: Image) -> int:
    return image.unit if isinstance(image, LiveImage) else max(image.facts.cluster_size or 0, 4096)


def _sizes(image: Image) -> tuple[int, int]:
    return sum(file.allocated for file in image.files), sum(file.size for file in image.files)


def _silent(image: Image, unit: int, report: Sink, name: str) -> Iterator[Stretch]:
    """Whole units that hold room and read as zeros; the caller may discard each before it asks for the next."""
    step = f"look for zeros in {name}"
    report(Started(step, image.size))
    memory = Memory(BUFFER, min(max(unit, 8), BUFFER))
    told = reached = 0
    for extent in settled(image, 0, image.size):
        for start, end in _within(extent, memory, image.size, unit):
            if start < end and end > reached:
                yield max(start, reached), end
                reached = end
        if extent.end - told >= _AT_ONCE:
            told = extent.end
            report(Advanced(step, told))
    report(Finished(step))


def _within(extent: Extent, memory: Memory, size: int, unit: int) -> Iterator[Stretch]:
    """Of one extent. Edges within a unit belong to units that hold something else too: they stay."""
    first = round_up(extent.start, unit)
    last = extent.end if extent.end == size else round_down(extent.end, unit)
    if first >= last:
        return
    if extent.kind is Kind.ZERO and extent.preallocated:
        yield first, last
    elif extent.kind is Kind.DATA:
        yield from _zeros(pieces.part(extent, first, last), memory, unit)


def _zeros(extent: Extent, memory: Memory, unit: int) -> Iterator[Stretch]:
    """Units without a byte other than zero; holes of the file are not read, nor the rest of a unit that has one."""
    reached = extent.start
    for job in pieces.jobs(pieces.stored([extent]), unit=min(unit, BUFFER), limit=BUFFER, end=extent.end):
        if job.start + job.length <= reached:
            continue
        pieces.fill(job, memory.view)
        for begin, end in memory.written(job.length):
            if reached < (start := round_down(job.start + begin, unit)):
                yield reached, start
            reached = min(round_up(job.start + end, unit), extent.end)
    if reached < extent.end:
        yield reached, extent.end
