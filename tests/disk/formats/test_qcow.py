"""qcow beyond what every format must do: compressed, encrypted, made dense, checked, cut off from power."""

from __future__ import annotations

import os
import random
import struct
from typing import TYPE_CHECKING

import pytest

from support.depth import deep
from support.images import ENCRYPTED, KIB, MIB, SECRET, SIZE, disk, read_by_qemu, run
from support.powercut import Diary
from virtkit import disk as virtkit
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.progress import silent
from virtkit.disk import Access
from virtkit.disk.chain import Layer
from virtkit.disk.format import CompactImage, Kind
from virtkit.disk.formats.qcow import FORMAT
from virtkit.disk.formats.qcow.layout import ENTRY, Header, read_head
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

(LOCKED,) = (specimen for specimen in ENCRYPTED if specimen.format == "qcow")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(disk())
    return path


def converted(source: Path, **wanted: object) -> Path:
    path = source.with_name("image.qcow")
    virtkit.convert(str(source), str(path), source_format="raw", target_format="qcow", **wanted)  # type: ignore[arg-type]  # as the caller has them
    return path


def read(path: Path, secret: bytes | None = None) -> bytes:
    with virtkit.open(str(path), "r", "qcow", Access(secret=secret)) as opened:
        return opened.read(0, opened.size)


def findings(path: Path) -> tuple[int, int]:
    found = virtkit.check(str(path), "qcow").findings
    return found.corruptions, found.leaks


@pytest.mark.parametrize("level", ["fast", "default", "best"])
def test_a_compressed_image_is_made_and_qemu_reads_it(source: Path, level: str) -> None:
    path = converted(source, compress=True, level=level)
    assert read_by_qemu(path, "qcow") == disk() == read(path)
    found = virtkit.check(str(path), "qcow").findings
    assert found[:2] == (0, 0)
    assert 0 < found.compressed_clusters < found.allocated_clusters
    plain = source.with_name("plain.qcow")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow", source, plain)
    assert path.stat().st_size < plain.stat().st_size


def test_compressed_clusters_are_overwritten_in_place(source: Path) -> None:
    path, content = converted(source, compress=True, level="fast"), bytearray(disk())
    with virtkit.open(str(path), "r+") as opened:
        for at in (0, 5000, 1 * MIB + 3, SIZE - 700):
            opened.write(at, b"over" * 100)
            content[at : at + 400] = b"over" * 100
    assert read_by_qemu(path, "qcow") == content == read(path)


def test_an_encrypted_image_is_made_and_written_and_qemu_reads_it(source: Path) -> None:
    path, content = converted(source, options={"encrypt.format": "aes"}, secret=SECRET), bytearray(disk())
    stored, sectors = path.read_bytes(), [disk()[at : at + 512] for at in range(0, SIZE, 50 * 512)]
    assert not any(sector in stored for sector in sectors if any(sector))
    assert read(path, SECRET) == read_by_qemu(path, "qcow", LOCKED.keys) == content
    with virtkit.open(str(path), "r+", "qcow", Access(secret=SECRET)) as opened:
        for at in (100, 300 * KIB, SIZE - 512):
            opened.write(at, b"x" * 512)
            content[at : at + 512] = b"x" * 512
    assert read(path, SECRET) == read_by_qemu(path, "qcow", LOCKED.keys) == content


@pytest.mark.parametrize("size", [512, 2 * MIB, 2 * MIB + 512, 10 << 40])
def test_a_new_image_is_laid_out_as_qemu_does(tmp_path: Path, size: int) -> None:
    ours, theirs = tmp_path / "ours.qcow", tmp_path / "theirs.qcow"
    virtkit.create(str(ours), size)
    run("qemu-img", "create", "-q", "-f", "qcow", theirs, str(size))
    assert ours.stat().st_size == theirs.stat().st_size
    with ours.open("rb") as one, theirs.open("rb") as other:
        assert one.read(64 * KIB) == other.read(64 * KIB)


