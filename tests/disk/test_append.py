"""A raw disk made longer, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import holding
from support.images import KIB, MIB, run
from support.mounts import small_file_system
from virtkit.core.errors import BusyError, NotSupportedError, SystemCallError, UsageError
from virtkit.core.progress import Advanced
from virtkit.disk.access import Access
from virtkit.disk.append import append

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event

DATA = bytes(range(256)) * 2 * KIB  # 512 KiB


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(DATA)
    return path


@pytest.mark.parametrize(("preallocation", "taken"), [("off", 0), ("falloc", 3 * MIB), ("full", 3 * MIB)])
def test_the_room_at_the_end_is_zeros_and_the_rest_is_as_before(disk: Path, preallocation: str, taken: int) -> None:
    done = append(str(disk), 3 * MIB, preallocation=preallocation)
    assert disk.read_bytes() == DATA + bytes(3 * MIB)
    assert (done.before, done.after) == (len(DATA), len(DATA) + 3 * MIB)
    assert done.allocated_after is not None
    assert abs(done.allocated_after - done.allocated_before - taken) < 64 * KIB
    assert done.allocated_after == disk.stat().st_blocks * 512


def test_a_file_that_ends_within_a_sector_ends_with_one(disk: Path) -> None:
    with disk.open("ab") as file:
        file.write(b"odd")
    append(str(disk), MIB)
    assert disk.read_bytes() == (DATA + b"odd").ljust(len(DATA) + 512 + MIB, b"\0")


def test_a_look_changes_nothing(disk: Path) -> None:
    done = append(str(disk), MIB, dry_run=True)
    assert (done.after, done.allocated_after) == (len(DATA) + MIB, None)
    assert disk.read_bytes() == DATA


@pytest.mark.qemu
def test_a_disk_in_use_is_refused(disk: Path) -> None:
    for dry_run in (True, False):
        with holding.qemu_io(disk, "raw"), pytest.raises(BusyError, match="is in use by qemu-io, PID"):
            append(str(disk), MIB, dry_run=dry_run)
    assert disk.read_bytes() == DATA


@pytest.mark.qemu
def test_an_image_of_another_format_is_refused_unless_a_guest_wrote_that(tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
    size = image.stat().st_size
    with pytest.raises(UsageError, match="format is qcow2 by its signature, expected a raw disk") as refused:
        append(str(image), MIB)
    assert f"virtkit disk resize {image} +SIZE" in refused.value.hint
    assert image.stat().st_size == size
    append(str(image), MIB, access=Access(trust_format=True))
    assert image.stat().st_size == -(-size // 512) * 512 + MIB


@pytest.mark.parametrize("length", [0, -512])
def test_nothing_and_less_cannot_be_appended(disk: Path, length: int) -> None:
    with pytest.raises(UsageError, match="expected more than 0"):
        append(str(disk), length)


def test_broken_off_it_is_as_long_as_before(disk: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        append(str(disk), 32 * MIB, preallocation="full", report=stop)
    assert disk.read_bytes() == DATA


def test_where_the_file_system_has_no_room_it_is_as_long_as_before(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=8 * MIB) as folder:
        disk = folder / "disk.raw"
        disk.write_bytes(DATA)
        with pytest.raises(SystemCallError):
            append(str(disk), 16 * MIB, preallocation="falloc")
        assert disk.read_bytes() == DATA


def test_a_block_device_is_refused(loop_device: str) -> None:
    with pytest.raises(NotSupportedError, match="is a block device, expected a file"):
        append(loop_device, MIB)
