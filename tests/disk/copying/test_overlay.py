"""What goes into an image on a backing image: whole units, each once, zeros told apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.units import round_down, round_up
from virtkit.disk import pieces
from virtkit.disk.copying import overlay
from virtkit.disk.copying.overlay import SILENT, Ground
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.pieces import Job

SECTOR, UNIT, LIMIT = 512, 4096, 16384
STORE = File(os.memfd_create("store"), "store")  # without holes: a hole is no data
STORE.write(0, b"x" * 200 * 1024)


class Drawn(NamedTuple):
    """A map that hypothesis drew."""

    map: list[Extent]
    size: int
    name: str = "drawn"
    layers: Sequence[Layer] = ()

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = self.size if length is None else start + length
        for extent in self.map:
            if max(extent.start, start) < min(extent.end, end):
                yield pieces.part(extent, max(extent.start, start), min(extent.end, end))


@st.composite
def sources(draw: st.DrawFn) -> Drawn:
    found: list[Extent] = []
    at = 0
    for _ in range(draw(st.integers(0, 8))):
        length = SECTOR * draw(st.integers(1, 40))
        kind = draw(st.sampled_from([Kind.DATA, Kind.ZERO, Kind.HOLE]))
        file = STORE if kind is Kind.DATA else None
        found.append(Extent(at, length, kind, file, at, depth=draw(st.integers(0, 2))))
        at += length
    return Drawn(found, at)


def jobs(source: Drawn, ground: Ground, end: int) -> list[Job]:
    return list(overlay.jobs(source, ground, unit=UNIT, limit=LIMIT, end=end, dense=True))


@given(source=sources(), own=st.integers(1, 3), below=st.integers(0, 60), more=st.integers(0, 9))
def test_every_byte_that_matters_is_in_one_job(source: Drawn, own: int, below: int, more: int) -> None:
    ground, end = Ground(own, SECTOR * below), source.size + SECTOR * more
    found = jobs(source, ground, end)
    reached = 0
    for job in found:
        assert job.start >= reached
        assert job.start % UNIT == 0
        assert job.length > 0
        reached = job.start + job.length
        assert reached % UNIT == 0 or reached == end
        assert job.start // LIMIT == (reached - 1) // LIMIT
    covered = {at for job in found for at in range(job.start, job.start + job.length, SECTOR)}
    assert {at for at in range(0, end, SECTOR) if _matters(source, ground, at)} <= covered
    needless = covered - {at for at in range(0, end, SECTOR) if _unit_matters(source, ground, at, end)}
    assert not needless


def _matters(source: Drawn, ground: Ground, at: int) -> bool:
    """Whether the backing image alone would show something else there, for all that is known."""
    if at >= source.size:
        return at < ground.size
    extent = next(source.extents(at, SECTOR))
    if extent.depth < ground.own:
        return extent.kind not in SILENT or at < ground.size
    return extent.kind not in SILENT and at >= ground.size


def _unit_matters(source: Drawn, ground: Ground, at: int, end: int) -> bool:
    first = round_down(at, UNIT)
    return any(_matters(source, ground, sector) for sector in range(first, min(first + UNIT, end), SECTOR))


@given(source=sources(), own=st.integers(1, 3), below=st.integers(0, 60))
def test_zeros_of_any_length_are_one_job_without_pieces(source: Drawn, own: int, below: int) -> None:
    ground = Ground(own, SECTOR * below)
    for job in overlay.jobs(source, ground, unit=UNIT, limit=LIMIT, end=source.size):
        stored = [extent for extent in source.extents(job.start, job.length) if extent.kind is Kind.DATA]
        assert sum(piece.length for piece in job.pieces) == sum(extent.length for extent in stored)
        assert job.pieces or not stored


def test_a_terabyte_of_zeros_is_one_job() -> None:
    zeros = Drawn([Extent(0, 1 << 40, Kind.ZERO)], 1 << 40)
    [job] = overlay.jobs(zeros, Ground(1, 1 << 40), unit=UNIT, limit=LIMIT, end=1 << 40)
    assert (job.start, job.length, job.pieces) == (0, round_up(1 << 40, UNIT), [])
