"""What we write, QEMU finds sound and equal; what we read, we convert as QEMU does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import KINDS, Kind, make, overlay, scripts, write
from support.images import SPECIMENS, Specimen, read_by_qemu, run
from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PLAIN: tuple[Mapping[str, str], ...] = (
    {},
    {"cluster_size": "512"},
    {"cluster_size": "4K"},
    {"cluster_size": "2M"},
)
COMPRESSED: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("fast", {}),
    ("default", {"cluster_size": "512"}),
    ("default", {"cluster_size": "2M"}),
    ("best", {"cluster_size": "8K"}),
    ("fast", {"compression_type": "zstd"}),
    ("best", {"compression_type": "zstd", "cluster_size": "1M"}),
)


def assert_sound(image: Path, guest: bytes) -> None:
    """QEMU finds no error and no leak, and reads the same bytes."""
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", image)
    assert read_by_qemu(image, "qcow2") == guest


@pytest.mark.parametrize("kind", KINDS, ids=str)
@SEVERAL
@given(data=st.data())
def test_converts_any_history_to_raw_as_qemu_does(kind: Kind, data: st.DataObject, tmp_path: Path) -> None:
    image = make(tmp_path, kind, data.draw(scripts(kind)))
    ours = tmp_path / "ours.raw"
    disk.convert(str(image), str(ours), source_format=kind.format, overwrite=True)
    assert ours.read_bytes() == read_by_qemu(image, kind.format)


@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_turns_every_kind_of_image_into_a_sound_qcow2(specimen: Specimen, tmp_path: Path) -> None:
    image, guest = specimen.make(tmp_path)
    disk.convert(str(image), str(tmp_path / "ours.qcow2"), source_format=specimen.format)
    assert_sound(tmp_path / "ours.qcow2", guest)


@pytest.mark.parametrize("options", PLAIN, ids=str)
@SEVERAL
@given(data=st.data())
def test_writes_sound_qcow2_of_any_cluster_size(
    options: Mapping[str, str], data: st.DataObject, tmp_path: Path
) -> None:
    image = make(tmp_path, Kind("raw"), data.draw(scripts(Kind("raw"))))
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(image), str(ours), source_format="raw", options=options, overwrite=True)
    assert_sound(ours, image.read_bytes())


@pytest.mark.parametrize(("level", "options"), COMPRESSED, ids=str)
def test_writes_sound_compressed_qcow2(level: str, options: Mapping[str, str], tmp_path: Path) -> None:
    image, guest = Specimen("raw").make(tmp_path)
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(image), str(ours), source_format="raw", compress=True, level=level, options=options)
    assert_sound(ours, guest)
    assert json.loads(run("qemu-img", "check", "--output", "json", ours))["compressed-clusters"] > 0


@SEVERAL
@given(data=st.data())
def test_flattens_a_backing_chain(data: st.DataObject, tmp_path: Path) -> None:
    base = make(tmp_path, Kind("qcow2"), data.draw(scripts(Kind("qcow2"))))
    top = overlay(tmp_path, "top.qcow2", base, 5 << 20)
    write(top, "qcow2", data.draw(scripts(Kind("qcow2"))))
    disk.convert(str(top), str(tmp_path / "flat.qcow2"), overwrite=True)
    assert disk.info(str(tmp_path / "flat.qcow2")).backing is None
    assert_sound(tmp_path / "flat.qcow2", read_by_qemu(top, "qcow2"))


def test_a_grown_disk_ends_in_zeros(tmp_path: Path) -> None:
    image, guest = Specimen("raw").make(tmp_path)
    disk.convert(str(image), str(tmp_path / "ours.qcow2"), source_format="raw", size=len(guest) + (1 << 20))
    assert_sound(tmp_path / "ours.qcow2", guest + bytes(1 << 20))


def test_an_empty_disk_becomes_a_sound_empty_image(tmp_path: Path) -> None:
    (tmp_path / "empty.raw").write_bytes(b"")
    disk.convert(str(tmp_path / "empty.raw"), str(tmp_path / "ours.qcow2"), source_format="raw")
    assert_sound(tmp_path / "ours.qcow2", b"")


def test_a_terabyte_of_holes_costs_nothing(tmp_path: Path) -> None:
    source, ours = tmp_path / "big.raw", tmp_path / "ours.qcow2"
    with source.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(700 << 30)
        file.write(b"here" * 1024)
    disk.convert(str(source), str(ours), source_format="raw")
    assert ours.stat().st_size < 1 << 20
    assert "No errors were found" in run("qemu-img", "check", ours)
    assert "Images are identical" in run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", source, ours)
