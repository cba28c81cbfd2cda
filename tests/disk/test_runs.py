"""Runs and merging, against the plainest way to do the same."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import CorruptImageError
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind
from virtkit.disk.runs import Run, merged, read_table, runs

STEP = 65536
SPECIAL = (0, 1)

pieces = st.tuples(st.sampled_from([0, 1, 2, STEP, 7 * STEP, (1 << 63) | STEP]), st.integers(1, 1500), st.booleans())


def table_of(parts: list[tuple[int, int, bool]]) -> array[int]:
    table = array("Q")
    for first, length, climbs in parts:
        stride = STEP if climbs and first not in SPECIAL else 0
        table.extend(first + index * stride for index in range(length))
    return table


def plain_runs(table: array[int]) -> list[Run]:
    found: list[Run] = []
    for index, entry in enumerate(table):
        last = found[-1] if found else None
        if last and entry == last.entry + (index - last.begin) * last.stride:
            found[-1] = last._replace(end=index + 1)
        else:
            found.append(Run(index, index + 1, entry, 0 if entry in SPECIAL else STEP))
    return found


@given(st.lists(pieces, max_size=6))
def test_runs_are_those_that_a_look_at_every_entry_finds(parts: list[tuple[int, int, bool]]) -> None:
    table = table_of(parts)
    assert list(runs(table, 0, len(table), STEP, SPECIAL)) == plain_runs(table)


@given(st.lists(pieces, min_size=1, max_size=4), st.data())
def test_one_changed_entry_is_seen(parts: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    table = table_of(parts)
    table[data.draw(st.integers(0, len(table) - 1))] ^= 1 << data.draw(st.integers(0, 63))
    assert list(runs(table, 0, len(table), STEP, SPECIAL)) == plain_runs(table)


@given(st.lists(pieces, min_size=1, max_size=4), st.data())
def test_a_part_of_a_table_is_split_as_if_it_were_all(parts: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    table = table_of(parts)
    first = data.draw(st.integers(0, len(table)))
    last = data.draw(st.integers(first, len(table)))
    moved = [
        run._replace(begin=run.begin - first, end=run.end - first) for run in runs(table, first, last, STEP, SPECIAL)
    ]
    assert moved == plain_runs(table[first:last])


def test_narrow_tables_are_split_too() -> None:
    table = array("I", [*range(5, 3000), *[0xFFFFFFFF] * 1000])
    assert list(runs(table, 0, len(table), 1, (0xFFFFFFFF,))) == [Run(0, 2995, 5, 1), Run(2995, 3995, 0xFFFFFFFF, 0)]


def test_a_table_that_the_file_cuts_off_is_an_error(tmp_path: pytest.TempPathFactory) -> None:
    path = f"{tmp_path}/table"
    with open(path, "wb") as made:
        made.write(bytes(100))
    file = File.open(path)
    with pytest.raises(CorruptImageError, match=r"map is 60 bytes long, expected 64 bytes \(at byte 0x28\)"):
        read_table(file, "map", 40, 8, code="Q", endian="big")
    assert read_table(file, "map", 36, 8, code="Q", endian="big") == array("Q", bytes(64))
    file.close()


def test_only_true_neighbours_are_joined() -> None:
    hole = Extent(0, 10, Kind.HOLE)
    data = Extent(10, 10, Kind.DATA, None, 100)
    extents = [
        hole,
        data,
        data._replace(start=20, at=110),
        data._replace(start=30, at=200),
        data._replace(start=40, kind=Kind.ZERO, at=210, preallocated=True),
        data._replace(start=50, kind=Kind.ZERO, at=220, preallocated=True),
        data._replace(start=60, kind=Kind.ZERO, at=0),
        data._replace(start=70, kind=Kind.CODED, at=230),
        data._replace(start=80, kind=Kind.CODED, at=240),
    ]
    assert [(extent.start, extent.length) for extent in merged(extents)] == [
        (0, 10), (10, 20), (30, 10), (40, 20), (60, 10), (70, 10), (80, 10)
    ]  # fmt: skip
