"""qcow2 images on a disk that loses power: of what was written since the last sync, any part may be missing."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from crash.dying import SIZE, Step, follow, script
from support.backends import numpy_always
from support.depth import deep
from support.images import read_by_qemu
from support.qcow2 import Make, corruptions
from virtkit.disk.access import Access
from virtkit.disk.chain import Layer
from virtkit.disk.file import File
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Buffer

pytestmark = pytest.mark.qemu
SECTOR = 512
MAKES = (
    Make("cluster_size=4k"),
    Make("cluster_size=512,refcount_bits=64"),
    Make("extended_l2=on,cluster_size=16k"),
    Make("cluster_size=4k", coded=True),
)
VERBS = (
    "write write write zero discard flush grow",
    "write write zero create create delete",
    "write write zero discard create delete compact compact",
)


class Event(NamedTuple):
    verb: str  # write, cut, punch, sync; flushed: how many steps are behind it
    at: int = 0
    data: bytes = b""


class Watched(File):
    """Remembers what was done to it."""

    __slots__ = ("events",)

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self.events: list[Event] = []

    def write(self, at: int, data: Buffer) -> None:
        self.events.append(Event("write", at, bytes(data)))
        super().write(at, data)

    def resize(self, size: int) -> None:
        self.events.append(Event("cut", size))
        super().resize(size)

    def zero(self, start: int, length: int) -> None:
        self.events.append(Event("punch", start, bytes(length)))
        super().zero(start, length)

    def discard(self, start: int, length: int) -> None:
        self.events.append(Event("punch", start, bytes(length)))
        super().discard(start, length)

    def sync(self) -> None:
        self.events.append(Event("sync"))

    def sync_data(self) -> None:
        self.events.append(Event("sync"))


def after_a_cut(before: bytes, events: list[Event], chance: random.Random) -> bytes:
    """The file when power fails behind ``events``: what no sync followed is there or not, sector by sector."""
    synced = max((index for index, event in enumerate(events) if event.verb == "sync"), default=-1)
    file = bytearray(before)
    for index, event in enumerate(events):
        safe = index <= synced
        if event.verb == "cut" and (safe or chance.random() < 0.5):
            del file[event.at :]
            file.extend(bytes(event.at - len(file)))
        elif event.verb == "punch" and (safe or chance.random() < 0.5):
            end = min(event.at + len(event.data), len(file))
            file[event.at : end] = bytes(max(end - event.at, 0))
        elif event.verb == "write":
            file.extend(bytes(max(event.at + len(event.data) - len(file), 0)))
            done = 0
            while done < len(event.data):
                step = min(SECTOR - (event.at + done) % SECTOR, len(event.data) - done)
                if safe or chance.random() < 0.5:
                    file[event.at + done : event.at + done + step] = event.data[done : done + step]
                done += step
    return bytes(file)


def watch(image: Path, steps: list[Step]) -> list[Event]:
    """What happens to the file while the steps are followed."""
    file = Watched.open(str(image), writable=True)
    live = LiveChain([Layer(FORMAT.open(file, Access(writable=True)), "qcow2")])
    for index, step in enumerate(steps, 1):
        follow(live, step)
        if step.verb == "flush":
            live.flush()
            file.events.append(Event("flushed", index))
    live.close()
    return file.events


def assert_flushed(image: Path, disk: bytes, steps: list[Step], events: list[Event]) -> None:
    """What was flushed is there, but for what a later step was about to change."""
    flushed = max((event.at for event in events if event.verb == "flushed"), default=0)
    content, touched = bytearray(disk), bytearray(SIZE)
    for index, step in enumerate(steps, 1):
        stretch = slice(step.at, step.at + len(step.data))
        if step.verb in {"write", "zero"} and index <= flushed:
            content[stretch] = step.data if step.verb == "write" else bytes(len(step.data))
        elif step.verb in {"write", "zero", "discard"}:
            touched[stretch] = b"\1" * len(step.data)
    found = read_by_qemu(image, "qcow2")[:SIZE]
    for at in range(0, SIZE, SECTOR):
        if not touched[at]:
            assert found[at : at + SECTOR] == content[at : at + SECTOR], f"sector at {at:#x}"


@pytest.mark.parametrize("verbs", VERBS)
@pytest.mark.parametrize("make", MAKES, ids=str)
def test_a_lost_write_is_a_leak_at_worst(make: Make, verbs: str, tmp_path: Path) -> None:
    disk = (b"compress me " * SIZE)[:SIZE] if make.filled else bytes(SIZE)
    for seed in range(deep(1)):
        chance = random.Random(seed)
        image = make.create(tmp_path, disk)
        before, steps = image.read_bytes(), list(script(seed, verbs))
        with numpy_always(wanted=(seed + VERBS.index(verbs)) % 2 > 0):
            events = watch(image, steps)
        assert len(events) > 20
        for _ in range(16):
            kept = events[: chance.randrange(1, len(events))]
            image.write_bytes(after_a_cut(before, kept, chance))
            assert corruptions(image) == 0, f"seed {seed}, cut after event {len(kept)}"
            assert_flushed(image, disk, steps, kept)
        os.unlink(image)
