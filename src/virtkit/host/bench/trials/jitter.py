"""How long a program that wants to run all the time is kept from it, free to move or tied to one CPU.

What a real-time guest's vCPU thread would meet: the tick, interrupts, other programs. Tying a thread down without
keeping others off its CPU promises nothing, and that is what this shows.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.core.system import System
    from virtkit.host.bench.trial import Setup

FREE, PINNED = "free", "pinned"
_SLICE, _SLICES = 0.01, 40  # seconds; in each the longest pause counts


class Jitter:
    about = "the longest pause of a spinning thread in each 10 ms, free to move or pinned to one CPU"
    unit = "us"

    def sides(self, system: System, directory: str) -> tuple[str, ...]:
        if len(os.sched_getaffinity(0)) == 1:
            raise NotSupportedError("jitter: this process may run on one CPU, expected at least two to choose from")
        return FREE, PINNED

    def plain(self, system: System, directory: str) -> str:
        return FREE

    def borrows(self, system: System, setup: Setup) -> dict[str, str]:
        return {}

    @contextmanager
    def ready(self, system: System, setup: Setup) -> Iterator[Callable[[str], float]]:
        everywhere = os.sched_getaffinity(0)

        def measure(side: str) -> float:
            os.sched_setaffinity(0, everywhere if side == FREE else {max(everywhere)})
            return median(_longest_pause() for _ in range(_SLICES)) / 1000

        try:
            yield measure
        finally:
            os.sched_setaffinity(0, everywhere)


def _longest_pause() -> int:
    """Nanoseconds between two looks at the clock, at most, within one slice."""
    clock = time.perf_counter_ns
    longest, last = 0, clock()
    end = last + int(_SLICE * 1e9)
    while last < end:
        now = clock()
        if now - last > longest:  # noqa: PLR1730  max() would be the longest pause
            longest = now - last
        last = now
    return longest


TRIAL = Jitter()
