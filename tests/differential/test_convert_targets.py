"""Every kind of image that we write, from whatever may have happened to a disk; read by QEMU where it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import Kind, make, scripts
from support.depth import deep
from support.images import MIB, SPECIMENS, Specimen
from support.targets import FORMATS, QEMU_READS, TARGETS, Target, read
from support.typed import qemu_img
from virtkit import disk
from virtkit.disk.format import WritableFormat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QCOW2 = Kind("qcow2")
RESERVING = [
    name
    for name, kind in FORMATS.items()
    if isinstance(kind, WritableFormat) and name != "luks" and any(one.name == "preallocation" for one in kind.options)
]


def clear(folder: Path, *kept: str) -> None:
    for path in folder.iterdir():
        if path.is_file() and path.name not in kept:
            path.unlink()


@pytest.mark.parametrize("target", TARGETS, ids=str)
@SEVERAL
@given(data=st.data())
def test_any_history_comes_out_of_any_image(target: Target, data: st.DataObject, tmp_path: Path) -> None:
    source = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    clear(tmp_path, source.name)
    guest, image = read(source, "qcow2"), tmp_path / "image"
    disk.convert(
        str(source),
        str(image),
        target_format=target.format,
        options=target.options,
        compress=target.compress,
        level="fast",
        verify=True,
    )
    assert read(image, target.format)[: len(guest)] == guest
    if target.format in QEMU_READS:
        assert qemu_img(tmp_path, "check", "-f", target.format, image.name).status in {0, 63}


@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_every_image_comes_out_of_every_other(specimen: Specimen, tmp_path: Path) -> None:
    source, guest = specimen.make(tmp_path)
    (tmp_path / "made").mkdir()
    others = {target.format for target in TARGETS} - {"qcow2"}  # which other tests make of every specimen
    for target in map(Target, others):
        image = tmp_path / "made" / f"image.{target.format}"
        disk.convert(str(source), str(image), source_format=specimen.format, target_format=target.format)
        with disk.open(str(image), "r", target.format) as chain:
            assert chain.read(0, len(guest)) == guest


@pytest.mark.parametrize("preallocation", ["falloc", "full"])
@pytest.mark.parametrize("name", RESERVING)
def test_room_that_was_reserved_stays_reserved(name: str, preallocation: str, tmp_path: Path) -> None:
    """Zeros of the source, and blocks that could be shared, take the room all the same."""
    source, image = tmp_path / "source.raw", tmp_path / "image"
    with source.open("wb") as file:
        file.write(b"x" * 4096 + bytes(MIB) + b"y")
        file.truncate(4 * MIB)
    Target(name, {"preallocation": preallocation}).make(source, image)
    assert image.stat().st_blocks * 512 >= 4 * MIB
    assert read(image, name) == source.read_bytes()
