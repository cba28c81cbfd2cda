"""What an image on a backing image has to hold itself: whole units, zeros among them told as zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import round_down, round_up
from virtkit.disk import pieces
from virtkit.disk.format import Extent, Kind
from virtkit.disk.pieces import Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.copying.source import Source

SILENT = (Kind.ZERO, Kind.HOLE)


class Ground(NamedTuple):
    """What the new image stands on."""

    own: int  # layers of the source, from the top, that the new image replaces; what lies deeper is its backing image's
    size: int  # bytes; of the backing image: behind its end there are zeros


class _Need(NamedTuple):
    """A stretch that the new image must say something about."""

    start: int
    end: int
    silent: bool  # zeros


def jobs(source: Source, ground: Ground, *, unit: int, limit: int, end: int, dense: bool = False) -> Iterator[Job]:
    """In order, in whole units or up to ``end``. A job without pieces is zeros and may be of any length.

    Where a unit is the new image's only in part, the rest of it is what the source has there. With ``dense`` zeros
    are pieces like others.
    """
    for need in _joined(_whole(_needs(source, ground, end), unit, end)):
        if need.silent and not dense:
            yield Job(need.start, need.end - need.start, [])
            continue
        start = need.start
        while start < need.end:
            stop = min(round_down(start, limit) + limit, need.end)
            yield Job(start, stop - start, _pieces(source, start, stop, dense=dense))
            start = stop


def _pieces(source: Source, start: int, stop: int, *, dense: bool) -> list[Extent]:
    there = source.extents(start, max(min(stop, source.size) - start, 0))
    if not dense:
        return list(pieces.stored(there))
    return list(there) or [Extent(start, stop - start, Kind.ZERO)]


def _needs(source: Source, ground: Ground, end: int) -> Iterator[_Need]:
    for extent in _split(source.extents(), ground.size):
        silent, above = extent.kind in SILENT, extent.start < ground.size
        if extent.depth < ground.own and (above or not silent):
            yield _Need(extent.start, extent.end, silent)
        elif not above and not silent:  # the backing image is too short for what the source has below
            yield _Need(extent.start, extent.end, silent=False)
    if source.size < min(ground.size, end):  # the new disk is longer than its source
        yield _Need(source.size, min(ground.size, end), silent=True)


def _split(extents: Iterable[Extent], at: int) -> Iterator[Extent]:
    for extent in extents:
        if extent.start < at < extent.end:
            yield pieces.part(extent, extent.start, at)
            yield pieces.part(extent, at, extent.end)
        else:
            yield extent


def _whole(needs: Iterable[_Need], unit: int, end: int) -> Iterator[_Need]:
    """Zeros keep the whole units within; a unit that they share is data."""
    reached = 0
    for need in needs:
        for part in _parts(need, unit, end):
            start = max(part.start, reached)
            if start < part.end:
                yield part._replace(start=start)
                reached = part.end


def _parts(need: _Need, unit: int, end: int) -> list[_Need]:
    outer_start, outer_end = round_down(need.start, unit), min(round_up(need.end, unit), end)
    inner_start = round_up(need.start, unit)
    inner_end = need.end if need.end == end else round_down(need.end, unit)
    if not need.silent or inner_start >= inner_end:
        return [_Need(outer_start, outer_end, silent=False)]
    return [
        _Need(outer_start, inner_start, silent=False),
        _Need(inner_start, inner_end, silent=True),
        _Need(inner_end, outer_end, silent=False),
    ]


def _joined(needs: Iterable[_Need]) -> Iterator[_Need]:
    waiting: _Need | None = None
    for need in needs:
        if waiting and waiting.end == need.start and waiting.silent == need.silent:
            waiting = waiting._replace(end=need.end)
            continue
        if waiting:
            yield waiting
        waiting = need
    if waiting:
        yield waiting
