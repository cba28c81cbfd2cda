"""The whole life of a disk: written, discarded, resized, kept and put back, committed and compacted.

Three disks live the same life: a plain array of bytes, an image in our hands, and one in QEMU's. After every step a
guest sees the same in all three, and qemu-img finds no fault in ours.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.depth import deep
from support.images import run
from virtkit import disk
from virtkit.core.progress import silent
from virtkit.disk.format import CompactImage, LiveSnapshotImage, Snapshot, SnapshotImage

if TYPE_CHECKING:
    from virtkit.disk.live import LiveChain

pytestmark = pytest.mark.qemu
SIZE = 3 << 20  # bytes; the disk when it is new
MOST = 5 << 20
SECTORS = MOST // 512
NAMES = ("a", "b", "c")
LIVES = settings(max_examples=deep(3), stateful_step_count=10, deadline=None)


class Kind(NamedTuple):
    format: str
    options: str = ""
    backing: str = ""  # format of the image below; its content is text
    snapshots: int = 0  # as many at most: with the disk, twice where QEMU goes back, they are what a refcount can say
    resizes: bool = False  # whether qemu-img can grow and shrink it

    def __str__(self) -> str:
        return f"{self.format} {self.options} {self.backing and f'on {self.backing}'}".strip()


KINDS = (
    Kind("raw", resizes=True),
    Kind("qcow2", snapshots=3, resizes=True),
    Kind("qcow2", "cluster_size=4k,refcount_bits=64", snapshots=3, resizes=True),
    Kind("qcow2", "cluster_size=512,refcount_bits=2", snapshots=1, resizes=True),
    Kind("qcow2", "compat=0.10", snapshots=3, resizes=True),
    Kind("qcow2", "lazy_refcounts=on,cluster_size=2M", snapshots=3, resizes=True),
    Kind("qcow2", "extended_l2=on", snapshots=3, resizes=True),
    Kind("qcow2", "refcount_bits=1", resizes=True),
    Kind("qcow2", backing="raw", snapshots=3, resizes=True),
    Kind("qcow2", "extended_l2=on", backing="qcow2", snapshots=3, resizes=True),
    Kind("qcow2", "compat=0.10", backing="raw", snapshots=3),
    Kind("qcow"),
    Kind("qcow", backing="raw"),
    Kind("vmdk"),
    Kind("vmdk", "zeroed_grain=on"),
    Kind("vmdk", "subformat=twoGbMaxExtentSparse"),
    Kind("vmdk", backing="vmdk"),
    Kind("vdi"),
)


class Life(RuleBasedStateMachine):
    kind: Kind

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="life."))
        self.ours, self.theirs = self.folder / f"ours.{self.kind.format}", self.folder / f"theirs.{self.kind.format}"
        self.guest = bytearray(SIZE)
        self.kept: dict[str, bytes] = {}

    @initialize()
    def make(self) -> None:
        for image in (self.ours, self.theirs):
            options = ["-o", self.kind.options] if self.kind.options else []
            below = self._below(f"{image.stem}-below") if self.kind.backing else []
            run("qemu-img", "create", "-q", "-f", self.kind.format, *options, *below, image, str(SIZE))

    def _below(self, name: str) -> list[str]:
        """Shorter than the disk; but a child of another size than its parent is no VMDK for QEMU."""
        text = (b"what lies below, line by line\n" * (SIZE // 30 + 1))[: SIZE // 2 // 512 * 512]
        raw, kind = self.folder / f"{name}.raw", self.kind.backing
        raw.write_bytes(text.ljust(SIZE, b"\0") if self.kind.format == "vmdk" else text)
        if kind != "raw":
            run("qemu-img", "convert", "-f", "raw", "-O", kind, raw, self.folder / f"{name}.{kind}")
        self.guest[: len(text)] = text
        return ["-b", f"{name}.{kind}", "-F", kind]

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(data=st.data(), fill=st.integers(1, 255))
    def write(self, data: st.DataObject, fill: int) -> None:
        at, length = self._range(data)
        with self._open() as live:
            live.write(at, bytes([fill]) * length)
        self._qemu_io(f"write -P {fill} {at} {length}")
        self.guest[at : at + length] = bytes([fill]) * length

    @rule(data=st.data())
    def write_often(self, data: st.DataObject) -> None:
        """Many writes between two flushes."""
        script = []
        with self._open() as live:
            for fill in range(1, data.draw(st.integers(2, 12))):
                at, length = self._range(data)
                live.write(at, bytes([fill]) * length)
                script.append(f"write -P {fill} {at} {length}")
                self.guest[at : at + length] = bytes([fill]) * length
        self._qemu_io(*script)

    @rule(data=st.data())
    def zero(self, data: st.DataObject) -> None:
        at, length = self._range(data)
        with self._open() as live:
            live.zero(at, length)
        self._qemu_io(f"write -z {at} {length}")
        self.guest[at : at + length] = bytes(length)

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        """What a discarded stretch reads as is not promised, but nothing around it may change."""
        at, length = self._range(data)
        with self._open() as live:
            live.discard(at, length)
            now = live.read(at, length)
        self._qemu_io(f"discard {at} {length}")
        before = self.guest[at : at + length]
        for offset in range(0, length, 512):
            piece = slice(offset, offset + 512)
            assert now[piece] in {bytes(before[piece]), bytes(len(now[piece]))}
        self.guest[at : at + length] = now
        self._qemu_writes(at, bytes(now))

    @precondition(lambda self: self.kind.resizes and not (self.kept and "compat=0.10" in self.kind.options))
    @rule(sectors=st.integers(1, SECTORS))
    def resize(self, sectors: int) -> None:
        """In QEMU's hands the rest of a cluster that was cut comes back with the room: there it is overwritten."""
        size, before = sectors * 512, len(self.guest)
        with self._open() as live:
            live.resize(size)
        run("qemu-img", "resize", "-q", "--shrink", "-f", self.kind.format, self.theirs, str(size))
        if size > before:
            self._qemu_io(f"write -z {before} {size - before}")
        self.guest = self.guest[:size] + bytes(max(size - before, 0))

    @precondition(lambda self: len(self.kept) < self.kind.snapshots)
    @rule()
    def keep(self) -> None:
        name = next(name for name in NAMES if name not in self.kept)
        with self._open() as live:
            self._historian(live).create_snapshot(Snapshot("", name, live.size))
        run("qemu-img", "snapshot", "-c", name, self.theirs)
        self.kept[name] = bytes(self.guest)

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.kept)))
        with self._open() as live:
            self._historian(live).apply_snapshot(name)
        run("qemu-img", "snapshot", "-a", name, self.theirs)
        self.guest = bytearray(self.kept[name])

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.kept)))
        with self._open() as live:
            self._historian(live).delete_snapshot(name)
        run("qemu-img", "snapshot", "-d", name, self.theirs)
        del self.kept[name]

    @precondition(lambda self: self.kind.backing and self.kind.format != "vmdk" and not self.kept)
    @rule()
    def commit(self) -> None:
        """Not with snapshots, whose holes would show what is new below; QEMU's VMDK does not know its parent again."""
        disk.commit(str(self.ours), source_format=self.kind.format)
        run("qemu-img", "commit", "-q", "-f", self.kind.format, self.theirs)

    @rule()
    def compact(self) -> None:
        with self._open() as live:
            if isinstance(live.top, CompactImage):
                live.top.compact(silent)

    @invariant()
    def all_three_are_alike(self) -> None:
        if not self.ours.exists():
            return
        with disk.open(str(self.ours), "r", self.kind.format) as chain:
            assert chain.size == len(self.guest)
            assert chain.read(0, chain.size) == self.guest
        if self.kind.format in {"qcow2", "vdi"}:
            run("qemu-img", "check", "-f", self.kind.format, self.ours)
        kinds = ("-f", self.kind.format, "-F", self.kind.format)
        run("qemu-img", "compare", *kinds, self.ours, self.theirs)
        for name, content in self.kept.items():
            with disk.open(str(self.ours), "r", self.kind.format) as chain:
                image = chain.layers[0].image
                assert isinstance(image, SnapshotImage)
                assert image.view(name).size == len(content)

    def _open(self) -> LiveChain:
        return disk.open(str(self.ours), "r+", self.kind.format)

    def _historian(self, live: LiveChain) -> LiveSnapshotImage:
        assert isinstance(live.top, LiveSnapshotImage)
        return live.top

    def _range(self, data: st.DataObject) -> tuple[int, int]:
        sectors = len(self.guest) // 512
        start = data.draw(st.integers(0, sectors - 1))
        length = data.draw(st.one_of(st.integers(1, 16), st.integers(1, sectors)))
        return 512 * start, 512 * min(length, sectors - start)

    def _qemu_io(self, *commands: str) -> None:
        words = [word for command in commands for word in ("-c", command)]
        if words:
            run("qemu-io", "-f", self.kind.format, *words, self.theirs)

    def _qemu_writes(self, at: int, data: bytes) -> None:
        source = self.folder / "piece"
        source.write_bytes(data)
        self._qemu_io(f"write -s {source} {at} {len(data)}")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_all_three_disks_live_the_same_life(kind: Kind) -> None:
    run_state_machine_as_test(type("LifeOfOne", (Life,), {"kind": kind}), settings=LIVES)
