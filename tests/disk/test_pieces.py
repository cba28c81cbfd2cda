from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from virtkit.disk import pieces
from virtkit.disk.format import Extent, Kind


@st.composite
def maps(draw: st.DrawFn) -> list[Extent]:
    """Extents of all kinds, without gaps, in bytes of any number."""
    extents: list[Extent] = []
    start = 0
    for length in draw(st.lists(st.integers(1, 5000), max_size=12)):
        extents.append(Extent(start, length, draw(st.sampled_from(list(Kind))), at=3 * start))
        start += length
    return extents


def loud(extents: list[Extent]) -> list[Extent]:
    return [extent for extent in extents if extent.kind in (Kind.DATA, Kind.CODED)]


def bytes_of(extents: list[Extent]) -> list[tuple[int, Kind, int]]:
    """Every single byte, its kind and where it is stored."""
    return [
        (extent.start + n, extent.kind, extent.skip + n if extent.kind is Kind.CODED else extent.at + n)
        for extent in extents
        for n in range(extent.length)
    ]


@given(maps(), st.integers(1, 3000))
def test_cutting_changes_no_byte(extents: list[Extent], limit: int) -> None:
    cut = list(pieces.cut(extents, limit))
    assert bytes_of(cut) == bytes_of(extents)
    assert all(piece.start // limit == (piece.end - 1) // limit for piece in cut)


@given(maps(), st.sampled_from((1, 64, 512)), st.integers(1, 6))
def test_jobs_hold_all_data_in_whole_units_and_never_overlap(extents: list[Extent], unit: int, units: int) -> None:
    limit, end = unit * units, extents[-1].end if extents else 0
    jobs = list(pieces.jobs(loud(extents), unit=unit, limit=limit, end=end))
    assert bytes_of([piece for job in jobs for piece in job.pieces]) == bytes_of(loud(extents))
    for job in jobs:
        stop = job.start + job.length
        assert job.start % unit == 0
        assert stop % unit == 0 or stop == end
        assert job.start // limit == (stop - 1) // limit
        assert job.start <= job.pieces[0].start < job.start + unit
        assert all(job.start <= piece.start and piece.end <= stop for piece in job.pieces)
    assert all(one.start + one.length <= other.start for one, other in pairwise(jobs))
