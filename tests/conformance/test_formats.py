"""Every module in disk/formats must pass this; it is found by itself, its images are those that QEMU's tools wrote."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.images import ENCRYPTED, SIZE, SPECIMENS, Specimen, run
from support.reading import assert_covers, content, open_with
from virtkit.core import plugins
from virtkit.core.errors import CorruptImageError
from virtkit.disk import formats
from virtkit.disk.format import Format, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.format import Image

pytestmark = pytest.mark.qemu

FORMATS = plugins.collect(formats, Format, "FORMAT")
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "index.json"
ALL = (*SPECIMENS, *ENCRYPTED)
STRUCTURED = tuple(specimen for specimen in ALL if specimen.format not in {"raw", "luks"})  # whose length is the file's
MAY_LACK_A_TAIL = {"qcow2"}  # QEMU writes only what the guest wrote of the last cluster in the file
SEVERAL = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Made(NamedTuple):
    specimen: Specimen
    path: Path
    guest: bytes

    @property
    def format(self) -> Format:
        return FORMATS[self.specimen.format]


@pytest.fixture(scope="module", params=ALL, ids=str)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    specimen: Specimen = request.param
    return Made(specimen, *specimen.make(tmp_path_factory.mktemp("image")))


@pytest.fixture
def image(made: Made) -> Iterator[Image]:
    opened = open_with(made.format, made.path)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_an_image_that_another_program_wrote(name: str) -> None:
    made = {specimen.format for specimen in ALL} | {
        entry["format"] for entry in json.loads(GOLDEN.read_text()).values()
    }
    assert name in made


def test_reads_what_qemu_wrote(made: Made, image: Image) -> None:
    assert image.size == len(made.guest)
    assert content(image) == made.guest


@SEVERAL
@given(st.data())
def test_extents_cover_any_range_exactly_and_hold_its_bytes(made: Made, image: Image, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, SIZE - 1))
    length = data.draw(st.integers(1, SIZE - start))
    assert_covers(image, start, length)
    assert content(image, start, length) == made.guest[start : start + length]


def test_an_empty_range_has_no_extents(image: Image) -> None:
    assert not list(image.extents(0, 0))
    assert not list(image.extents(image.size, 0))


def test_one_format_and_no_other_knows_the_file(made: Made) -> None:
    head = made.path.read_bytes()[:1024]
    assert [name for name, found in FORMATS.items() if found.probe(head)] == (
        [] if made.specimen.format == "raw" else [made.specimen.format]
    )


@pytest.mark.parametrize("name", FORMATS)
@given(head=st.binary(max_size=1024))
def test_probing_takes_any_bytes(name: str, head: bytes) -> None:
    assert FORMATS[name].probe(head) in {True, False}
    assert not FORMATS[name].probe(b"")


def test_facts_are_those_of_qemu_img(made: Made, image: Image) -> None:
    told = json.loads(run("qemu-img", "info", "-f", made.specimen.format, "--output", "json", made.path))
    assert image.size == told["virtual-size"]
    assert image.facts.cluster_size == told.get("cluster-size")
    assert image.facts.dirty == told["dirty-flag"]
    assert dict(image.facts.specific or {}) == told.get("format-specific", {"data": {}})["data"]
    assert [dict(snapshot) for snapshot in image.facts.snapshots] == told.get("snapshots", [])


@pytest.fixture(scope="module", params=STRUCTURED, ids=str)
def cut(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    specimen: Specimen = request.param
    return Made(specimen, *specimen.make(tmp_path_factory.mktemp("cut")))


def test_a_file_that_is_cut_short_is_an_error_and_never_other_bytes(cut: Made, tmp_path: Path) -> None:
    whole = cut.path.stat().st_size
    for length in _boundaries(cut):
        copy = shutil.copytree(cut.path.parent, tmp_path, dirs_exist_ok=True) / cut.path.name
        os.truncate(copy, length)
        found = _content_or_error(cut.format, copy)
        if isinstance(found, CorruptImageError):
            assert found.image == str(copy)
            assert "(at byte 0x" in str(found)
        elif cut.specimen.format not in MAY_LACK_A_TAIL or whole - length >= _cluster_size(cut):
            assert found == cut.guest, f"cut at {length:#x} of {whole:#x}"


def _content_or_error(format_: Format, path: Path) -> bytes | CorruptImageError:
    try:
        opened = open_with(format_, path)
    except CorruptImageError as error:
        return error
    try:
        return content(opened)
    except CorruptImageError as error:
        return error
    finally:
        opened.close()


def _cluster_size(made: Made) -> int:
    opened = open_with(made.format, made.path)
    try:
        return opened.facts.cluster_size or 0
    finally:
        opened.close()


def _boundaries(made: Made) -> list[int]:
    """Ends of headers and of sectors in front, starts and ends of the guest's data, the last bytes."""
    whole = made.path.stat().st_size
    opened = open_with(made.format, made.path)
    placed = [extent for extent in opened.extents(0, opened.size) if extent.kind in {Kind.DATA, Kind.CODED}]
    opened.close()
    edges = {
        at
        for extent in placed[:: len(placed) // 12 + 1]
        for at in (extent.at, extent.at + 1, extent.at + extent.length // 2)
    }
    edges |= {0, 1, 4, 71, 72, 104, 112, 396, 512, 513, 1024, whole - 1025, whole - 1024, whole - 512, whole - 1}
    edges |= set(range(0, whole, max(whole // 16 // 512, 1) * 512))
    return sorted(edge for edge in edges if 0 <= edge < whole)
