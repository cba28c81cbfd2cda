"""One side against itself: how often the bench finds a difference that is not there. It promises 3.9 % with 12 pairs.

By hand: ``PYTHONPATH=src:tests python3 -m bench.host.same``; two minutes, more on a busy host, where it matters.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from typing import TYPE_CHECKING

from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.host.bench.pairs import take
from virtkit.host.bench.trial import Setup
from virtkit.host.bench.trials.cache import TRIAL
from virtkit.host.bench.verdict import judge
from virtkit.host.bench.walk import SMALL, walk

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 12


def main() -> int:
    seeds = count()
    tries = [_cache("commit", 25), _cache("write", 120), _cache("read", 120)]
    tries.append((_found("memory 4K", lambda _side: walk(16 * MIB, SMALL, next(seeds)), 20), 20))
    wrong, runs = (sum(column) for column in zip(*tries, strict=True))
    sys.stdout.write(f"{wrong} of {runs}: {100 * wrong / runs:.1f} % (load {os.getloadavg()[0]:.0f})\n")
    return 0


def _cache(load: str, times: int) -> tuple[int, int]:
    with TRIAL.ready(System(), Setup("none", "none", "/var/tmp", 0, load)) as look:
        return _found(f"cache none, {load}", lambda _side: look("none"), times), times


def _found(what: str, measure: Callable[[str], float], times: int) -> int:
    wrong = sum(judge(take(measure, "a", "b", ROUNDS, silent)).concluded for _ in range(times))
    sys.stdout.write(f"{what}: {wrong} of {times}\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
