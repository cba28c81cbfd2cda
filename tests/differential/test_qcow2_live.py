"""Whatever is written to a qcow2 image in place, QEMU finds the image sound and reads the same bytes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.qcow2 import LOCKED, OUTSIDE, PLAIN, Make
from virtkit.disk.live import LiveChain, open_live

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SIZE = (1 << 20) + 5 * 512  # bytes; no multiple of any cluster
SEVERAL = settings(max_examples=deep(8), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

FEW = settings(SEVERAL, max_examples=deep(2))  # a key takes its time


class Step(NamedTuple):
    verb: str
    at: int
    length: int
    seed: int


class Model:
    """A disk as plain bytes, beside the image."""

    def __init__(self, make: Make, image: Path, disk: bytes) -> None:
        self.make, self.image, self.disk = make, image, bytearray(disk)
        self.live = self.open()

    def open(self) -> LiveChain:
        return open_live(str(self.image), "qcow2", self.make.access)

    def apply(self, step: Step) -> None:
        at = min(step.at, len(self.disk))
        length = min(step.length, len(self.disk) - at)
        if step.verb == "resize":
            self.resize(step.at // 512 * 512)
        elif step.verb == "reopen":
            self.live.close()
            self.live = self.open()
        elif step.verb == "flush":
            self.live.flush()
        elif step.verb == "write":
            data = random.Random(step.seed).randbytes(length)
            self.live.write(at, data)
            self.disk[at : at + length] = data
        elif step.verb == "zero":
            self.live.zero(at, length)
            self.disk[at : at + length] = bytes(length)
        else:
            self.live.discard(at, length)
            self.accept_discarded(at, length)

    def resize(self, size: int) -> None:
        self.live.resize(size)
        self.disk = self.disk[:size].ljust(size, b"\0")

    def accept_discarded(self, at: int, length: int) -> None:
        """Each discarded sector reads as zeros or as before."""
        for sector in range(at - at % 512, at + length, 512):
            stop = min(sector + 512, len(self.disk))
            if sector >= at and stop <= at + length:
                found = self.live.read(sector, stop - sector)
                if not any(found):
                    self.disk[sector:stop] = found

    def check(self) -> None:
        self.live.flush()
        assert self.live.read(0, self.live.size) == bytes(self.disk)
        self.live.close()
        self.make.check(self.image)
        assert self.make.read(self.image) == bytes(self.disk)


@st.composite
def steps(draw: st.DrawFn, verbs: str) -> Step:
    at = draw(st.integers(0, SIZE - 1))
    length = draw(st.sampled_from((512, 2048, 65536, SIZE)) | st.integers(1, SIZE // 2))
    if draw(st.booleans()):
        at, length = at // 512 * 512, (length + 511) // 512 * 512
    return Step(draw(st.sampled_from(verbs.split())), at, length, draw(st.integers(0, 99)))


def disk(make: Make) -> bytes:
    """Compressible, where the image is filled at all."""
    chance = random.Random(7)
    return b"".join(chance.randbytes(16) * 64 for _ in range(SIZE // 1024 + 1))[:SIZE] if make.filled else bytes(SIZE)


HISTORIES = st.lists(steps("write write write zero discard flush reopen"), min_size=1, max_size=20)
RESIZES = st.lists(steps("write discard resize resize reopen"), min_size=2, max_size=8)


def follow(make: Make, script: list[Step], folder: Path) -> Model:
    """Every step, on a new image; then QEMU finds it sound and reads the same bytes."""
    content = disk(make)
    model = Model(make, make.create(folder, content), content)
    for step in script:
        model.apply(step)
    model.check()
    return model


@pytest.mark.parametrize("make", PLAIN + OUTSIDE, ids=str)
@SEVERAL
@given(script=HISTORIES)
def test_any_history_leaves_a_sound_image_with_the_same_bytes(make: Make, script: list[Step], tmp_path: Path) -> None:
    model = follow(make, script, tmp_path)
    if "raw=on" in make.options:
        data = (tmp_path / "image.data").read_bytes()  # QEMU makes it end with a cluster
        assert data[:SIZE] == bytes(model.disk)
        assert not any(data[SIZE:])


@pytest.mark.parametrize("make", PLAIN + OUTSIDE, ids=str)
@SEVERAL
@given(script=RESIZES)
def test_a_disk_shrinks_and_grows_and_what_was_cut_off_never_comes_back(
    make: Make, script: list[Step], tmp_path: Path
) -> None:
    follow(make, script, tmp_path)


@pytest.mark.parametrize("make", LOCKED, ids=str)
@FEW
@given(script=st.one_of(HISTORIES, RESIZES))
def test_any_history_of_an_encrypted_image(make: Make, script: list[Step], tmp_path: Path) -> None:
    follow(make, script, tmp_path)
