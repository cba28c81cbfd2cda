"""The check of qcow2 counts what qemu-img counts, on whole images and on images that were damaged on purpose."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.damage import KINDS, Subject, counted_by_qemu, counts_of, damage, entries_of, make_subject
from support.depth import deep
from support.images import run
from support.reading import open_with
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2 import FORMAT, window
from virtkit.disk.formats.qcow2.bulkcheck import BulkCheck
from virtkit.disk.formats.qcow2.bulkcounts import Singles
from virtkit.disk.formats.qcow2.image import Qcow2Image
from virtkit.disk.formats.qcow2.layout import Header
from virtkit.disk.formats.qcow2.refcounts import Refcounts

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Findings

pytestmark = pytest.mark.qemu


def ours(path: Path) -> Findings:
    image = open_with(FORMAT, path)
    try:
        return FORMAT.check(image)
    finally:
        image.close()


def in_bulk(path: Path) -> Findings:
    """As a large image is checked, with a window that even this one does not fit in."""
    image = open_with(FORMAT, path)
    assert isinstance(image, Qcow2Image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "ROOM", 1 << 11)
        patch.setattr(bulk, "BATCH", 3 << 16)
        check = BulkCheck(image.file, image.head)
        check.run()
    image.close()
    return check.findings()


@pytest.fixture(scope="module", params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("check"), request.param)


def test_a_whole_image_has_no_findings(subject: Subject) -> None:
    found = ours(subject.path)
    assert (found.corruptions, found.leaks, found.details) == (0, 0, ())
    assert counts_of(found) == counted_by_qemu(subject.path)
    assert in_bulk(subject.path) == found


@settings(max_examples=deep(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_damage_counts_as_in_qemu(subject: Subject, tmp_path: Path, seed: int) -> None:
    path = shutil.copyfile(subject.path, tmp_path / "damaged.qcow2")
    damage(path, subject, random.Random(seed))
    found, large = ours(path), in_bulk(path)
    assert counts_of(found) == counted_by_qemu(path), found.details
    assert bool(found.details) == bool(found.corruptions or found.leaks)
    assert counts_of(large) == counts_of(found), (found.details, large.details)
    assert bool(large.details) == bool(found.details)


@pytest.fixture(scope="module", params=[1 << order for order in range(7)])
def dense(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Every cluster is used once, and there are enough of them to fill refcount blocks of this width."""
    path = tmp_path_factory.mktemp("dense") / "a.qcow2"
    options = f"cluster_size=512,refcount_bits={request.param},preallocation=metadata"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", options, path, "3M")
    image = open_with(FORMAT, path)
    image.close()
    assert isinstance(image, Qcow2Image)
    return Subject(path, image.head, entries_of(path, image.head))


def test_refcount_blocks_full_of_ones_are_known_as_such(dense: Subject) -> None:
    image = open_with(FORMAT, dense.path)
    assert isinstance(image, Qcow2Image)
    refcounts = Refcounts(image.file, image.head)
    clusters = dense.path.stat().st_size // 512
    singles = Singles(refcounts, clusters)
    counts = list(refcounts.get(0, clusters))
    image.close()
    step = refcounts.block_entries
    assert singles.whole == {index for index in range(clusters // step) if set(counts[index * step :][:step]) == {1}}
    assert singles.whole
    assert [singles.has(cluster) for cluster in range(clusters)] == [count == 1 for count in counts]
    assert not singles.has(clusters * 9)


@settings(max_examples=deep(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_damage_among_ones_counts_as_in_qemu(dense: Subject, tmp_path: Path, seed: int) -> None:
    assert in_bulk(dense.path) == ours(dense.path)
    path = shutil.copyfile(dense.path, tmp_path / "damaged.qcow2")
    damage(path, dense, random.Random(seed))
    found, large = ours(path), in_bulk(path)
    assert counts_of(large) == counts_of(found) == counted_by_qemu(path), (found.details, large.details)
    assert bool(large.details) == bool(found.details)


def test_key_material_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    options = "encrypt.format=luks,encrypt.iter-time=10,encrypt.key-secret=k"
    run("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=k,data=abc", "-o", options, path, "1M")
    assert counts_of(ours(path)) == counted_by_qemu(path, key="abc")
    assert ours(path).leaks == 0


@pytest.mark.parametrize("damaged", ["leak", "corruption"])
def test_a_refcount_that_is_wrong_is_told_with_its_cluster(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", path)
    block = int.from_bytes(path.read_bytes()[0x10000:0x10008], "big")
    with path.open("r+b") as file:
        file.seek(block + 2 * 5)
        file.write(b"\0\2" if damaged == "leak" else b"\0\0")
    found = ours(path)
    assert (found.leaks, found.corruptions) == ((1, 1) if damaged == "leak" else (0, 2))
    assert any(detail.startswith("cluster 5 at 0x50000: refcount is ") for detail in found.details)


def test_tables_of_snapshots_that_overlap_are_counted_as_qemu_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=512", path, "4M")
    for name in ("one", "two"):
        run("qemu-io", "-f", "qcow2", "-c", "write 1M 300k", path)
        run("qemu-img", "snapshot", "-c", name, path)
    image = open_with(FORMAT, path)
    assert isinstance(image, Qcow2Image)
    at = image.head.header.snapshots_offset
    image.close()
    with path.open("r+b") as file:
        file.seek(at)
        first = int.from_bytes(file.read(8), "big")
        second = -(-(at + 40 + 24 + 4) // 8) * 8
        file.seek(second)
        file.write((first + 512).to_bytes(8, "big"))
    assert ours(path).corruptions
    assert counts_of(ours(path)) == counted_by_qemu(path)


def test_a_refcount_block_at_an_odd_place_is_one_corruption(tmp_path: Path) -> None:
    """qemu-img counts it once too, and adds a check error for every cluster that the block is for."""
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    with path.open("r+b") as file:
        file.seek(0x10000)
        file.write((0x20200).to_bytes(8, "big"))
    found = ours(path)
    assert any("refcount block 0 is at 0x20200" in detail for detail in found.details)


def test_details_end_after_a_hundred(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, "64M")
    head = Header.parse(path.read_bytes()[: Header.SIZE])
    with path.open("r+b") as file:
        file.seek(head.refcount_table_offset)
        block = int.from_bytes(file.read(8), "big")
        file.seek(block)
        file.write(b"\0\7" * 1000)
    found = ours(path)
    assert found.leaks >= 1000
    assert len(found.details) == 100
