from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import run
from support.mounts import plain_file_system, small_file_system
from virtkit.core.errors import SystemCallError
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MIB = 1 << 20

BLOCK = 64 << 10  # bytes; no file system has larger ones by default
SEVERAL = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SEVERAL
@given(blocks=st.lists(st.booleans(), max_size=12), start=st.integers(0, 12 * BLOCK), length=st.integers(0, 12 * BLOCK))
def test_data_is_told_and_holes_are_left_out(blocks: list[bool], start: int, length: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as made:
        for number, written in enumerate(blocks):
            if written:
                made.seek(number * BLOCK)
                made.write(b"x" * BLOCK)
        made.truncate(len(blocks) * BLOCK)
    end = min(start + length, len(blocks) * BLOCK)
    file = File.open(path)
    told = [at for begin, stop in file.data(start, end) for at in range(begin, stop)]
    file.close()
    assert told == [at for at in range(start, end) if blocks[at // BLOCK]]


def test_reads_less_only_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = File.open(tmp_path / "file")
    room = bytearray(b"-" * 8)
    assert file.read(4, 100) == b"456789"
    assert file.read_into(6, memoryview(room)) == 4
    assert bytes(room) == b"6789----"
    assert file.read_into(10, memoryview(room)) == 0
    file.close()


def test_two_names_of_one_file_are_one_identity(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    file, link, other = (File.open(tmp_path / name) for name in ("file", "link", "other"))
    assert file.identity == link.identity != other.identity
    for opened in (file, link, other):
        opened.close()


def test_a_refused_write_names_the_file_and_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    file = File.open(tmp_path / "file")
    with pytest.raises(SystemCallError, match="file: write at 0x10"):
        file.write(16, b"x")
    file.close()


def test_room_is_reserved_where_that_helps_and_the_size_stays(tmp_path: Path) -> None:
    """Other file systems are left alone: tmpfs would fill its memory with zeros."""
    with small_file_system(tmp_path / "memory", size=MIB) as memory, (tmp_path / "ext4").open("wb") as store:
        store.truncate(16 * MIB)
        run("mkfs.ext4", "-q", tmp_path / "ext4")
        (tmp_path / "disk").mkdir()
        run("mount", "-o", "loop", tmp_path / "ext4", tmp_path / "disk")
        try:
            taken = [_taken_by_a_reserve(folder / "file") for folder in (memory, tmp_path / "disk")]
        finally:
            run("umount", tmp_path / "disk")
    assert taken == [0, BLOCK]


def _taken_by_a_reserve(path: Path) -> int:
    path.touch()
    file = File.open(path, writable=True)
    file.reserve(4096, BLOCK)
    taken = file.allocated
    file.reserve(0, 1 << 40)  # more than there is: no error, the write will say so
    assert file.size == 0
    file.close()
    return taken


@contextmanager
def loop_device(store: Path, size: int) -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    store.touch()
    os.truncate(store, size)
    device = run("losetup", "--find", "--show", store).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@pytest.fixture(params=["file", "tmpfs", "plain", "device"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a file of two megabytes is, with holes or without; or a block device."""
    with ExitStack() as stack:
        if request.param == "device":
            yield stack.enter_context(loop_device(tmp_path / "store", 2 * MIB))
            return
        folder = tmp_path
        if request.param == "tmpfs":
            folder = stack.enter_context(small_file_system(tmp_path / "at", size=8 * MIB))
        elif request.param == "plain":
            folder = stack.enter_context(plain_file_system(tmp_path / "at"))
        (folder / "file").touch()
        os.truncate(folder / "file", 2 * MIB)
        yield str(folder / "file")


@st.composite
def changes(draw: st.DrawFn) -> tuple[str, int, int]:
    what = draw(st.sampled_from(("write", "write", "zero", "discard", "allocate", "reserve")))
    start = draw(st.integers(0, 2 * MIB))
    length = draw(st.one_of(st.integers(0, 5000), st.integers(0, 2 * MIB)))
    return what, start, min(length, 2 * MIB - start)


@settings(max_examples=deep(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(changes(), max_size=10))
def test_any_changes_leave_what_a_plain_array_would_hold(script: list[tuple[str, int, int]], place: str) -> None:
    """A discarded stretch holds what it held, or zeros."""
    file = File.open(place, writable=True)
    try:
        file.write(0, bytes(2 * MIB))
        model = bytearray(2 * MIB)
        for number, (what, start, length) in enumerate(script):
            stretch = slice(start, start + length)
            if what == "write":
                model[stretch] = bytes([number + 1]) * length
                file.write(start, model[stretch])
            elif what == "zero":
                model[stretch] = bytes(length)
                file.zero(start, length)
            elif what == "allocate" and not file.is_device and length:
                file.allocate(start, length)
            elif what == "reserve":
                file.reserve(start, length)
            elif what == "discard":
                file.discard(start, length)
                kept = file.read(start, length)
                assert all(now in {0, before} for now, before in zip(kept, model[stretch], strict=True))
                model[stretch] = kept
            file.sync_data()
            assert file.read(0, 3 * MIB) == model
        assert file.size == 2 * MIB
    finally:
        file.close()


def test_zeros_behind_the_end_do_not_make_a_file_longer(tmp_path: Path) -> None:
    with plain_file_system(tmp_path / "plain") as plain:
        for folder in (tmp_path, plain):
            (folder / "file").write_bytes(b"0123456789")
            file = File.open(folder / "file", writable=True)
            file.zero(8, 100)
            file.discard(50, 100)
            assert file.read(0, 100) == b"01234567\0\0"
            file.close()


def test_zeros_and_discards_give_room_back_and_allocating_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4 * MIB)
    file = File.open(path, writable=True)
    file.sync()
    before = file.allocated
    file.zero(0, MIB)
    file.discard(MIB, MIB)
    assert file.allocated == before - 2 * MIB
    file.allocate(0, 6 * MIB)
    assert file.size == 6 * MIB
    assert file.allocated >= 6 * MIB
    assert file.read(2 * MIB, 6 * MIB) == b"x" * 2 * MIB + bytes(2 * MIB)
    file.close()


def test_what_finds_no_room_is_told_with_a_hint(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=MIB) as folder:
        path = folder / "file"
        path.touch()
        file = File.open(path, writable=True)
        attempts: tuple[Callable[[], None], ...] = (
            partial(file.allocate, 0, 2 * MIB),
            partial(file.write, 0, bytes(2 * MIB)),
        )
        for refused in attempts:
            with pytest.raises(SystemCallError, match="no space left on device") as full:
                refused()
            assert full.value.hint == f"df -h {folder}"
        file.close()


def test_every_refusal_is_translated(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4096))
    file = File.open(tmp_path / "file")  # for reading
    attempts: dict[str, Callable[[], None]] = {
        "write at 0x1": partial(file.write, 1, b"x"),
        "write zeros at 0x2": partial(file.zero, 2, 1),
        "discard at 0x3": partial(file.discard, 3, 1),
        "allocate 5 bytes at 0x4": partial(file.allocate, 4, 5),
        "resize to 6 bytes": partial(file.resize, 6),
    }
    for doing, attempt in attempts.items():
        with pytest.raises(SystemCallError, match=f"file: {doing}: "):
            attempt()
    file.close()


def test_a_block_device_is_opened_written_and_measured(tmp_path: Path) -> None:
    with loop_device(tmp_path / "store", MIB) as device:
        file = File.open(device, writable=True)
        assert (file.is_device, file.size, file.allocated) == (True, MIB, MIB)
        file.write(MIB - 3, b"end")
        file.sync()
        assert file.read(MIB - 4, 10) == b"\0end"
        assert list(file.data(0, MIB)) == [(0, MIB)]
        file.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can be had by root alone")
def test_a_file_that_may_not_be_read_is_told_with_a_way_to_see_why(tmp_path: Path) -> None:
    image = tmp_path / "secret.raw"
    image.write_bytes(b"x" * 512)
    os.seteuid(65534)
    try:
        with pytest.raises(SystemCallError, match="permission denied") as told:
            File.open(image)
    finally:
        os.seteuid(0)
    assert told.value.hint == f"ls -l {image}; id"


@SEVERAL
@given(sizes=st.lists(st.integers(0, 3000), max_size=40), many=st.sampled_from([1, 60]), at=st.integers(0, 5000))
def test_parts_are_written_one_behind_the_other(tmp_path: Path, sizes: list[int], many: int, at: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    parts = [bytes([number % 251 + 1]) * size for number, size in enumerate(sizes * many)]
    file = File.open(path, writable=True)
    file.write_parts(at, parts)
    file.close()
    whole = b"".join(parts)
    assert path.read_bytes() == (bytes(at) + whole if whole else b"")


def test_parts_for_which_there_is_no_room_say_so(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=MIB) as folder:
        path = folder / "file"
        path.touch()
        file = File.open(path, writable=True)
        with pytest.raises(SystemCallError) as raised:
            file.write_parts(0, [bytes(64 << 10)] * 40)
        file.close()
        assert "df -h" in raised.value.hint
