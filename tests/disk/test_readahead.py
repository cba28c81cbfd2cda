from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.disk import readahead
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
SIZE = 3 * MIB - 77
CONTENT = bytes(range(251)) * (SIZE // 251) + bytes(SIZE % 251)


class Watched(File):
    """Remembers what was read."""

    __slots__ = ("reads",)

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self.reads: list[tuple[int, int]] = []

    def read_into(self, at: int, room: memoryview) -> int:
        self.reads.append((at, len(room)))
        return super().read_into(at, room)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    path: Path = tmp_path_factory.mktemp("readahead") / "stored"
    path.write_bytes(CONTENT)
    opened = Watched.open(path)
    yield opened
    opened.close()


def coded(file: File, *places: tuple[int, int]) -> list[Extent]:
    return [Extent(64 * KIB * number, 64 * KIB, Kind.CODED, file, *place) for number, place in enumerate(places)]


places = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 2 * MIB))
neighbours = st.lists(st.integers(1, 70 * KIB), max_size=60).map(
    lambda sizes: [(sum(sizes[:number]), size + 600) for number, size in enumerate(sizes)]
)


@given(found=st.one_of(st.lists(places, max_size=8), neighbours))
def test_each_extent_gets_what_the_file_holds_of_it(file: Watched, found: list[tuple[int, int]]) -> None:
    extents = coded(file, *found)
    seen = []
    for extent, stored in readahead.with_stored(extents):
        assert bytes(stored) == CONTENT[extent.at : extent.at + extent.stored]
        seen.append(extent)
    assert sorted(seen, key=lambda extent: extent.start) == extents


def test_neighbours_are_read_at_once_and_strangers_alone(file: Watched) -> None:
    file.reads.clear()
    extents = coded(file, (0, 9 * KIB), (9 * KIB, 5 * KIB), (2 * MIB, 4 * KIB), (MIB, 4 * KIB))
    plain = Extent(0, KIB, Kind.DATA, file, 0)
    list(readahead.with_stored([extents[1], plain, extents[0], *extents[2:]]))
    assert file.reads == [(0, 14 * KIB), (MIB, 4 * KIB), (2 * MIB, 4 * KIB)]


def test_memory_is_bounded_however_many_neighbours_there_are(file: Watched) -> None:
    file.reads.clear()
    list(readahead.with_stored(coded(file, *((at, 64 * KIB) for at in range(0, 2 * MIB, 64 * KIB)))))
    assert file.reads == [(0, MIB), (MIB, MIB)]
