"""Writing to a qcow2 image in place: what is refused, what the header says, what odd images need."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import pytest

from support.images import KIB, MIB, read_by_qemu, run
from support.qcow2 import Make, assert_clean, corruptions
from support.reading import content, open_with
from virtkit.core.errors import CorruptImageError, ImageError, NotSupportedError, UsageError
from virtkit.disk.access import Access
from virtkit.disk.file import File
from virtkit.disk.format import Kind, LiveImage, Reference
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.formats.qcow2.layout import OFFSET, Features, Header, Incompatible

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SIZE = 4 * MIB
INCOMPATIBLE = Header.SIZE + Features.offset_of("incompatible")
AUTOCLEAR = Header.SIZE + Features.offset_of("autoclear")


def image_of(folder: Path, options: str = "", size: int = SIZE) -> Path:
    path = folder / "image.qcow2"
    chosen = ["-o", options.format(folder=folder)] if options else []
    run("qemu-img", "create", "-q", "-f", "qcow2", *chosen, path, str(size))
    return path


def live(path: Path) -> LiveImage:
    file = File.open(path, writable=True)
    try:
        opened = FORMAT.open(file, Access(writable=True))
    except BaseException:
        file.close()
        raise
    assert isinstance(opened, LiveImage)
    return opened


def finish(image: LiveImage) -> None:
    image.flush()
    image.close()


def patch(path: Path, offset: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value)


def header(path: Path) -> Header:
    return Header.parse(path.read_bytes())


def test_opening_alone_changes_nothing(tmp_path: Path) -> None:
    path = image_of(tmp_path, "lazy_refcounts=on")
    before = path.read_bytes()
    finish(live(path))
    assert path.read_bytes() == before


def test_an_image_that_is_marked_corrupt_is_not_written_to(tmp_path: Path) -> None:
    path = image_of(tmp_path)
    patch(path, INCOMPATIBLE, Incompatible.CORRUPT.to_bytes(8, "big"))
    with pytest.raises(ImageError, match="marked corrupt") as refused:
        live(path)
    assert refused.value.hint == f"virtkit disk repair {path}"


def test_refcounts_of_a_dirty_image_are_rebuilt_before_the_first_change(tmp_path: Path) -> None:
    path = image_of(tmp_path)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 1M", path)
    block = int.from_bytes(path.read_bytes()[header(path).refcount_table_offset :][:8], "big")
    patch(path, block + 8, bytes(24))  # from the fourth cluster on, nothing is in use
    patch(path, INCOMPATIBLE, Incompatible.DIRTY.to_bytes(8, "big"))
    assert corruptions(path) > 0
    image = live(path)
    assert content(image, 0, MIB) == b"\7" * MIB
    image.write(2 * MIB, b"\1" * MIB)
    finish(image)
    assert_clean(path)
    assert read_by_qemu(path, "qcow2") == b"\7" * MIB + bytes(MIB) + b"\1" * MIB + bytes(MIB)


def test_the_dirty_bit_is_set_while_a_lazy_image_changes(tmp_path: Path) -> None:
    path = image_of(tmp_path, "lazy_refcounts=on")
    image = live(path)
    image.write(0, b"\1" * 512)
    assert path.read_bytes()[INCOMPATIBLE + 7] == Incompatible.DIRTY
    image.flush()
    assert path.read_bytes()[INCOMPATIBLE + 7] == 0
    image.close()
    assert_clean(path)


def test_autoclear_features_that_nobody_told_us_about_are_cleared_before_the_first_change(tmp_path: Path) -> None:
    path = image_of(tmp_path)
    patch(path, AUTOCLEAR, (1 << 40).to_bytes(8, "big"))
    image = live(path)
    assert path.read_bytes()[AUTOCLEAR : AUTOCLEAR + 8] == (1 << 40).to_bytes(8, "big")
    image.write(0, b"\1" * 512)
    assert path.read_bytes()[AUTOCLEAR : AUTOCLEAR + 8] == bytes(8)
    finish(image)


@pytest.mark.parametrize("which", ["L2 table", "L1 table", "refcount table", "header"])
def test_a_table_that_is_counted_as_free_is_not_given_away(tmp_path: Path, which: str) -> None:
    path = image_of(tmp_path)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", path)
    data, head = path.read_bytes(), header(path)
    tables = {
        "L2 table": int.from_bytes(data[head.l1_offset : head.l1_offset + 8], "big") & OFFSET,
        "L1 table": head.l1_offset,
        "refcount table": head.refcount_table_offset,
        "header": 0,
    }
    block = int.from_bytes(data[head.refcount_table_offset :][:8], "big")
    patch(path, block + 2 * (tables[which] >> head.cluster_bits), bytes(2))
    damaged = path.read_bytes()
    image = live(path)
    with pytest.raises(CorruptImageError, match="refcount of a table is 0, expected 1 at least") as refused:
        image.write(MIB, b"\1" * MIB)
    image.close()
    assert refused.value.hint == f"virtkit disk repair {path}"
    assert path.read_bytes() == damaged


def test_a_cluster_that_was_given_back_is_not_used_before_that_is_stored(tmp_path: Path) -> None:
    """Killed before the next flush, the disk is as it was: nobody has written over its old clusters."""
    path = image_of(tmp_path)
    image = live(path)
    image.write(0, b"\1" * SIZE)
    image.flush()
    image.discard(0, MIB)
    image.write(0, b"\2" * MIB)
    image.close()  # without a flush, as if killed
    assert corruptions(path) == 0
    assert read_by_qemu(path, "qcow2") == b"\1" * SIZE


@pytest.mark.parametrize("size", [MIB, 10 << 40, 1 << 61])
def test_a_huge_disk_is_written_at_both_ends(tmp_path: Path, size: int) -> None:
    path = image_of(tmp_path, "cluster_size=2M", size)
    image = live(path)
    image.write(0, b"first" * 1024)
    image.write(size - 1024, b"last" * 256)
    finish(image)
    assert_clean(path)
    assert os.stat(path).st_blocks * 512 < 64 * MIB  # the largest L1 table has 32
    opened = open_with(FORMAT, path)
    assert content(opened, size - 1024) == b"last" * 256
    assert next(iter(opened.extents(512 * KIB, 512 * KIB))).kind is not Kind.HOLE
    opened.close()


def test_a_disk_grows_until_the_l1_table_is_full(tmp_path: Path) -> None:
    path = image_of(tmp_path, "cluster_size=512", 512)
    image = live(path)
    image.write(0, b"\1" * 512)
    with pytest.raises(NotSupportedError, match=r"expected at most 137438953472 .128 GiB. with clusters of 512 B"):
        image.resize((128 << 30) + 512)
    image.resize(128 << 30)
    image.write((128 << 30) - 512, b"\2" * 512)
    finish(image)
    assert_clean(path)
    assert json.loads(run("qemu-img", "info", "--output", "json", path))["virtual-size"] == 128 << 30
    image = live(path)
    image.resize(1024)
    finish(image)
    assert_clean(path)
    assert read_by_qemu(path, "qcow2") == b"\1" * 512 + bytes(512)


def test_the_refcount_table_grows_with_the_file(tmp_path: Path) -> None:
    path = image_of(tmp_path, "cluster_size=512,refcount_bits=64", 16 * MIB)
    before = header(path).refcount_table_clusters
    image = live(path)
    data = random.Random(3).randbytes(16 * MIB)
    image.write(0, data)
    finish(image)
    assert header(path).refcount_table_clusters > before
    assert_clean(path)
    assert read_by_qemu(path, "qcow2") == data


def test_an_image_of_version_2_with_snapshots_keeps_its_size(tmp_path: Path) -> None:
    path = image_of(tmp_path, "compat=0.10")
    run("qemu-img", "snapshot", "-c", "one", path)
    image = live(path)
    with pytest.raises(NotSupportedError, match="version 2 and has snapshots"):
        image.resize(2 * SIZE)
    image.close()


@pytest.mark.parametrize("options", ["", "compat=0.10", "cluster_size=512", "extended_l2=on"])
def test_a_backing_image_is_named_and_taken_away(tmp_path: Path, options: str) -> None:
    (tmp_path / "below.raw").write_bytes(b"b" * SIZE)
    path = image_of(tmp_path, options)
    image = live(path)
    image.write(0, b"a" * MIB)
    image.set_backing(Reference("below.raw", "raw"), None)
    assert image.backing == Reference("below.raw", "raw")
    image.zero(2 * MIB, MIB)
    finish(image)
    assert_clean(path)
    told = json.loads(run("qemu-img", "info", "--output", "json", path))
    assert (told["backing-filename"], told["backing-filename-format"]) == ("below.raw", "raw")
    assert read_by_qemu(path, "qcow2") == b"a" * MIB + b"b" * MIB + bytes(MIB) + b"b" * MIB
    image = live(path)
    image.forget(2 * MIB, MIB)
    finish(image)
    assert read_by_qemu(path, "qcow2") == b"a" * MIB + b"b" * (3 * MIB)
    image = live(path)
    image.set_backing(None, None)
    assert image.backing is None
    finish(image)
    assert_clean(path)
    assert read_by_qemu(path, "qcow2") == b"a" * MIB + bytes(3 * MIB)


def test_a_backing_name_that_does_not_fit_the_first_cluster_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    path = image_of(tmp_path, "cluster_size=512")
    before = path.read_bytes()
    image = live(path)
    with pytest.raises(UsageError, match="name of the backing file is 600 bytes long"):
        image.set_backing(Reference("n" * 600, "raw"), None)
    finish(image)
    assert path.read_bytes() == before


def test_a_raw_external_data_file_has_no_backing_image(tmp_path: Path) -> None:
    path = image_of(tmp_path, "data_file={folder}/image.data,data_file_raw=on")
    image = live(path)
    with pytest.raises(NotSupportedError, match="raw external data file"):
        image.set_backing(Reference("below.raw", "raw"), None)
    image.write(MIB, b"\5" * MIB)
    image.discard(MIB, 64 * KIB)
    image.resize(SIZE + MIB)
    finish(image)
    expected = bytes(MIB + 64 * KIB) + b"\5" * (MIB - 64 * KIB) + bytes(SIZE - MIB)
    assert (tmp_path / "image.data").read_bytes() == expected
    assert read_by_qemu(path, "qcow2") == expected
    assert_clean(path)


def test_what_is_discarded_gives_its_room_back(tmp_path: Path) -> None:
    path = Make().create(tmp_path, bytes(SIZE))
    image = live(path)
    image.write(0, b"\1" * SIZE)
    image.flush()
    before = image.file.allocated
    image.discard(0, SIZE)
    image.flush()
    assert image.file.allocated < before - SIZE + MIB
    finish(image)
    assert_clean(path)
