"""qcow2 beyond what every format must do: backing, snapshots, features that are refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.images import KIB, MIB, Specimen, read_by_qemu, run
from support.reading import content, open_with
from virtkit.core.errors import CorruptImageError, ForbiddenReferenceError, ImageError, NotSupportedError
from virtkit.disk.file import File
from virtkit.disk.format import Extent, Kind, Reference
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.formats.qcow2.layout import Features, Header

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Facts

pytestmark = pytest.mark.qemu


def facts_of(path: Path) -> Facts:
    image = open_with(FORMAT, path)
    try:
        return image.facts
    finally:
        image.close()


def extents_of(path: Path) -> list[Extent]:
    image = open_with(FORMAT, path)
    try:
        return list(image.extents(0, image.size))
    finally:
        image.close()


def create(path: Path, *options: str, size: str = "4M") -> Path:
    run("qemu-img", "create", "-q", "-f", "qcow2", *options, path, size)
    return path


def write(path: Path, *commands: str) -> None:
    for command in commands:
        run("qemu-io", "-f", "qcow2", "-c", command, path)


def patch(path: Path, offset: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value)


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_names_its_backing_image_and_that_images_format(tmp_path: Path, compat: str) -> None:
    create(tmp_path / "base.qcow2")
    options = ("-o", f"compat={compat}", "-b", "base.qcow2", "-F", "qcow2")
    image = open_with(FORMAT, create(tmp_path / "top.qcow2", *options))
    image.close()
    assert image.backing == Reference("base.qcow2", "qcow2")


def test_a_backing_name_of_the_greatest_length_is_read(tmp_path: Path) -> None:
    name = "/".join(["d" * 200] * 5)[:1023]
    path = create(tmp_path / "top.qcow2", "-u", "-b", name, "-F", "raw")
    image = open_with(FORMAT, path)
    image.close()
    assert image.backing == Reference(name, "raw")


def test_what_an_overlay_does_not_hold_is_a_hole_and_what_it_zeroes_is_not(tmp_path: Path) -> None:
    create(tmp_path / "base.qcow2")
    path = create(tmp_path / "top.qcow2", "-b", "base.qcow2", "-F", "qcow2")
    write(path, "write 1M 64k", "write -z 2M 64k", "write 3M 64k", "write -z 3M 64k")
    kinds = [(extent.start, extent.kind, extent.preallocated) for extent in extents_of(path)]
    assert kinds == [
        (0, Kind.HOLE, False),
        (1 * MIB, Kind.DATA, False),
        (1 * MIB + 64 * KIB, Kind.HOLE, False),
        (2 * MIB, Kind.ZERO, False),
        (2 * MIB + 64 * KIB, Kind.HOLE, False),
        (3 * MIB, Kind.ZERO, True),
        (3 * MIB + 64 * KIB, Kind.HOLE, False),
    ]


def test_the_part_of_the_last_cluster_that_is_not_in_the_file_is_zeros(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    write(path, "write -P 7 1M 64k")
    data = extents_of(path)[1]
    os.truncate(path, data.at + 512)
    data, rest = extents_of(path)[1:3]
    assert (data.kind, data.length) == (Kind.DATA, 512)
    assert (rest.kind, rest.length, rest.preallocated) == (Kind.ZERO, 64 * KIB - 512, True)
    image = open_with(FORMAT, path)
    assert content(image) == read_by_qemu(path, "qcow2")
    image.close()


def test_a_dense_image_of_many_tables_is_one_extent(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2", "-o", "preallocation=metadata,cluster_size=4k", size="64M")
    extents = extents_of(path)
    tables = 64 * MIB // (4 * KIB * 512)
    assert len(extents) < 2 * tables
    assert sum(extent.length for extent in extents) == 64 * MIB


def test_internal_snapshots_are_listed_as_qemu_img_does(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    for name in ("first", "第二", "3"):
        write(path, "write 1M 64k")
        run("qemu-img", "snapshot", "-c", name, path)
    told = json.loads(run("qemu-img", "info", "--output", "json", path))["snapshots"]
    assert [dict(snapshot) for snapshot in facts_of(path).snapshots] == told
    assert len(told) == 3


def test_bitmaps_are_listed_as_qemu_img_does(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    run("qemu-img", "bitmap", "--add", path, "daily")
    run("qemu-img", "bitmap", "--add", "-g", "1M", "--disable", path, "weekly")
    told = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]["data"]
    assert len(told["bitmaps"]) == 2
    assert dict(facts_of(path).specific or {}) == told


@pytest.mark.parametrize("options", ["extended_l2=on", "data_file={}/a.raw", "data_file={}/a.raw,data_file_raw=on"])
def test_features_are_shown_as_qemu_img_does(tmp_path: Path, options: str) -> None:
    path = create(tmp_path / "a.qcow2", "-o", options.format(tmp_path))
    told = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]["data"]
    assert dict(facts_of(path).specific or {}) == told


def test_facts_of_an_image_are_told_although_its_data_file_is_forbidden(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = create(tmp_path / "inner" / "a.qcow2", "-o", f"data_file={tmp_path}/outer.raw")
    assert facts_of(path).specific
    with pytest.raises(ForbiddenReferenceError, match="data file is .*outer.raw"):
        extents_of(path)


@pytest.mark.parametrize("raw", ["on", "off"])
def test_what_is_in_an_external_data_file_is_read(tmp_path: Path, raw: str) -> None:
    options = f"-o data_file={tmp_path}/image.data,data_file_raw={raw}"
    path, guest = Specimen("qcow2", options, ("write -z 1M 256k", "discard 2M 256k")).make(tmp_path)
    image = open_with(FORMAT, path)
    assert content(image) == guest
    image.close()


def test_a_data_file_that_is_shorter_than_the_disk_ends_in_zeros(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2", "-o", f"data_file={tmp_path}/a.raw,data_file_raw=on")
    write(path, "write -P 7 0 4M")
    os.truncate(tmp_path / "a.raw", MIB + 512)
    image = open_with(FORMAT, path)
    assert [file.name for file in image.files] == [str(path), str(tmp_path / "a.raw")]
    assert content(image) == read_by_qemu(path, "qcow2")
    image.close()


def test_encrypted_images_are_shown_and_their_ciphertext_is_not_handed_out(tmp_path: Path) -> None:
    secret = ("--object", "secret,id=key,data=abc")
    options = "encrypt.format=aes,encrypt.key-secret=key"
    path = create(tmp_path / "a.qcow2", *secret, "-o", options)
    assert facts_of(path).encrypted
    image = FORMAT.open(File.open(path))
    with pytest.raises(ImageError, match="encrypted .aes.") as refused:
        image.extents(0, image.size)
    assert refused.value.hint == "--key-file FILE"
    image.close()


def extended(tmp_path: Path, entry: int, bitmap: int) -> Path:
    """An image whose first extended L2 entry is ORed with ``entry`` and whose bitmap is ``bitmap``."""
    path = create(tmp_path / "a.qcow2", "-o", "extended_l2=on,cluster_size=64k")
    write(path, "write -P 7 0 64k")
    data = path.read_bytes()
    table = int.from_bytes(data[0x30000:0x30008], "big") & ~(1 << 63)
    before = int.from_bytes(data[table : table + 8], "big")
    patch(path, table, (before | entry).to_bytes(8, "big") + bitmap.to_bytes(8, "big"))
    return path


def test_each_subcluster_is_data_zeros_or_a_hole(tmp_path: Path) -> None:
    path = extended(tmp_path, 0, 0b0110 << 32 | 0b1000_0001)
    kinds = [(extent.start // (2 * KIB), extent.kind, extent.preallocated) for extent in extents_of(path)]
    assert kinds == [
        (0, Kind.DATA, False),
        (1, Kind.ZERO, True),
        (3, Kind.HOLE, False),
        (7, Kind.DATA, False),
        (8, Kind.HOLE, False),
    ]
    image = open_with(FORMAT, path)
    assert content(image) == read_by_qemu(path, "qcow2")
    image.close()


def test_a_subcluster_that_is_data_and_zeros_at_once_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorruptImageError, match="subclusters is 0x0000000200000003"):
        extents_of(extended(tmp_path, 0, 0b10 << 32 | 0b11))


def test_the_zero_flag_has_no_place_in_an_extended_entry(tmp_path: Path) -> None:
    with pytest.raises(CorruptImageError, match="L2 entry"):
        extents_of(extended(tmp_path, 1, 1))


def test_a_feature_that_nobody_told_us_about_is_refused_by_its_number(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    patch(path, Header.SIZE + Features.offset_of("incompatible"), (1 << 41).to_bytes(8, "big"))
    with pytest.raises(NotSupportedError, match="does not know: bit 41"):
        open_with(FORMAT, path)


def test_a_feature_that_the_image_names_is_refused_by_its_name(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    known, other = b"\0\4extended L2 entries", b"\0\x29quantum superposition"
    path.write_bytes(path.read_bytes().replace(known.ljust(48, b"\0"), other.ljust(48, b"\0")))
    patch(path, Header.SIZE + Features.offset_of("incompatible"), (1 << 41).to_bytes(8, "big"))
    with pytest.raises(NotSupportedError, match="does not know: quantum superposition"):
        open_with(FORMAT, path)


def test_an_image_that_is_marked_dirty_or_corrupt_is_read_and_says_so(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2")
    write(path, "write -P 5 1M 64k")
    before = read_by_qemu(path, "qcow2")
    patch(path, Header.SIZE + Features.offset_of("incompatible"), (3).to_bytes(8, "big"))
    image = open_with(FORMAT, path)
    assert content(image) == before
    assert image.facts.dirty
    assert (image.facts.specific or {})["corrupt"] is True
    image.close()


def test_a_zero_flag_in_a_version_without_it_is_an_error(tmp_path: Path) -> None:
    path = create(tmp_path / "a.qcow2", "-o", "compat=0.10")
    write(path, "write 0 64k")
    table = int.from_bytes(path.read_bytes()[0x30000:0x30008], "big") & ~(1 << 63)
    entry = int.from_bytes(path.read_bytes()[table : table + 8], "big")
    patch(path, table, (entry | 1).to_bytes(8, "big"))
    with pytest.raises(CorruptImageError, match=f"L2 entry is 0x{entry | 1:x}.*at byte {table:#x}"):
        extents_of(path)


def test_a_compressed_cluster_that_is_not_deflate_is_an_error_with_its_place(tmp_path: Path) -> None:
    raw = tmp_path / "a.raw"
    raw.write_bytes(b"virtkit" * 20000)
    path = tmp_path / "a.qcow2"
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path)
    image = open_with(FORMAT, path)
    place = next(extent.at for extent in image.extents(0, image.size) if extent.kind is Kind.CODED)
    patch(path, place, b"\xff" * 64)
    with pytest.raises(CorruptImageError, match=f"compressed data is .*at byte {place:#x}"):
        content(image)
    image.close()


def test_clusters_that_another_deflate_wrote_with_a_full_window_are_read(tmp_path: Path) -> None:
    import zlib  # the peer here: QEMU reads such clusters too

    raw = tmp_path / "a.raw"
    data = bytes(range(256)) * 64
    plain = data + bytes(48 * KIB - len(data)) + data
    raw.write_bytes(plain)
    path = tmp_path / "a.qcow2"
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, path)
    image = open_with(FORMAT, path)
    (extent,) = image.extents(0, image.size)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(plain) + packer.flush()
    patch(path, extent.at, stream)
    assert len(stream) <= extent.stored
    assert content(image) == plain == read_by_qemu(path, "qcow2")
    image.close()


def test_what_opening_refuses_qemu_refuses_too(tmp_path: Path) -> None:
    good = create(tmp_path / "good.qcow2")
    for field, value in (("cluster_bits", 8), ("cluster_bits", 22), ("l1_size", 0), ("l1_offset", 513)):
        path = shutil.copyfile(good, tmp_path / f"{field}{value}.qcow2")
        width = 8 if field == "l1_offset" else 4
        patch(path, Header.offset_of(field), value.to_bytes(width, "big"))
        with pytest.raises(CorruptImageError, match=field.split("_", maxsplit=1)[0].replace("l1", "L1")):
            open_with(FORMAT, path)
        assert subprocess.run(["qemu-img", "info", path], capture_output=True, check=False).returncode == 1