def test_an_overlay_is_laid_out_as_qemu_does_and_read_by_it(tmp_path: Path, source: Path) -> None:
    base = converted(source)
    ours, theirs = tmp_path / "ours.qcow", tmp_path / "theirs.qcow"
    virtkit.create(str(ours), SIZE, backing=base.name, backing_format="qcow")
    run("qemu-img", "create", "-q", "-f", "qcow", "-b", base.name, "-F", "qcow", theirs, str(SIZE))
    assert ours.read_bytes() == theirs.read_bytes()
    with virtkit.open(str(ours), "r+") as opened:
        opened.write(1000, b"y" * 3000)
        opened.zero(1 * MIB, 100 * KIB)
    content = bytearray(disk())
    content[1000:4000] = b"y" * 3000
    content[1 * MIB : 1 * MIB + 100 * KIB] = bytes(100 * KIB)
    assert read_by_qemu(ours, "qcow") == content == read(ours)


def test_options_that_it_does_not_have_are_refused(source: Path) -> None:
    with pytest.raises(UsageError, match="encrypt.format is luks, expected aes"):
        converted(source, options={"encrypt.format": "luks"}, secret=SECRET)
    with pytest.raises(UsageError, match="the passphrase of the new image is missing"):
        converted(source, options={"encrypt.format": "aes"})
    with pytest.raises(NotSupportedError, match="disk size is 1 EiB, expected at most 512 TiB"):
        virtkit.create(str(source.with_name("huge.qcow")), 1 << 60)


def test_is_as_long_as_measured(source: Path) -> None:
    path = converted(source)
    measured = virtkit.measure(str(source), source_format="raw", target_format="qcow")
    assert path.stat().st_size <= measured.required <= measured.fully_allocated
    full = source.with_name("full.qcow")
    virtkit.convert(str(source), str(full), source_format="raw", target_format="qcow", sparse=0)
    assert full.stat().st_size == measured.fully_allocated


def test_compact_drops_zeros_and_fills_gaps(source: Path) -> None:
    path, content = converted(source), bytearray(disk())
    with virtkit.open(str(path), "r+") as opened:
        assert isinstance(opened.top, CompactImage)
        opened.discard(64 * KIB, 2 * MIB)
        opened.write(4 * MIB, bytes(512 * KIB))
        content[64 * KIB : 64 * KIB + 2 * MIB] = bytes(2 * MIB)
        content[4 * MIB : 4 * MIB + 512 * KIB] = bytes(512 * KIB)
        opened.top.compact(silent)
    assert findings(path) == (0, 0)
    assert read_by_qemu(path, "qcow") == content == read(path)
    source.write_bytes(content)
    fresh = source.with_name("fresh.qcow")
    virtkit.convert(str(source), str(fresh), source_format="raw", target_format="qcow")
    assert path.stat().st_size == fresh.stat().st_size


def test_a_disk_grows_beyond_its_l1_table(source: Path) -> None:
    path = converted(source)
    with virtkit.open(str(path), "r+") as opened:
        opened.resize(100 * MIB)
        opened.write(99 * MIB, b"far")
    with virtkit.open(str(path)) as opened:
        assert opened.read(99 * MIB, 3) == b"far"
    assert read_by_qemu(path, "qcow")[:SIZE] == disk()
    assert findings(path)[0] == 0


