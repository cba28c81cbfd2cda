from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind
from virtkit.disk.places import MOST, Places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 64  # bytes of the disk


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[File]:
    path: Path = tmp_path_factory.mktemp("places") / "data"
    path.write_bytes(bytes(range(256)))
    opened = File.open(path)
    yield opened
    opened.close()


@st.composite
def lessons(draw: st.DrawFn) -> tuple[str, int, int, int]:
    start = draw(st.integers(0, SIZE - 1))
    return (
        draw(st.sampled_from(("learn", "forget"))),
        start,
        draw(st.integers(start + 1, SIZE)),
        draw(st.integers(0, 192)),
    )


@settings(max_examples=deep(200), deadline=None)
@given(script=st.lists(lessons(), max_size=12))
def test_what_was_learnt_last_is_read_and_nothing_that_was_forgotten(
    script: list[tuple[str, int, int, int]], file: File
) -> None:
    """Asked for every range: the answer is right or there is none, and there is one for every single byte known."""
    places, model = Places(), dict[int, int]()
    for what, start, end, at in script:
        if what == "learn":
            places.learn([Extent(start, end - start, Kind.DATA, file, at)])
            model.update((byte, at + byte - start) for byte in range(start, end))
        else:
            places.forget(start, end)
            model = {byte: value for byte, value in model.items() if not start <= byte < end}
    for start in range(SIZE):
        for end in range(start + 1, SIZE + 1):
            known = places.read(start, end - start)
            wanted = [model.get(byte) for byte in range(start, end)]
            assert known is None or list(known) == wanted
            assert (known is None) == (None in wanted) or end > start + 1


def test_only_plain_data_within_the_file_is_known(file: File) -> None:
    places = Places()
    places.learn([Extent(0, 8, Kind.ZERO, file, 0, preallocated=True), Extent(8, 8, Kind.DATA, file, 252)])
    assert places.read(0, 4) is None
    assert places.read(8, 4) == bytes(range(252, 256))
    assert places.read(8, 8) is None  # the file ends before
    assert places.read(-4, 4) is places.read(8, 0) is places.read(8, -1) is None


def test_what_is_known_is_bounded(file: File) -> None:
    places = Places()
    for number in range(2 * MOST):
        places.learn([Extent(2 * number, 1, Kind.DATA, file, 0)])
    assert sum(places.read(2 * number, 1) is not None for number in range(2 * MOST)) <= MOST + 1


def test_threads_read_while_another_one_learns(file: File) -> None:
    places, wrong = Places(), list[bytes]()

    def read() -> None:
        for _ in range(200):
            for at in range(SIZE):
                known = places.read(at, 1)
                if known not in {None, bytes([at])}:
                    wrong.append(known or b"")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    while any(reader.is_alive() for reader in readers):
        for at in (*range(0, SIZE, 4), *range(SIZE - 2, 0, -4)):
            places.learn([Extent(at, 2, Kind.DATA, file, at)])
            places.forget(at + 1, at + 2)
    assert not wrong
