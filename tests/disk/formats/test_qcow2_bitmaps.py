"""Dirty bitmaps: what QEMU stored is read, what we store QEMU reads, and writes are recorded as QEMU records them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import run
from virtkit import disk
from virtkit.core.errors import ImageError, NotFoundError, NotSupportedError, UsageError
from virtkit.disk import chain
from virtkit.disk.dirtymaps import Step
from virtkit.disk.format import Bitmap, BitmapImage
from virtkit.disk.formats.qcow2 import bitmaps as qcow2
from virtkit.disk.formats.qcow2.dirtybits import bits_of, merged, runs_of, united
from virtkit.disk.formats.qcow2.image import Qcow2Image
from virtkit.disk.mending import repair as mending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from virtkit.disk.format import Stretch

pytestmark = pytest.mark.qemu
KIB, MIB = 1 << 10, 1 << 20
SIZE = 20 * MIB + 5 * 512
KINDS = ("cluster_size=512", "extended_l2=on,refcount_bits=1")
PAIRS = st.tuples(st.integers(0, 99), st.integers(1, 9))
SEVERAL = settings(max_examples=deep(2), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def create(folder: Path, options: str = "cluster_size=64k", size: int = SIZE) -> Path:
    path = folder / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, str(size))
    return path


def bitmaps(path: Path) -> list[Bitmap]:
    layer = chain.open_image(str(path))
    try:
        assert isinstance(layer.image, BitmapImage)
        return layer.image.bitmaps()
    finally:
        layer.image.close()


def ours(path: Path, name: str) -> list[Stretch]:
    layer = chain.open_image(str(path))
    try:
        assert isinstance(layer.image, BitmapImage)
        return list(layer.image.read_bitmap(name))
    finally:
        layer.image.close()


def theirs(path: Path, name: str) -> list[Stretch]:
    """As qemu-nbd exports it; it refuses bitmaps that record, so a copy is asked."""
    copy = shutil.copyfile(path, path.with_name("asked.qcow2"))
    run("qemu-img", "bitmap", "--disable", copy, name)
    socket = path.with_name("nbd.sock")
    server = subprocess.Popen(["qemu-nbd", "-r", "-f", "qcow2", "-B", name, "-k", socket, copy])
    try:
        until = time.monotonic() + 20
        while not socket.exists() and time.monotonic() < until:
            time.sleep(0.01)
        wanted = f"--map=qemu:dirty-bitmap:{name}"
        told = json.loads(run("nbdinfo", "--json", wanted, f"nbd+unix:///?socket={socket}"))
    finally:
        server.wait(20)
    return list(merged(((one["offset"], one["offset"] + one["length"]) for one in told if one["type"]), SIZE * 9))


def store(path: Path, bitmap: Bitmap, dirty: Sequence[Stretch]) -> None:
    with disk.open(str(path), "r+") as opened:
        opened.top.store_bitmap(bitmap, dirty)  # type: ignore[attr-defined]  # qcow2 has it
    assert "No errors" in run("qemu-img", "check", path)


def stretches() -> st.SearchStrategy[list[Stretch]]:
    """Ordered, apart, within the disk."""
    edges = st.lists(st.integers(0, SIZE // 512), max_size=16, unique=True).map(sorted)
    return edges.map(lambda at: [(512 * a, 512 * b) for a, b in zip(at[::2], at[1::2], strict=False)])


def rounded(dirty: Sequence[Stretch], granularity: int, size: int = SIZE) -> list[Stretch]:
    return list(merged(((a // granularity * granularity, -(-b // granularity) * granularity) for a, b in dirty), size))


@given(st.binary(max_size=300))
def test_bits_are_runs_and_runs_are_bits(data: bytes) -> None:
    runs = list(runs_of(data))
    assert bits_of(runs, len(data)) == data
    assert all(one[1] < other[0] for one, other in pairwise(runs))


@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9))),
    st.lists(st.tuples(st.integers(0, 99), st.integers(1, 9))),
)
def test_two_rows_are_united(one: list[Stretch], other: list[Stretch]) -> None:
    def row(pairs: list[Stretch]) -> list[Stretch]:
        return list(united(sorted((at, at + length) for at, length in pairs), ()))

    def bits(pairs: Sequence[Stretch]) -> set[int]:
        return {bit for begin, end in pairs for bit in range(begin, end)}

    both = list(united(row(one), row(other)))
    assert bits(both) == bits(row(one)) | bits(row(other))
    assert all(before[1] < after[0] for before, after in pairwise(both))


@pytest.mark.parametrize("options", KINDS)
@SEVERAL
@given(dirty=stretches(), bits=st.integers(9, 21))
def test_what_qemu_recorded_is_read(options: str, dirty: list[Stretch], bits: int, tmp_path: Path) -> None:
    path = create(tmp_path, options)
    run("qemu-img", "bitmap", "--add", "-g", str(1 << bits), path, "daily")
    if dirty:
        writes = [word for start, end in dirty for word in ("-c", f"write {start} {end - start}")]
        run("qemu-io", "-f", "qcow2", *writes, path)
    assert ours(path, "daily") == theirs(path, "daily") == rounded(dirty, 1 << bits)


@pytest.mark.parametrize("options", KINDS)
@SEVERAL
@given(dirty=stretches(), bits=st.integers(9, 31), enabled=st.booleans())
def test_what_we_store_is_read_by_qemu(
    *,
    options: str,
    dirty: list[Stretch],
    bits: int,
    enabled: bool,
    tmp_path: Path,
) -> None:
    path = create(tmp_path, options)
    for name in ("daily", "weekly", "daily"):  # the last replaces the first
        store(path, Bitmap(name, 1 << bits, enabled=enabled), dirty)
    told = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]["data"]["bitmaps"]
    flags = ["auto"] if enabled else []
    assert told == [{"flags": flags, "name": name, "granularity": 1 << bits} for name in ("daily", "weekly")]
    assert theirs(path, "daily") == ours(path, "daily") == rounded(dirty, 1 << bits)


@pytest.mark.parametrize("options", KINDS)
@SEVERAL
@given(dirty=stretches(), before=stretches())
def test_what_is_written_is_recorded_and_no_more_than_by_qemu(
    options: str, dirty: list[Stretch], before: list[Stretch], tmp_path: Path
) -> None:
    path = create(tmp_path, options)
    store(path, Bitmap("daily", 64 * KIB), before)
    store(path, Bitmap("off", 64 * KIB, enabled=False), before)
    twin = shutil.copyfile(path, tmp_path / "twin.qcow2")
    verbs = ("write", "write -z", "discard")
    commands = [f"{verbs[number % 3]} {start} {end - start}" for number, (start, end) in enumerate(dirty)]
    if commands:
        run("qemu-io", "-f", "qcow2", *(word for command in commands for word in ("-c", command)), twin)
    with disk.open(str(path), "r+") as opened:
        for number, (start, end) in enumerate(dirty):
            if number % 3 == 0:
                opened.write(start, b"x" * (end - start))
            else:
                (opened.zero, opened.discard)[number % 3 - 1](start, end - start)
            if number == 2:
                opened.flush()
    assert "No errors" in run("qemu-img", "check", path)
    mine, wanted = ours(path, "daily"), ours(twin, "daily")
    assert list(united(mine, wanted)) == wanted
    assert list(united(mine, [*changed(path), *rounded(dirty[::3], 64 * KIB)])) == mine
    assert ours(path, "off") == rounded(before, 64 * KIB)
    assert not any(bitmap.broken for bitmap in bitmaps(path))


def changed(path: Path) -> list[Stretch]:
    """Blocks of the disk, which was empty, that hold something now."""
    with disk.open(str(path)) as opened:
        blocks = [at for at in range(0, SIZE, 64 * KIB) if opened.read(at, 64 * KIB).strip(b"\0")]
    return list(merged(((at, at + 64 * KIB) for at in blocks), SIZE))


def test_a_bitmap_that_records_is_in_use_while_it_does(tmp_path: Path) -> None:
    path = create(tmp_path)
    store(path, Bitmap("daily", 64 * KIB), [])
    with disk.open(str(path), "r+") as opened:
        opened.write(MIB, b"x")
        seen = shutil.copyfile(path, tmp_path / "seen.qcow2")
        assert [bitmap.broken for bitmap in bitmaps(seen)] == [True]
        with pytest.raises(ImageError, match="daily is broken"):
            ours(seen, "daily")
        assert list(opened.top.read_bitmap("daily")) == [(MIB, MIB + 64 * KIB)]  # type: ignore[attr-defined]  # qcow2 has it
        opened.flush()
        seen = shutil.copyfile(path, tmp_path / "seen.qcow2")
        assert ours(seen, "daily") == [(MIB, MIB + 64 * KIB)]


@pytest.mark.parametrize("size", [SIZE - 9 * MIB, SIZE + 3 * MIB, 2 * SIZE])
def test_bitmaps_follow_the_size_of_the_disk(size: int, tmp_path: Path) -> None:
    path = create(tmp_path, "cluster_size=512")
    store(path, Bitmap("daily", 512), [(0, 512), (MIB, 15 * MIB), (SIZE - 512, SIZE)])
    with disk.open(str(path), "r+") as opened:
        opened.write(2048, b"x")
        opened.resize(size)
        opened.write(4096, b"x")
    assert "No errors" in run("qemu-img", "check", path)
    kept = [(0, 512), (2048, 2560), (4096, 4608), (MIB, min(15 * MIB, size)), (SIZE - 512, SIZE)]
    assert ours(path, "daily") == theirs(path, "daily") == [one for one in kept if one[0] < size]


@SEVERAL
@given(one=stretches(), other=stretches(), bits=st.tuples(st.integers(9, 20), st.integers(9, 20)))
def test_bitmaps_are_merged_as_qemu_img_merges_them(
    one: list[Stretch], other: list[Stretch], bits: tuple[int, int], tmp_path: Path
) -> None:
    path = create(tmp_path)
    store(path, Bitmap("one", 1 << bits[0], enabled=False), one)
    store(path, Bitmap("other", 1 << bits[1], enabled=False), other)
    twin = shutil.copyfile(path, tmp_path / "twin.qcow2")
    disk.edit_bitmap(str(path), "one", [Step("merge", "other")])
    run("qemu-img", "bitmap", "--merge", "other", twin, "one")
    assert "No errors" in run("qemu-img", "check", path)
    assert ours(path, "one") == theirs(twin, "one")


def test_steps_are_done_one_after_the_other(tmp_path: Path) -> None:
    path = create(tmp_path)
    disk.edit_bitmap(str(path), "daily", [Step("add"), Step("disable")], granularity=4096)
    assert bitmaps(path) == [Bitmap("daily", 4096, enabled=False)]
    disk.edit_bitmap(str(path), "daily", [Step("enable")])
    with disk.open(str(path), "r+") as opened:
        opened.write(0, b"x")
    assert ours(path, "daily") == [(0, 4096)]
    disk.edit_bitmap(str(path), "daily", [Step("clear")])
    assert ours(path, "daily") == []
    assert bitmaps(path) == [Bitmap("daily", 4096)]
    disk.edit_bitmap(str(path), "daily", [Step("remove")])
    assert bitmaps(path) == []
    assert "No errors" in run("qemu-img", "check", path)
    assert "bitmaps" not in run("qemu-img", "info", path)


def test_another_image_may_hold_what_is_merged(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path, other = create(tmp_path), create(tmp_path / "other")
    store(other, Bitmap("weekly", 4096), [(MIB, 2 * MIB)])
    disk.edit_bitmap(str(path), "daily", [Step("add")])
    disk.edit_bitmap(str(path), "daily", [Step("merge", "weekly")], other=(str(other), "qcow2"))
    assert ours(path, "daily") == [(MIB, 2 * MIB)]


def test_a_broken_bitmap_can_only_be_removed(tmp_path: Path) -> None:
    path = create(tmp_path)
    store(path, Bitmap("daily", 64 * KIB, broken=True), [])
    for verb in ("clear", "enable", "disable"):
        with pytest.raises(ImageError, match="daily is broken") as caught:
            disk.edit_bitmap(str(path), "daily", [Step(verb)])
        assert "--remove" in caught.value.hint
    disk.edit_bitmap(str(path), "daily", [Step("remove")])
    assert bitmaps(path) == []


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = create(tmp_path)
    disk.edit_bitmap(str(path), "daily", [Step("add")])
    before = path.read_bytes()
    refused: list[tuple[str, Step, int | None, type[Exception], str]] = [
        ("daily", Step("add"), None, UsageError, "exists already"),
        ("gone", Step("remove"), None, NotFoundError, "has no bitmap gone"),
        ("gone", Step("clear"), None, NotFoundError, "has no bitmap gone"),
        ("daily", Step("merge", "gone"), None, NotFoundError, "has no bitmap gone"),
        ("new", Step("add"), 256, UsageError, "granularity is 256 B"),
        ("new", Step("add"), 3 * KIB, UsageError, "power of two"),
        ("", Step("add"), None, UsageError, "1 to 1023 bytes"),
        ("n" * 1024, Step("add"), None, UsageError, "1 to 1023 bytes"),
    ]
    for name, step, granularity, kind, said in refused:
        with pytest.raises(kind, match=said):
            disk.edit_bitmap(str(path), name, [step], granularity=granularity)
        assert path.read_bytes() == before


def test_the_older_version_keeps_none(tmp_path: Path) -> None:
    path = create(tmp_path, "compat=0.10")
    with pytest.raises(NotSupportedError, match="version 2") as caught:
        disk.edit_bitmap(str(path), "daily", [Step("add")])
    assert "amend -o compat=1.1" in caught.value.hint


def where_the_directory_is(image: Qcow2Image) -> tuple[int, int]:
    found = qcow2.directory(image.head, image.file.name)
    assert found
    return found.directory_offset, found.directory_size


@SEVERAL
@given(data=st.data())
def test_a_directory_and_tables_that_lie_are_clear_errors_and_are_mended(data: st.DataObject, tmp_path: Path) -> None:
    path = create(tmp_path, "cluster_size=4k")
    for name in ("daily", "weekly"):
        store(path, Bitmap(name, 512, enabled=False), [(MIB, 2 * MIB), (7 * MIB, 7 * MIB + 512)])
    layer = chain.open_image(str(path))
    assert isinstance(layer.image, Qcow2Image)
    places = [where_the_directory_is(layer.image)]
    places += [
        (one.entry.table_offset, 8 * one.entry.table_size) for one in qcow2.read(layer.image.file, layer.image.head)
    ]
    layer.image.close()
    with path.open("r+b") as file:
        for _ in range(data.draw(st.integers(1, 3))):
            at, size = data.draw(st.sampled_from(places))
            file.seek(at + data.draw(st.integers(0, size - 1)))
            file.write(data.draw(st.binary(min_size=1, max_size=8))[:size])
    try:
        for bitmap in bitmaps(path):
            ours(path, bitmap.name)
    except ImageError as error:
        assert str(path) in error.message  # noqa: PT017  most of it is none
    mending.repair(str(path))
    assert "No errors" in run("qemu-img", "check", path)
    for bitmap in bitmaps(path):
        if not bitmap.broken:
            ours(path, bitmap.name)
