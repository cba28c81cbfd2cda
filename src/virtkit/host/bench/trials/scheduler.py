"""Whether a disk's scheduler keeps reads short while somebody writes as much as the disk takes.

It is the disk itself whose scheduler is changed: a loop device has one of its own, above that of the disk.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from random import Random
from threading import Event, Thread
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, SystemCallError
from virtkit.core.progress import silent
from virtkit.core.units import MIB
from virtkit.host.bench.scratch import BLOCK, aligned, opened_again, scratch
from virtkit.host.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.core.system import System
    from virtkit.host.bench.trial import Setup

_SIZE = 128 * MIB  # that is read, and as much that is written
_READS = 300  # in one measurement
_WRITERS = 4
_SETTLES = 0.2  # seconds in which the writers fill the queue anew
_SHARE = 0.95


class Scheduler:
    about = "how long 95 % of random 4 KiB reads take at most beside four writers, by the disk's I/O scheduler"
    unit = "us"

    def sides(self, system: System, directory: str) -> tuple[str, ...]:
        """The present one first."""
        disk = disk_below(system, directory)
        found = Kernel(system).choice(f"/sys/block/{disk}/queue/scheduler")
        if found is None or len(found.choices) == 1:
            raise NotSupportedError(f"scheduler: {disk} has no schedulers to choose from")
        return found.value, *(name for name in found.choices if name != found.value)

    def plain(self, system: System, directory: str) -> str:
        return self.sides(system, directory)[0]

    def borrows(self, system: System, setup: Setup) -> dict[str, str]:
        present = self.sides(system, setup.directory)[0]
        return {_knob(system, setup.directory): setup.b if setup.a == present else setup.a}

    @contextmanager
    def ready(self, system: System, setup: Setup) -> Iterator[Callable[[str], float]]:
        from virtkit.host.actions import SetKnob

        knob = _knob(system, setup.directory)
        place = Random(0)  # noqa: S311  where, not what
        with (
            scratch(setup.directory, _SIZE) as read,
            opened_again(read, os.O_RDWR | os.O_DIRECT) as fd,
            _writers(setup.directory),
        ):

            def measure(side: str) -> float:
                SetKnob(knob, side).apply(system, silent)
                time.sleep(_SETTLES)
                return _slow_read(fd, place)

            yield measure


def disk_below(system: System, directory: str) -> str:
    """The whole disk that holds ``directory``, as in /sys/block; NotSupportedError where it is not one disk alone."""
    try:
        device = os.stat(directory).st_dev
    except OSError as error:
        raise SystemCallError(f"look for the disk of {directory}", error) from error
    link = system.path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not link.exists():
        raise NotSupportedError(f"{directory}: is on no disk of its own, expected a file system on a disk")
    real = link.resolve()
    disk = real.parent if (real / "partition").exists() else real
    return disk.name


def _knob(system: System, directory: str) -> str:
    return f"block.scheduler@{disk_below(system, directory)}"


def _slow_read(fd: int, place: Random) -> float:
    buffer, spent = aligned(BLOCK), []
    for _ in range(_READS):
        offset = place.randrange(_SIZE // BLOCK) * BLOCK
        began = time.perf_counter_ns()
        os.preadv(fd, [buffer], offset)
        spent.append(time.perf_counter_ns() - began)
    return sorted(spent)[int(len(spent) * _SHARE)] / 1000


@contextmanager
def _writers(directory: str) -> Iterator[None]:
    """They write while the block runs; what they write to has no name."""
    stop = Event()
    with scratch(directory, _SIZE) as written, opened_again(written, os.O_RDWR | os.O_DIRECT) as fd:
        threads = [Thread(target=_write, args=(fd, number, stop)) for number in range(_WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def _write(fd: int, number: int, stop: Event) -> None:
    buffer, part = aligned(MIB), _SIZE // _WRITERS
    buffer.write(os.urandom(MIB))
    while not stop.is_set():
        for offset in range(0, part, MIB):
            if not stop.is_set():
                os.pwritev(fd, [buffer], number * part + offset)


TRIAL = Scheduler()
