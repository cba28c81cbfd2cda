"""The check of qcow2 counts what qemu-img counts, on whole images and on images that were damaged on purpose."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import disk, run
from support.reading import open_with
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.formats.qcow2.image import Qcow2Image
from virtkit.disk.formats.qcow2.layout import OFFSET, Header

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Findings
    from virtkit.disk.formats.qcow2.head import Head

pytestmark = pytest.mark.qemu

KINDS = (
    "-o compat=0.10",
    "-o cluster_size=512",
    "-o cluster_size=2M",
    "-c",
    "-c -o cluster_size=4k,refcount_bits=64",
    "-c -o compression_type=zstd",
    "-o refcount_bits=2",
    "-o refcount_bits=8",
    "-o refcount_bits=32",
    "-o preallocation=metadata",
    "-o extended_l2=on",
    "-c -o extended_l2=on,cluster_size=16k",
    "-o data_file={}/a.data",
    "-o data_file={}/a.data,data_file_raw=on,cluster_size=4k",
)


class Counts(NamedTuple):
    corruptions: int
    leaks: int
    image_end: int
    total: int
    allocated: int
    fragmented: int
    compressed: int


def ours(path: Path) -> Findings:
    image = open_with(FORMAT, path)
    try:
        return FORMAT.check(image)
    finally:
        image.close()


def counts_of(found: Findings) -> Counts:
    clusters = (found.total_clusters, found.allocated_clusters, found.fragmented_clusters, found.compressed_clusters)
    return Counts(found.corruptions, found.leaks, found.image_end, *clusters)


def counted_by_qemu(path: Path, *, key: str = "") -> Counts:
    opened = ["-f", "qcow2", str(path)]
    if key:
        opened = [
            "--object",
            f"secret,id=k,data={key}",
            "--image-opts",
            f"driver=qcow2,file.filename={path},encrypt.key-secret=k",
        ]
    command = ["qemu-img", "check", "--output", "json", *opened]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert not told["check-errors"]
    keys = ("corruptions", "leaks", "image-end-offset", "total-clusters")
    clusters = ("allocated-clusters", "fragmented-clusters", "compressed-clusters")
    return Counts(*(told.get(key, 0) for key in (*keys, *clusters)))


class Subject(NamedTuple):
    path: Path
    head: Head
    entries: list[int]  # where the entries of all tables are in the file, that of the refcount table left out


@pytest.fixture(scope="module", params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """An image with two snapshots, shared and rewritten clusters, and a bitmap where there can be one."""
    folder = tmp_path_factory.mktemp("check")
    raw, path = folder / "a.raw", folder / "a.qcow2"
    raw.write_bytes(disk())
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *request.param.format(folder).split(), raw, path)
    for name in ("one", "two"):
        if "data_file" not in request.param:
            run("qemu-img", "snapshot", "-c", name, path)
        run("qemu-io", "-f", "qcow2", "-c", "write 1M 300k", "-c", "write 2M 100k", path)
    if "0.10" not in request.param:
        run("qemu-img", "bitmap", "--add", path, "daily")
    image = open_with(FORMAT, path)
    image.close()
    assert isinstance(image, Qcow2Image)
    return Subject(path, image.head, entries_of(path, image.head))


def entries_of(path: Path, head: Head) -> list[int]:
    data, header = path.read_bytes(), head.header

    def table(at: int, count: int) -> list[int]:
        return [at + 8 * index for index in range(count)]

    def target(at: int) -> int:
        return int.from_bytes(data[at : at + 8], "big") & OFFSET

    l1 = table(header.l1_offset, header.l1_size)
    blocks = table(header.refcount_table_offset, 32)
    tables = [target(at) for at in (*l1, *blocks) if target(at)]
    return l1 + [entry for at in tables for entry in table(at, head.cluster_size // 8)[:700]]


def test_a_whole_image_has_no_findings(subject: Subject) -> None:
    found = ours(subject.path)
    assert (found.corruptions, found.leaks, found.details) == (0, 0, ())
    assert counts_of(found) == counted_by_qemu(subject.path)


@settings(max_examples=deep(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 32))
def test_damage_counts_as_in_qemu(subject: Subject, tmp_path: Path, seed: int) -> None:
    path = shutil.copyfile(subject.path, tmp_path / "damaged.qcow2")
    damage(path, subject, random.Random(seed))
    found = ours(path)
    assert counts_of(found) == counted_by_qemu(path), found.details
    assert bool(found.details) == bool(found.corruptions or found.leaks)


def damage(path: Path, subject: Subject, chance: random.Random) -> None:
    """One bit flipped in, or another entry copied over, one to three entries of L1, L2 and refcount blocks."""
    with path.open("r+b") as file:
        for _ in range(chance.randint(1, 3)):
            at = chance.choice(subject.entries)
            file.seek(chance.choice(subject.entries))
            other = file.read(8)
            file.seek(at)
            entry = int.from_bytes(file.read(8).ljust(8, b"\0"), "big")
            file.seek(at)
            file.write(other if chance.random() < 0.5 else (entry ^ 1 << chance.randrange(64)).to_bytes(8, "big"))


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
