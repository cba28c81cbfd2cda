"""resize, for every format that is written in place: what qemu-img says and reads afterwards is the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import KIB
from support.layers import STACKED, VARIANTS, copied, created, ground, judged_by_qemu, laid, patterned, read
from virtkit import disk
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

SIZE = 200 * KIB + 512  # bytes
LARGER = 3 * 1024 * KIB + 512


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    format_, options = request.param
    path = tmp_path_factory.mktemp("made") / f"image.{format_}"
    created(path, format_, options, size=SIZE)
    with disk.open(str(path), "r+", format_) as opened:
        opened.write(0, patterned(SIZE, "own"))
    return path, format_


def resized(path: Path, format_: str, size: int, mode: str = "off") -> bool:
    """False where the format cannot, as few may; it is unchanged then."""
    before = read(path, format_)
    try:
        disk.resize(str(path), size, source_format=format_, shrink=True, preallocation=mode)
    except NotSupportedError as error:
        assert read(path, format_) == before
        if format_ == "cow":
            assert "keeps its data elsewhere" in error.message  # noqa: PT017  most can
        else:
            assert (format_, mode) == ("raw", "metadata")
        return False
    return True


@pytest.mark.parametrize("mode", ["off", "metadata", "falloc", "full"])
def test_new_room_reads_as_zeros_however_it_is_made(mode: str, made: tuple[Path, str]) -> None:
    original, format_ = made
    path = copied(original.parent) / original.name
    if not resized(path, format_, LARGER, mode):
        return
    wanted = patterned(SIZE, "own").ljust(LARGER, b"\0")
    assert read(path, format_) == wanted
    judged_by_qemu(path, format_, wanted)
    if mode in {"falloc", "full"}:
        taken = sum(file.stat().st_blocks * 512 for file in path.parent.iterdir())
        assert taken >= LARGER - SIZE


def test_what_is_cut_off_does_not_come_back(made: tuple[Path, str]) -> None:
    original, format_ = made
    path = copied(original.parent) / original.name
    if not all(resized(path, format_, size) for size in (1024, LARGER)):
        return
    wanted = patterned(SIZE, "own")[:1024].ljust(LARGER, b"\0")
    assert read(path, format_) == wanted
    judged_by_qemu(path, format_, wanted)


@pytest.mark.parametrize("variant", STACKED, ids=lambda variant: " ".join(variant).strip())
def test_a_longer_backing_image_does_not_shine_through(
    variant: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    format_, options = variant
    probe = tmp_path_factory.mktemp("probe")
    on = ground(probe, format_, options)
    folder = tmp_path_factory.mktemp("overlay")
    laid(folder / f"base.{on}", on, patterned(LARGER, "base"))
    path = created(folder / f"image.{format_}", format_, options, size=SIZE, backing=f"base.{on}", on=on)
    assert resized(path, format_, 600 * KIB)
    wanted = patterned(SIZE, "base").ljust(600 * KIB, b"\0")
    assert read(path, format_) == wanted
    judged_by_qemu(path, format_, wanted)
