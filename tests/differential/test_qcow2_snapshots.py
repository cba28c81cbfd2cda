"""Internal snapshots, ours and QEMU's, made, gone back to and deleted in any order on images of any kind."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.test_qcow2_live import SIZE, Model, Step, disk, steps
from golden.test_golden import unpack
from support.backends import numpy_always
from support.depth import deep
from support.images import read_by_qemu, run
from support.qcow2 import PLAIN, Make, assert_clean
from support.reading import content, open_with
from virtkit.core.errors import ImageError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.progress import silent
from virtkit.disk.format import CompactImage, LiveSnapshotImage, Snapshot, SnapshotImage
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.live import open_live

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
COUNTED = tuple(make for make in (*PLAIN, Make(encrypted="aes")) if "refcount_bits=1" not in make.options)
SCRIPTS = st.lists(
    steps("write write zero discard create create apply delete their-create their-delete compact"), max_size=14
)


class Past(Model):
    """A disk with what it was at each snapshot."""

    def __init__(self, make: Make, image: Path, disk: bytes) -> None:
        super().__init__(make, image, disk)
        self.kept: dict[str, bytes] = {}
        self.made = 0

    def apply(self, step: Step) -> None:
        chosen = sorted(self.kept)[step.seed % len(self.kept)] if self.kept else ""
        top = self.live.top
        assert isinstance(top, LiveSnapshotImage)
        if step.verb in {"create", "their-create"}:
            self.made += 1
            if len(self.kept) == 2:  # refcounts of two bits count to three
                return
            self.kept[f"n{self.made}"] = bytes(self.disk)
            if step.verb == "create":
                top.create_snapshot(Snapshot("", f"n{self.made}", 0, date=1000.25))
            else:
                self.by_qemu("-c", f"n{self.made}")
        elif step.verb == "compact":
            assert isinstance(top, CompactImage)
            top.compact(silent)
        elif step.verb == "apply" and chosen:
            top.apply_snapshot(chosen)
            self.disk = bytearray(self.kept[chosen])
        elif step.verb == "delete" and chosen:
            top.delete_snapshot(chosen)
            del self.kept[chosen]
        elif step.verb == "their-delete" and chosen:
            self.by_qemu("-d", chosen)
            del self.kept[chosen]
        elif step.verb in {"write", "zero", "discard"}:
            super().apply(step)

    def by_qemu(self, verb: str, name: str) -> None:
        self.live.close()
        words = self.make.words(self.image)
        run("qemu-img", "snapshot", verb, name, *(words if self.make.encrypted else words[2:]))
        self.live = self.open()

    def check(self) -> None:
        super().check()
        for name, was in self.kept.items():
            other = self.image.with_name("snapshot.raw")
            words = self.make.words(self.image)
            run("qemu-img", "convert", *words[:-1], "-O", "raw", "-l", f"snapshot.name={name}", words[-1], other)
            assert other.read_bytes() == was


@pytest.mark.parametrize("make", COUNTED, ids=str)
@SEVERAL
@given(script=SCRIPTS, wide=st.booleans())
def test_snapshots_hold_what_the_disk_was_whoever_made_them(
    make: Make, script: list[Step], *, wide: bool, tmp_path: Path
) -> None:
    plain = disk(make)
    model = Past(make, make.create(tmp_path, plain), plain)
    with numpy_always(wanted=wide):
        for step in script:
            model.apply(step)
    model.check()


def made(folder: Path, *commands: str, options: str = "") -> Path:
    image = Make(options).create(folder, bytes(4 << 20))
    for command in commands:
        run(*command.split(), image)
    return image


def live(image: Path) -> LiveSnapshotImage:
    top = open_live(str(image), "qcow2").top
    assert isinstance(top, LiveSnapshotImage)
    return top


def kept(image: Path) -> SnapshotImage:
    opened = open_with(FORMAT, image)
    assert isinstance(opened, SnapshotImage)
    return opened


def test_a_snapshot_is_listed_as_it_was_made(tmp_path: Path) -> None:
    image = made(tmp_path)
    top = live(image)
    first = top.create_snapshot(Snapshot("", "第一", 0, date=1700000000.5, clock=3_000_000_007, instructions=9))
    second = top.create_snapshot(Snapshot("17", "second", 0))
    third = top.create_snapshot(Snapshot("", "third", 0))
    assert [one.id for one in (first, second, third)] == ["1", "17", "18"]
    assert top.snapshots() == [first, second, third]
    assert first == Snapshot("1", "第一", 4 << 20, 0, 1700000000.5, 3_000_000_007, 9)
    top.close()
    told = json.loads(run("qemu-img", "info", "--output", "json", image))["snapshots"]
    assert (told[0]["id"], told[0]["name"], told[0]["date-sec"], told[0]["vm-clock-nsec"]) == (
        "1",
        "第一",
        1700000000,
        7,
    )
    opened = kept(image)
    assert [dict(one) for one in opened.facts.snapshots] == told
    opened.close()


def test_an_id_wins_over_a_name(tmp_path: Path) -> None:
    image = made(tmp_path)
    top = live(image)
    top.write(0, b"a" * 512)
    top.create_snapshot(Snapshot("", "2", 0))
    top.write(0, b"b" * 512)
    top.create_snapshot(Snapshot("", "1", 0))
    assert content(top.view("2"), 0, 512) == b"b" * 512
    assert content(top.view("1"), 0, 512) == b"a" * 512
    top.close()


@pytest.mark.parametrize("options", ["", "extended_l2=on", "cluster_size=512", "compat=0.10"])
@pytest.mark.parametrize("size", [1, 100_000, 3 << 20])
def test_the_state_of_a_machine_is_kept_and_leaves_the_disk_alone(tmp_path: Path, options: str, size: int) -> None:
    image = made(tmp_path, options=options)
    state = random.Random(size).randbytes(size)
    top = live(image)
    top.write(4096, b"x" * 4096)
    pieces = (state[at : at + 70_001] for at in range(0, size, 70_001))
    assert top.create_snapshot(Snapshot("", "on", 0), pieces).state_size == size
    top.write(4096, b"y" * 4096)
    top.flush()
    top.close()
    assert_clean(image)
    opened = kept(image)
    assert opened.read_state("on", 0, size + 5) == state
    assert opened.read_state("on", size // 2, 10) == state[size // 2 :][:10]
    opened.close()
    run("qemu-img", "snapshot", "-a", "on", image)
    assert_clean(image)
    assert read_by_qemu(image, "qcow2")[4096:8192] == b"x" * 4096
    top = live(image)
    top.create_snapshot(Snapshot("", "off", 0))
    top.delete_snapshot("on")
    top.delete_snapshot("off")
    top.close()
    assert_clean(image)


def test_the_state_that_a_machine_under_qemu_left_is_read(tmp_path: Path) -> None:
    opened = kept(unpack("qemu7-qcow2-vmstate", tmp_path))
    machine = max(opened.snapshots(), key=lambda snapshot: snapshot.state_size)
    state = opened.read_state(machine.name, 0, machine.state_size)
    assert state[:4] == b"QEVM"  # QEMU, migration/savevm.c
    assert len(state) == machine.state_size
    assert opened.read_state(machine.id, 1000, 5000) == state[1000:6000]
    opened.close()


def test_a_snapshot_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    top = live(made(tmp_path))
    for ask in (top.view, top.apply_snapshot, top.delete_snapshot, lambda name: top.read_state(name, 0, 1)):
        with pytest.raises(NotFoundError, match="has no snapshot nobody"):
            ask("nobody")
    top.close()


def test_a_disk_that_was_resized_has_its_old_size_back(tmp_path: Path) -> None:
    image = made(tmp_path)
    top = live(image)
    top.write(4 * 1024 * 1023, b"z" * 512)
    top.create_snapshot(Snapshot("", "small", 0))
    top.resize(1 << 40)
    top.write((1 << 40) - 512, b"end" * 170 + b"..")
    top.create_snapshot(Snapshot("", "large", 0))
    top.apply_snapshot("small")
    assert top.size == 4 << 20
    assert [one.size for one in top.snapshots()] == [4 << 20, 1 << 40]
    top.flush()
    top.close()
    assert_clean(image)
    top = live(image)
    top.apply_snapshot("large")
    assert top.size == 1 << 40
    assert content(top, (1 << 40) - 512) == b"end" * 170 + b".."
    top.flush()
    top.close()
    assert_clean(image)


@pytest.mark.parametrize("backend", ["loops", "numpy"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_count_that_does_not_fit_is_refused_and_changes_nothing(tmp_path: Path, bits: int, backend: str) -> None:
    image, most = made(tmp_path, options=f"refcount_bits={bits},cluster_size=512"), (1 << bits) - 1
    with numpy_always(wanted=backend == "numpy"):
        top = live(image)
        top.write(1024, b"a" * 65536)
        top.write(1 << 20, b"b" * 512)
        for number in range(1, most):
            top.create_snapshot(Snapshot("", str(number), 0))
        top.flush()
        size = top.file.size
        with pytest.raises(ImageError, match=f"refcount has {bits} bits, which cannot count above {most}"):
            top.create_snapshot(Snapshot("", "one too many", 0))
        top.close()
        assert image.stat().st_size == size
        assert_clean(image)
        if most > 1:
            top = live(image)
            top.delete_snapshot("1")
            top.create_snapshot(Snapshot("", "again", 0))
            top.close()
    assert_clean(image)


def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    image = made(tmp_path, options="data_file={folder}/image.data")
    top = live(image)
    with pytest.raises(NotSupportedError, match="external data file"):
        top.create_snapshot(Snapshot("", "one", 0))
    top.close()
    image = made(tmp_path)
    top = live(image)
    top.create_snapshot(Snapshot("", "one", 0))
    with pytest.raises(UsageError, match="name of the snapshot is one, which is taken"):
        top.create_snapshot(Snapshot("", "one", 0))
    with pytest.raises(UsageError, match="id of the snapshot is 1, which is taken"):
        top.create_snapshot(Snapshot("1", "two", 0))
    top.close()
    assert_clean(image)


def test_deleting_the_last_snapshot_gives_its_room_back(tmp_path: Path) -> None:
    image = made(tmp_path)
    top = live(image)
    top.write(0, b"1" * SIZE)
    top.create_snapshot(Snapshot("", "one", 0))
    top.write(0, b"2" * SIZE)
    top.flush()
    before = top.file.allocated
    top.delete_snapshot("one")
    assert top.file.allocated < before - SIZE // 2
    top.close()
    assert_clean(image)


def test_the_old_tables_of_a_large_image_stay_as_room_for_the_next_ones(tmp_path: Path) -> None:
    cluster, tables = 64 << 10, 8
    image = tmp_path / "large.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", image, "4G")
    top = live(image)
    rooms = [top.file.allocated // cluster]
    for name in ("one", "two", "three"):
        top.create_snapshot(Snapshot("", name, 0))
        rooms.append(top.file.allocated // cluster)
    first, *others = [after - before for before, after in pairwise(rooms)]
    assert first >= tables
    assert max(others) <= 1  # an L1 table more
    top.close()
    assert_clean(image)
