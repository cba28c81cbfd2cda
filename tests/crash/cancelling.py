"""Work that gets SIGINT at its Nth read or write: it says how many it made, and how many of them after the signal.

Arguments: N (0: no signal), source, target, what to do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


class Counter:
    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0

    def counted(self, call: Callable[P, R]) -> Callable[P, R]:
        def counting(*args: P.args, **named: P.kwargs) -> R:
            self.calls += 1
            if self.calls == self.number:
                os.kill(os.getpid(), signal.SIGINT)
            elif 0 < self.number < self.calls:
                time.sleep(0.01)  # a slow drive: the thread that hears the signal gets its turn
            return call(*args, **named)

        return counting


def work(what: str, source: str, target: str) -> None:
    if what == "compare":
        disk.compare(source, f"{source}.copy", left_format="raw", right_format="raw")
    elif what == "compress":
        disk.convert(source, target, source_format="raw", compress=True, level="fast", threads=16)
    else:
        verify, resume = what == "verify", what == "resume"
        disk.convert(source, target, source_format="raw", verify=verify, resume=resume, durable=True)


def main() -> None:
    counter = Counter(int(sys.argv[1]))
    for name in ("pread", "preadv", "pwrite"):
        setattr(os, name, counter.counted(getattr(os, name)))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work(sys.argv[4], sys.argv[2], sys.argv[3])
    except KeyboardInterrupt:
        sys.stdout.write(f"interrupted {counter.calls - counter.number}\n")
    else:
        sys.stdout.write(f"done {counter.calls}\n")


if __name__ == "__main__":
    main()
