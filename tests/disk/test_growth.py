"""Disks that become longer or shorter, and the partitions on them."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from virtkit import disk
from virtkit.core.errors import NotSupportedError, UsageError

DATA = Path(__file__).parent.parent / "data" / "partitions"
MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(bytes([7]) * (2 * MIB))
    return path


def resize(path: Path, size: int | None = None, **how: object) -> tuple[int, int]:
    found = disk.resize(str(path), size, source_format="raw", **how)  # type: ignore[arg-type]  # named as in its signature
    return found.before, found.after


def test_grows_by_an_amount_and_to_a_size(image: Path) -> None:
    assert resize(image, by=MIB) == (2 * MIB, 3 * MIB)
    assert resize(image, 5 * MIB - 100) == (3 * MIB, 5 * MIB)
    assert image.read_bytes() == bytes([7]) * (2 * MIB) + bytes(3 * MIB)


def test_shrinks_only_when_asked(image: Path) -> None:
    with pytest.raises(UsageError, match="1 MiB at the end of the disk would be lost") as caught:
        resize(image, by=-MIB)
    assert caught.value.hint == "--shrink"
    assert resize(image, by=-MIB, shrink=True) == (2 * MIB, MIB)
    assert image.read_bytes() == bytes([7]) * MIB
    with pytest.raises(UsageError, match="less than what shall be cut off"):
        resize(image, by=-2 * MIB, shrink=True)


def test_a_dry_run_refuses_alike_but_changes_nothing(image: Path) -> None:
    assert resize(image, MIB, shrink=True, dry_run=True) == (2 * MIB, MIB)
    with pytest.raises(UsageError):
        resize(image, MIB, dry_run=True)
    assert image.stat().st_size == 2 * MIB


def test_the_size_that_it_has_changes_nothing(image: Path) -> None:
    before = image.stat().st_mtime_ns
    assert resize(image, 2 * MIB) == (2 * MIB, 2 * MIB)
    assert image.stat().st_mtime_ns == before


@pytest.mark.parametrize(("mode", "room"), [("off", 2), ("falloc", 4), ("full", 4)])
def test_new_room_takes_as_much_of_the_file_system_as_was_asked(mode: str, room: int, image: Path) -> None:
    resize(image, 4 * MIB, preallocation=mode)
    assert image.stat().st_blocks * 512 == room * MIB
    assert image.read_bytes()[2 * MIB :] == bytes(2 * MIB)


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({"preallocation": "some"}, UsageError),
        ({"preallocation": "metadata"}, NotSupportedError),
        ({"preallocation": "full", "size": MIB, "shrink": True}, UsageError),
    ],
    ids=["unknown", "raw has none", "shrinking"],
)
def test_preallocations_that_make_no_sense_are_refused(
    how: dict[str, object], refusal: type[Exception], image: Path
) -> None:
    with pytest.raises(refusal):
        resize(image, **{"size": 3 * MIB, **how})  # type: ignore[arg-type]  # named as in its signature
    assert image.stat().st_size == 2 * MIB


@pytest.fixture(params=["gpt-parted", "mbr-logical"])
def partitioned(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """16 MiB; the last partition ends at 12 MiB, or at 14."""
    path = tmp_path / "disk.raw"
    path.write_bytes(lzma.decompress((DATA / f"{request.param}.xz").read_bytes()))
    return path


def test_no_partition_is_cut_unless_forced(partitioned: Path) -> None:
    with pytest.raises(UsageError, match=r"partition \d would be cut through: it ends at byte") as caught:
        resize(partitioned, 11 * MIB, shrink=True)
    assert "--force" in caught.value.hint
    assert partitioned.stat().st_size == 16 * MIB
    assert resize(partitioned, 11 * MIB, shrink=True, force=True) == (16 * MIB, 11 * MIB)


def test_shrinking_to_what_the_partitions_need_is_allowed(partitioned: Path) -> None:
    assert resize(partitioned, 14 * MIB + 33 * 512, shrink=True)[1] == 14 * MIB + 33 * 512


def test_says_what_a_guest_has_to_do(partitioned: Path) -> None:
    notes = disk.resize(str(partitioned), by=MIB, source_format="raw").notes
    assert any("growpart /dev/vda" in note for note in notes)
    is_gpt = partitioned.read_bytes()[512:520] == b"EFI PART"
    assert any("sgdisk -e" in note for note in notes) == is_gpt


def test_a_gpt_without_room_for_its_backup_is_told(tmp_path: Path) -> None:
    path = tmp_path / "disk.raw"
    path.write_bytes(lzma.decompress((DATA / "gpt-parted.xz").read_bytes()))
    notes = disk.resize(str(path), 12 * MIB, shrink=True, source_format="raw", dry_run=True).notes
    assert any("no room for the GPT's backup" in note for note in notes)
