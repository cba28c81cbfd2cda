"""What a cache mode costs: the calls that QEMU makes for it, on a scratch file, without a guest in between."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from random import Random
from statistics import median
from typing import TYPE_CHECKING

from virtkit.core.units import MIB
from virtkit.host.bench.scratch import BLOCK, aligned, opened_again, scratch
from virtkit.host.cachemodes import MODES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from mmap import mmap

    from virtkit.core.system import System
    from virtkit.host.bench.trial import Setup
    from virtkit.host.cachemodes import CacheMode

COMMIT, WRITE, READ = "commit", "write", "read"
_SIZE = 64 * MIB
_REQUESTS = 100  # in one measurement


class Cache:
    about = "what a guest waits for 4 KiB of its disk, by cache mode"
    unit = "us per request"

    def sides(self, system: System, directory: str) -> tuple[str, ...]:
        return tuple(mode.name for mode in MODES)

    def plain(self, system: System, directory: str) -> str:
        """The one that most knobs of the host matter to."""
        return "writeback"

    def borrows(self, system: System, setup: Setup) -> dict[str, str]:
        return {}

    @contextmanager
    def ready(self, system: System, setup: Setup) -> Iterator[Callable[[str], float]]:
        modes = {mode.name: mode for mode in MODES if mode.name in {setup.a, setup.b}}
        place, buffer = Random(0), aligned(BLOCK)  # noqa: S311  where, not what
        with ExitStack() as stack:
            fd = stack.enter_context(scratch(setup.directory, _SIZE))
            files = {name: stack.enter_context(opened_again(fd, mode.flags)) for name, mode in modes.items()}

            def measure(side: str) -> float:
                spent = []
                for _ in range(_REQUESTS):
                    offset = place.randrange(_SIZE // BLOCK) * BLOCK
                    began = time.perf_counter_ns()
                    _request(files[side], modes[side], setup.load, offset, buffer)
                    spent.append(time.perf_counter_ns() - began)
                return median(spent) / 1000

            yield measure


def _request(fd: int, mode: CacheMode, load: str, offset: int, buffer: mmap) -> None:
    if load == READ:
        os.preadv(fd, [buffer], offset)
        return
    os.pwritev(fd, [buffer], offset)
    for _ in range(mode.host_flushes(writes=1, flushes=1 if load == COMMIT else 0)):
        os.fdatasync(fd)


TRIAL = Cache()
