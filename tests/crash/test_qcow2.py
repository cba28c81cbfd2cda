"""qcow2 images whose writer was killed in the middle of a write: leaks at worst, and what was flushed is there."""

from __future__ import annotations

import random
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from crash import dying
from crash.dying import SIZE, script
from support.depth import deep
from support.forked import forked
from support.images import read_by_qemu
from support.qcow2 import Make, corruptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.qemu
MAKES = (
    Make("cluster_size=4k"),
    Make("cluster_size=512,refcount_bits=64"),
    Make("extended_l2=on,cluster_size=16k"),
    Make("compat=0.10,cluster_size=4k"),
    Make("cluster_size=4k,lazy_refcounts=on"),
    Make("cluster_size=4k", coded=True),
)
WRITES = "write write write zero flush grow"
SNAPSHOTS = "write write zero create create delete"
COMPACTS = "write write zero discard create delete compact compact"


def work(image: Path, seed: int, number: int, verbs: str) -> tuple[int, int]:
    """Exit status, and how many steps were flushed."""
    done = forked(lambda: dying.work(str(image), seed, number, verbs))
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode, int((done.stdout.split() or ["0"])[-1])


def deaths(seed: int) -> Iterator[int]:
    """Points further and further apart: most that matters happens soon, but not all."""
    chance, number = random.Random(seed), 0
    while True:
        number += 1 + int(chance.expovariate(1 / (3 + number / 8)))
        yield number


def assert_holds(image: Path, before: bytes, seed: int, flushed: int, verbs: str) -> None:
    """What was flushed is there, where no later step was about to change it."""
    disk, touched = bytearray(before), bytearray(SIZE)
    for index, step in enumerate(script(seed, verbs), 1):
        if step.verb not in {"write", "zero", "discard"}:
            continue
        stretch = slice(step.at, step.at + len(step.data))
        if step.verb != "discard" and index <= flushed:
            disk[stretch] = step.data if step.verb == "write" else bytes(len(step.data))
        else:
            touched[stretch] = b"\1" * len(step.data)
    found = read_by_qemu(image, "qcow2")[:SIZE]
    for at in range(0, SIZE, 512):
        if not touched[at]:
            assert found[at : at + 512] == disk[at : at + 512], f"sector at {at:#x}"


@pytest.mark.parametrize("verbs", [WRITES, SNAPSHOTS, COMPACTS])
@pytest.mark.parametrize("make", MAKES, ids=str)
def test_a_killed_writer_leaves_leaks_at_worst(make: Make, verbs: str, tmp_path: Path) -> None:
    content = (b"compress me " * SIZE)[:SIZE] if make.filled else bytes(SIZE)
    made = shutil.copy(make.create(tmp_path, content), tmp_path / "made")
    image = tmp_path / "image.qcow2"
    for seed in range(deep(1)):
        for number in deaths(seed):
            shutil.copy(made, image)
            status, flushed = work(image, seed, number, verbs)
            assert corruptions(image) == 0, f"killed at change {number} of seed {seed}"
            assert_holds(image, content, seed, flushed, verbs)
            if status == 0:
                assert number > 10  # it was killed before, and often enough
                break
