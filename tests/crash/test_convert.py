"""A conversion that is killed between any two of its system calls, or in one, leaves no target that looks whole."""

from __future__ import annotations

import os
import random
import signal
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import pytest

from support.depth import deep
from support.forked import forked
from support.targets import LIVE, TARGETS, Target, read
from support.typed import qemu_img
from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.qemu
P = ParamSpec("P")
R = TypeVar("R")
MIB = 1 << 20
LAST = 3  # calls that give names are among these
NAMED = ("ftruncate", "fsync", "link", "rename", "unlink")  # calls that change something, besides pwrite


class Count:
    """Of the calls; SIGKILL comes in number ``end``."""

    def __init__(self, end: int) -> None:
        self.made, self._end = 0, end

    def counted(self, call: Callable[P, R], half: Callable[P, object]) -> Callable[P, R]:
        def counting(*arguments: P.args, **named: P.kwargs) -> R:
            self.made += 1
            if self.made == self._end:
                half(*arguments, **named)
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return counting


def dying_at(number: int) -> Count:
    count, write = Count(number), os.pwrite

    def half(fd: int, data: memoryview, at: int) -> None:
        """Up to a page's edge: the kernel copies whole pages."""
        write(fd, data[: max((at + len(data) // 2) // 4096 * 4096 - at, 0)], at)

    os.pwrite = count.counted(write, half)  # type: ignore[arg-type]  # narrower, as File calls it
    for name in NAMED:
        setattr(os, name, count.counted(getattr(os, name), lambda *_, **__: None))
    return count


def convert(
    source: Path, image: Path, target: Target, *, kill_at: int = 0, overwrite: bool = False, existing: bool = False
) -> int:
    """The number of calls, or of the signal that ended them."""

    def work() -> None:
        count = dying_at(kill_at)
        if existing:
            disk.convert(
                str(source), str(image), source_format="raw", target_format=target.format, durable=True, existing=True
            )
        else:
            target.make(source, image, durable=True, overwrite=overwrite)
        sys.stdout.write(f"{count.made}")

    done = forked(work)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode or int(done.stdout)


def points(calls: int) -> list[int]:
    chance = random.Random(calls)
    early = [chance.randint(1, calls) for _ in range(deep(1))]
    return sorted({*early, *range(max(calls - LAST, 1), calls + 1)})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Noise, zeros and text, in three pieces that no unit fits."""
    path = tmp_path / "source.raw"
    noise = random.Random(1)
    path.write_bytes(noise.randbytes(3 * MIB + 512) + bytes(2 * MIB) + b"text" * (MIB // 4))
    return path


def clear(*kept: Path) -> None:
    for name in set(os.listdir(kept[0].parent)) - {path.name for path in kept}:
        (kept[0].parent / name).unlink()


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_there_is_no_target_or_a_whole_one(target: Target, source: Path, tmp_path: Path) -> None:
    guest, image = source.read_bytes(), tmp_path / "image"
    for point in points(convert(source, image, target)):
        clear(source)
        assert convert(source, image, target, kill_at=point) == -signal.SIGKILL
        assert source.read_bytes() == guest
        assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]
        if image.exists():
            assert read(image, target.format)[: len(guest)] == guest


@pytest.mark.parametrize("target", [Target("raw"), Target("vmdk", {"subformat": "monolithicFlat"})], ids=str)
def test_what_is_replaced_is_the_old_or_the_new_or_gone(target: Target, source: Path, tmp_path: Path) -> None:
    new, image, old = source.read_bytes(), tmp_path / "image", tmp_path / "old.raw"
    old.write_bytes(random.Random(2).randbytes(len(new) + MIB))
    convert(source, image, target)
    calls = convert(source, image, target, overwrite=True)
    for point in range(max(calls - 3, 1), calls + 1):
        convert(old, image, target, overwrite=True)
        assert convert(source, image, target, kill_at=point, overwrite=True) == -signal.SIGKILL
        if image.exists():
            assert read(image, target.format) in {new, old.read_bytes()}


@pytest.mark.parametrize("target", [target for target in LIVE if "preallocation" not in target.options], ids=str)
def test_a_disk_that_is_half_overwritten_is_sound(target: Target, source: Path, tmp_path: Path) -> None:
    """What its metadata say is true, room that is lost at worst; and what was broken off can be done again."""
    image, old, new = tmp_path / "image", tmp_path / "old.raw", source.read_bytes()
    old.write_bytes(random.Random(2).randbytes(4 * MIB) + bytes(3 * MIB))
    target.make(old, image)
    calls = convert(source, image, target, existing=True)
    for point in random.Random(calls).choices(range(1, calls + 1), k=deep(1)):
        clear(source, old)
        target.make(old, image)
        assert convert(source, image, target, kill_at=point, existing=True) == -signal.SIGKILL
        assert_sound(image, target.format, f"killed at call {point}")
        disk.convert(str(source), str(image), source_format="raw", target_format=target.format, existing=True)
        assert read(image, target.format)[: len(new)] == new


def assert_sound(image: Path, format_: str, what: str) -> None:
    if format_ == "vdi":  # which counts its blocks apart from its map: QEMU calls a late count an error
        assert disk.check(str(image)).findings.corruptions == 0, what
    else:
        checked = qemu_img(image.parent, "check", "-f", format_, image.name)
        assert checked.status in {0, 3, 63}, f"{what}: {checked.out}{checked.err}"
