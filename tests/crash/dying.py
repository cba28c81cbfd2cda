"""Work on a qcow2 image that is killed at its Nth change of a file, in the middle of that write."""

from __future__ import annotations

import fcntl
import os
import random
import signal
from typing import TYPE_CHECKING

from virtkit.core.progress import silent
from virtkit.disk.format import CompactImage, LiveSnapshotImage, Snapshot
from virtkit.disk.live import open_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.live import LiveChain

SIZE = 3 << 19  # bytes of the disk


class Step:
    """One of the script that ``seed`` means: ``data`` at ``at``, or zeros, or something done to all of the image."""

    def __init__(self, verb: str, at: int, data: bytes) -> None:
        self.verb, self.at, self.data = verb, at, data


def script(seed: int, verbs: str) -> Iterator[Step]:
    chance = random.Random(f"{seed} {verbs}")
    for _ in range(20):
        at = chance.randrange(SIZE // 512) * 512
        length = min(chance.choice((512, 4096, 70_000, 400_000)) // 512 * 512, SIZE - at)
        yield Step(chance.choice(verbs.split()), at, chance.randbytes(length))


def follow(live: LiveChain, step: Step) -> None:
    top = live.top
    if step.verb == "write":
        live.write(step.at, step.data)
    elif step.verb == "zero":
        live.zero(step.at, len(step.data))
    elif step.verb == "discard":
        live.discard(step.at, len(step.data))
    elif step.verb == "flush":
        live.flush()
    elif step.verb == "grow":
        live.resize(live.size + (1 << 20))
    elif step.verb == "compact":
        assert isinstance(top, CompactImage)
        top.compact(silent)
    elif isinstance(top, LiveSnapshotImage):
        kept = [one.name for one in top.snapshots()]
        if not kept or (step.verb == "create" and len(kept) < 3):
            top.create_snapshot(Snapshot("", f"at {step.at} of {len(step.data)}", 0), iter([step.data[:9000]]))
        elif step.verb == "delete":
            top.delete_snapshot(kept[step.at % len(kept)])


def die_at(number: int) -> None:
    """The process ends there: half of what is written is in the file."""
    real_write, real_cut, real_control = os.pwrite, os.ftruncate, fcntl.ioctl
    done = 0

    def counted(half: Callable[[], object]) -> None:
        nonlocal done
        done += 1
        if done == number:
            half()
            os.kill(os.getpid(), signal.SIGKILL)

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        counted(lambda: real_write(fd, bytes(data)[: len(data) // 2 // 512 * 512], at))
        return real_write(fd, data, at)

    def ftruncate(fd: int, size: int) -> None:
        counted(lambda: None)
        real_cut(fd, size)

    def ioctl(fd: int, request: int, argument: bytes) -> object:
        counted(lambda: None)
        return real_control(fd, request, argument)

    os.pwrite, os.ftruncate, fcntl.ioctl = pwrite, ftruncate, ioctl  # type: ignore[assignment]  # narrower, as File calls them


def work(image: str, seed: int, number: int, verbs: str) -> None:
    """For each flush it writes how many steps are behind it."""
    live = open_live(image, "qcow2")
    die_at(number)
    for index, step in enumerate(script(seed, verbs), 1):
        follow(live, step)
        if step.verb not in {"write", "zero", "discard"}:
            live.flush()
            os.write(1, b"%d\n" % index)
    live.close()