def first_table(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(Header.offset_of("l1_offset"))
        file.seek(int.from_bytes(file.read(8), "big"))
        return int.from_bytes(file.read(8), "big")


@pytest.mark.parametrize(
    ("entry", "said"),
    [(1 << 40, "behind the end of the file"), (0, "overlaps header"), (4097, "expected a multiple of 512")],
)
def test_check_finds_entries_that_lie(source: Path, entry: int, said: str) -> None:
    path = converted(source, sparse=0)
    assert findings(path) == (0, 0)
    table = first_table(path)
    with path.open("r+b") as file:
        file.seek(table + ENTRY)
        file.write(struct.pack(">Q", entry or 1 << 63 | 100 << 51))
    found = virtkit.check(str(path), "qcow").findings
    assert found.corruptions
    assert any(said in detail for detail in found.details), found.details


def test_check_counts_clusters_that_nothing_names(source: Path) -> None:
    path = converted(source)
    os.truncate(path, path.stat().st_size + 3 * 4096)
    assert findings(path) == (0, 3)


SCRIPT = (
    ("write", 3000, 90 * KIB), ("flush", 0, 0), ("write", 1 * MIB, 3 * MIB), ("discard", 8 * KIB, 64 * KIB),
    ("flush", 0, 0), ("write", 20 * KIB, 10 * KIB), ("resize", 9 * MIB, 0), ("write", 8 * MIB, 5000), ("compact", 0, 0),
    ("write", 2 * MIB, 100), ("resize", 3 * MIB, 0), ("resize", 4 * MIB, 0), ("compact", 0, 0), ("flush", 0, 0),
)  # fmt: skip


def history(chain: LiveChain, changes: list[object]) -> list[tuple[int, int]]:
    """After which changes of the file which step had been flushed."""
    flushed = [(0, 0)]
    for number, (verb, at, length) in enumerate(SCRIPT, 1):
        if verb == "write":
            chain.write(at, bytes([number]) * length)
        elif verb == "discard":
            chain.discard(at, length)
        elif verb == "resize":
            chain.resize(at)
        elif verb == "compact":
            assert isinstance(chain.top, CompactImage)
            chain.top.compact(silent)
        else:
            chain.flush()
            flushed.append((len(changes), number))
    return flushed


def after(steps: int) -> list[set[int]]:
    """By sector: what it may hold when that many steps are safe and the others maybe done."""
    sectors: list[set[int]] = [{0} for _ in range(9 * MIB // 512)]
    for number, (verb, at, length) in enumerate(SCRIPT, 1):
        first, last = at // 512, -(-(at + length) // 512)
        if verb == "resize":
            first, last = at // 512, len(sectors)
        if verb in {"write", "discard", "resize"}:
            value = number if verb == "write" else 0
            for sector in range(first, last):
                old = sectors[sector]
                whole = at <= sector * 512 and (sector + 1) * 512 <= at + length
                sectors[sector] = {value} if number <= steps and verb == "write" and whole else {value, *old}
    return sectors


@pytest.mark.parametrize("seed", range(deep(2)))
def test_killed_or_without_power_it_is_never_corrupt(tmp_path: Path, seed: int) -> None:
    path, left, chance = tmp_path / "image.qcow", tmp_path / "left.qcow", random.Random(seed)
    virtkit.create(str(path), 5 * MIB)
    diary = Diary.open(path, writable=True)
    chain = LiveChain([Layer(FORMAT.open(diary, Access(writable=True)), "qcow")])
    flushed = history(chain, diary.changes)  # type: ignore[arg-type]  # only counted
    for cut in range(len(diary.changes) + 1):
        diary.after_a_kill(left, cut) if chance.random() < 0.3 else diary.after_a_power_cut(left, cut, chance)
        assert findings(left)[0] == 0, virtkit.check(str(left), "qcow").findings.details
        allowed = after(max(step for changes, step in flushed if changes <= cut))
        data = read(left)
        for at in range(0, len(data), 512):
            assert set(data[at : at + 512]) <= allowed[at // 512], (cut, at)
    chain.close()


def test_what_is_over_nothing_is_a_hole(source: Path) -> None:
    path = converted(source)
    with virtkit.open(str(path), "r+") as opened:
        opened.zero(0, SIZE)
        assert {extent.kind for extent in opened.extents()} == {Kind.HOLE}
        assert read_head(opened.top.file).size == SIZE
