"""Internal snapshots, held against qemu-img."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import KIB, MIB, run
from virtkit import disk
from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.disk import history

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """1 MiB of 1s."""
    path = tmp_path / "image.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", path)
    return path


def write(path: Path, byte: int, at: str, length: str) -> None:
    run("qemu-io", "-f", "qcow2", "-c", f"write -P {byte} {at} {length}", path)


def told(path: Path) -> list[tuple[str, str]]:
    found = json.loads(run("qemu-img", "info", "--output", "json", path)).get("snapshots", [])
    return [(one["id"], one["name"]) for one in found]


def test_qemu_sees_what_was_kept_and_goes_back_to_it(image: Path) -> None:
    made = disk.create_snapshot(str(image), "first")
    assert (made.id, made.name, made.size) == ("1", "first", 4 * MIB)
    write(image, 2, "0", "512k")
    disk.create_snapshot(str(image), "second")
    assert (
        told(image)
        == [("1", "first"), ("2", "second")]
        == [(one.id, one.name) for one in history.snapshots(str(image))]
    )
    run("qemu-img", "check", image)
    run("qemu-img", "snapshot", "-a", "first", image)
    with disk.open(str(image)) as opened:
        assert opened.read(0, MIB) == bytes([1]) * MIB


def test_goes_back_to_what_qemu_kept_and_forgets_it(image: Path) -> None:
    run("qemu-img", "snapshot", "-c", "first", image)
    write(image, 2, "0", "2M")
    assert disk.apply_snapshot(str(image), "first").id == "1"
    assert run("qemu-io", "-f", "qcow2", "-c", "read -P 1 0 1M", "-c", "read -P 0 1M 3M", image).count("failed") == 0
    disk.delete_snapshot(str(image), "1")
    assert told(image) == []
    run("qemu-img", "check", image)
    with disk.open(str(image)) as opened:
        assert opened.read(0, 4 * MIB) == bytes([1]) * MIB + bytes(3 * MIB)


def test_one_of_them_becomes_an_image_of_its_own(image: Path, tmp_path: Path) -> None:
    disk.create_snapshot(str(image), "first")
    write(image, 2, "0", "512k")
    made = disk.convert(str(image), str(tmp_path / "first.raw"), snapshot="first")
    assert made.size == 4 * MIB
    assert (tmp_path / "first.raw").read_bytes() == bytes([1]) * MIB + bytes(3 * MIB)


def test_a_deletion_frees_what_no_other_state_uses(image: Path) -> None:
    disk.create_snapshot(str(image), "first")
    assert history.freed_by_deleting(str(image), "first") == 0
    write(image, 2, "0", "256k")
    assert history.freed_by_deleting(str(image), "first") == 256 * KIB
    disk.create_snapshot(str(image), "second")
    write(image, 3, "128k", "256k")
    assert history.freed_by_deleting(str(image), "first") == 256 * KIB
    assert history.freed_by_deleting(str(image), "second") == 128 * KIB


def test_wrong_names_are_refused_and_change_nothing(image: Path) -> None:
    disk.create_snapshot(str(image), "first")
    before = image.read_bytes()
    for dry_run in (True, False):
        with pytest.raises(UsageError, match="first"):
            disk.create_snapshot(str(image), "first", dry_run=dry_run)
    with pytest.raises(UsageError, match="needs a name"):
        disk.create_snapshot(str(image), "")
    for change in (disk.apply_snapshot, disk.delete_snapshot, disk.find_snapshot):
        with pytest.raises(NotFoundError, match=r"expected one of its own: first \(1\)"):
            change(str(image), "gone")
    assert image.read_bytes() == before


def test_a_format_without_snapshots_says_so(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vdi", tmp_path / "image.vdi", "1M")
    for verb in (disk.create_snapshot, disk.apply_snapshot, disk.delete_snapshot):
        with pytest.raises(NotSupportedError, match="format vdi has no internal snapshots"):
            verb(str(tmp_path / "image.vdi"), "x")


STRETCHES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda one: (one[0], one[0] + one[1])))


@settings(max_examples=deep(200))
@given(some=STRETCHES, others=STRETCHES)
def test_what_two_sets_of_stretches_share_is_counted_byte_by_byte(
    some: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    apart = list(history._joined(sorted(some)))
    bytes_of_some = {byte for start, end in apart for byte in range(start, end)}
    bytes_of_others = {byte for start, end in others for byte in range(start, end)}
    assert history._common(apart, sorted(others)) == len(bytes_of_some & bytes_of_others)
