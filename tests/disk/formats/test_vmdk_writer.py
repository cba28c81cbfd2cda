"""Every kind of VMDK that we write: QEMU finds it sound, reads the same bytes, and sees what was asked for."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import Kind, make, scripts
from support.depth import deep
from support.images import read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk.catalog import load_writable
from virtkit.disk.format import Blank
from virtkit.disk.formats.vmdk import FORMAT, text
from virtkit.disk.formats.vmdk.layout import GD_AT_END, Header, Marker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(
    max_examples=deep(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KINDS = ("monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized")
CHOICES: tuple[Mapping[str, str], ...] = (
    *({"subformat": kind} for kind in KINDS),
    {"zeroed_grain": "on"},
    {"zeroed_grain": "on", "subformat": "twoGbMaxExtentSparse"},
)
MIB = 1 << 20


def convert(source: Path, target: Path, options: Mapping[str, str], **more: str) -> None:
    disk.convert(str(source), str(target), target_format="vmdk", options=options, overwrite=True, **more)  # type: ignore[arg-type]  # texts only


def assert_sound(image: Path, guest: bytes) -> None:
    assert "No errors were found" in run("qemu-img", "check", "-f", "vmdk", image)
    assert read_by_qemu(image, "vmdk") == guest


def told(image: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("qemu-img", "info", "--output", "json", image))["format-specific"]["data"]
    return found


@pytest.mark.parametrize("options", CHOICES, ids=str)
@SEVERAL
@given(data=st.data())
def test_any_history_becomes_a_sound_image_of_every_kind(
    options: Mapping[str, str], data: st.DataObject, tmp_path: Path
) -> None:
    source = make(tmp_path, Kind("raw"), data.draw(scripts(Kind("raw"))))
    convert(source, tmp_path / "ours.vmdk", options, source_format="raw")
    assert_sound(tmp_path / "ours.vmdk", source.read_bytes())
    assert told(tmp_path / "ours.vmdk")["create-type"] == options.get("subformat", "monolithicSparse")


@pytest.mark.parametrize("options", [choice for choice in CHOICES if "Flat" not in str(choice)], ids=str)
@SEVERAL
@given(data=st.data())
def test_a_delta_holds_only_what_the_parent_does_not(
    options: Mapping[str, str], data: st.DataObject, tmp_path: Path
) -> None:
    first = data.draw(scripts(Kind("raw")))
    convert(make(tmp_path, Kind("raw"), first), tmp_path / "base.vmdk", {}, source_format="raw")
    source = make(tmp_path, Kind("raw"), first + data.draw(scripts(Kind("raw"))))
    top = tmp_path / "top.vmdk"
    convert(source, top, options, source_format="raw", backing="base.vmdk", backing_format="vmdk")
    assert_sound(top, source.read_bytes())
    assert told(top)["parent-cid"] == told(tmp_path / "base.vmdk")["cid"]
    assert disk.compare(str(source), str(top), left_format="raw").same_content


@pytest.mark.parametrize("kind", ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_a_disk_of_five_gibibytes_is_three_files_named_as_vmware_does(kind: str, tmp_path: Path) -> None:
    source, target = tmp_path / "big.raw", tmp_path / "ours.vmdk"
    edges = [0, 4192256 * 512 - 700, 2 * 4192256 * 512 - 5, (5 << 30) - 512]
    with source.open("wb") as file:
        file.truncate(5 << 30)
        for at in edges:
            os.pwrite(file.fileno(), b"over the edge" * 39, at)
        file.truncate(5 << 30)
    convert(source, target, {"subformat": kind}, source_format="raw")
    letter = "s" if kind.endswith("Sparse") else "f"
    assert sorted(path.name for path in tmp_path.glob("ours*")) == [
        *(f"ours-{letter}00{number}.vmdk" for number in (1, 2, 3)), "ours.vmdk"
    ]  # fmt: skip
    assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "vmdk", source, target)
    assert disk.compare(str(source), str(target), left_format="raw").same_content
    assert sum(path.stat().st_blocks for path in tmp_path.glob("ours*")) * 512 < MIB


def test_what_the_guest_is_told_of_its_disk_is_what_was_asked_for(tmp_path: Path) -> None:
    source = make(tmp_path, Kind("raw"), [])
    convert(source, tmp_path / "a.vmdk", {"subformat": "monolithicFlat", "compat6": "on"}, source_format="raw")
    described = (tmp_path / "a.vmdk").read_text()
    assert 'ddb.virtualHWVersion = "6"\n' in described
    assert 'ddb.adapterType = "ide"\n' in described
    options = {"subformat": "monolithicFlat", "adapter_type": "pvscsi", "hwversion": "21", "toolsversion": "12345"}
    convert(source, tmp_path / "a.vmdk", options, source_format="raw")
    described = (tmp_path / "a.vmdk").read_text()
    for line in ('adapterType = "pvscsi"', 'virtualHWVersion = "21"', 'toolsVersion = "12345"', 'heads = "64"'):
        assert f"{line}\n" in described


@pytest.mark.parametrize(
    ("size", "adapter", "expected"),
    [
        (100 * MIB, "ide", (203, 16, 63)),
        (20 << 30, "ide", (16383, 16, 63)),
        (MIB, "lsilogic", (1, 64, 32)),
        (3 << 29, "buslogic", (768, 128, 32)),
        (20 << 30, "pvscsi", (2610, 255, 63)),
        (20 << 40, "lsilogic", (65535, 255, 63)),
    ],
)
def test_the_geometry_is_vmwares(size: int, adapter: str, expected: tuple[int, int, int]) -> None:
    assert text.geometry(size, adapter) == expected


def test_a_new_content_id_has_as_many_digits_as_asked_for() -> None:
    for digits in range(1, 9):
        assert {len(f"{text.new_cid(digits):x}") for _ in range(50)} == {digits}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"subformat": "monolithic"}, "subformat is monolithic, expected monolithicSparse, "),
        ({"adapter_type": "scsi"}, "adapter_type is scsi, expected ide, lsilogic"),
        ({"zeroed_grain": "yes"}, "zeroed_grain is yes, expected on, off"),
        ({"zeroed_grain": "on", "subformat": "monolithicFlat"}, "expected a sparse subformat"),
        ({"compat6": "on", "hwversion": "7"}, "hwversion is 7 with compat6"),
        ({"toolsversion": 'a"b'}, "without quotation marks"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: Mapping[str, str], problem: str, tmp_path: Path) -> None:
    source = make(tmp_path, Kind("raw"), [])
    with pytest.raises(UsageError, match=problem):
        convert(source, tmp_path / "a.vmdk", options, source_format="raw")
    assert not (tmp_path / "a.vmdk").exists()


def test_a_backing_file_must_be_a_vmdk_below_a_sparse_one(tmp_path: Path) -> None:
    source = make(tmp_path, Kind("raw"), ["write 0 1M"])
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "b.qcow2", "8M")
    convert(source, tmp_path / "b.vmdk", {}, source_format="raw")
    with pytest.raises(UsageError, match="b.qcow2 is no VMDK"):
        convert(source, tmp_path / "a.vmdk", {}, source_format="raw", backing="b.qcow2", backing_format="qcow2")
    options = {"subformat": "monolithicFlat"}
    with pytest.raises(UsageError, match="monolithicFlat cannot have a backing file"):
        convert(source, tmp_path / "a.vmdk", options, source_format="raw", backing="b.vmdk", backing_format="vmdk")


def test_only_streams_are_compressed(tmp_path: Path) -> None:
    source = make(tmp_path, Kind("raw"), [])
    with pytest.raises(NotSupportedError, match="vmdk: cannot be compressed"):
        disk.convert(str(source), str(tmp_path / "a.vmdk"), source_format="raw", compress=True)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_an_empty_disk_is_monolithic_and_sparse(kind: str, tmp_path: Path) -> None:
    (tmp_path / "e.raw").write_bytes(b"")
    with pytest.raises(UsageError, match="expected monolithicSparse"):
        convert(tmp_path / "e.raw", tmp_path / "e.vmdk", {"subformat": kind}, source_format="raw")
    convert(tmp_path / "e.raw", tmp_path / "e.vmdk", {}, source_format="raw")
    assert disk.info(str(tmp_path / "e.vmdk")).virtual_size == 0


@pytest.mark.parametrize(
    ("kind", "size", "problem"),
    [
        ("monolithicSparse", 257 << 40, "disk size is 257 TiB, expected at most 256 TiB"),
        ("streamOptimized", 257 << 40, "disk size is 257 TiB, too big"),
        ("twoGbMaxExtentFlat", 3 << 50, "would be 1573633 files"),
    ],
)
def test_a_disk_that_is_too_big_is_refused(kind: str, size: int, problem: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=problem):
        disk.create(str(tmp_path / "a.vmdk"), size, target_format="vmdk", options={"subformat": kind})
    assert list(tmp_path.iterdir()) == []


def test_the_largest_disk_that_is_nearly_empty_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "a.vmdk"
    disk.create(str(path), 256 << 40, target_format="vmdk")
    run("qemu-io", "-f", "vmdk", "-c", f"write -P 5 {(256 << 40) - 65536} 64k", path)
    with disk.open(str(path)) as chain:
        assert chain.read((256 << 40) - 512, 512) == b"\5" * 512
    assert path.stat().st_blocks * 512 < 80 * MIB  # two directories of 32 MiB


def blocks(stream: bytes) -> list[str]:
    """What stands behind the header of a stream, one word each, walked from marker to marker as a receiver does."""
    found, at = [], Header.parse(stream).data_offset * 512
    names = ("end", "table", "directory", "footer")
    while at < len(stream):
        marker = Marker.parse(stream, at)
        if marker.size:
            found.append("grain")
            at += (12 + marker.size + 511) // 512 * 512
        else:
            found.append(names[marker.type])
            at += (1 + marker.value) * 512
    return found


def test_a_stream_is_laid_out_as_vmware_does(tmp_path: Path) -> None:
    source = tmp_path / "s.raw"
    with source.open("wb") as file:
        file.truncate(100 * MIB)
        for at in (0, 64 << 10, 70 * MIB, 99 * MIB):
            os.pwrite(file.fileno(), os.urandom(512), at)
    convert(source, tmp_path / "s.vmdk", {"subformat": "streamOptimized"}, source_format="raw")
    data = (tmp_path / "s.vmdk").read_bytes()
    assert blocks(data) == [*["grain"] * 2, "table", "grain", "table", "grain", "table", "directory", "footer", "end"]
    front, footer = Header.parse(data), Header.parse(data, len(data) - 1024)
    assert (front.version, front.flags, front.directory_offset, front.redundant_directory_offset) == (
        3, 0x30001, GD_AT_END, 0
    )  # fmt: skip
    directory = footer.directory_offset * 512
    assert Marker.parse(data, directory - 512).type == 2
    assert front.pack()[:56] + front.pack()[64:] == footer.pack()[:56] + footer.pack()[64:]


def test_grains_that_do_not_shrink_are_compressed_all_the_same(tmp_path: Path) -> None:
    source = tmp_path / "s.raw"
    source.write_bytes(os.urandom(3 * MIB + 512))
    for level in ("fast", "default", "best"):
        convert(source, tmp_path / "s.vmdk", {"subformat": "streamOptimized"}, source_format="raw", level=level)
        assert_sound(tmp_path / "s.vmdk", source.read_bytes())
        assert (tmp_path / "s.vmdk").stat().st_size > 3 * MIB


def test_a_stream_takes_grains_in_any_order(tmp_path: Path) -> None:
    from virtkit.disk.newfile import NewFile

    grain = 64 << 10
    numbers = [3, 700, 5, 1100, 699, 0]
    path = tmp_path / "s.vmdk"
    with NewFile(str(path)) as new:
        writer = FORMAT.writer(new.file, Blank(80 * MIB, 0, {"subformat": "streamOptimized"}, new.beside))
        encode = FORMAT.encoder("fast", {"subformat": "streamOptimized"})
        assert encode is not None
        for number in numbers:
            coded = encode(bytes([number % 251 + 1]) * grain)
            assert coded is not None
            writer.store(number * grain, coded)
        writer.finish()
        new.publish()
    guest = read_by_qemu(path, "vmdk")
    assert [guest[number * grain] for number in numbers] == [number % 251 + 1 for number in numbers]
    assert guest.count(0) == len(guest) - len(numbers) * grain


@pytest.mark.parametrize("options", CHOICES, ids=str)
def test_measure_is_what_is_written(options: Mapping[str, str], tmp_path: Path) -> None:
    source = tmp_path / "m.raw"
    source.write_bytes(os.urandom(3 * MIB) + bytes(40 * MIB))
    convert(source, tmp_path / "m.vmdk", options, source_format="raw")
    blank = Blank(43 * MIB, 3 * MIB, options, pytest.fail)
    required, most, _ = load_writable("vmdk").measure(blank)
    written = sum(path.stat().st_size for path in tmp_path.glob("m*.vmdk"))
    assert written <= required <= written + 4096
    assert most >= required
