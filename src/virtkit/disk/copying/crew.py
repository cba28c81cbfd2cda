"""Hands that take jobs from one list; where there are several, side by side in threads (copying/threads.py)."""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from virtkit.disk.copying.hands import Hand

MOST = 4  # threads: more only wait for the memory bus, the drive and the interpreter's lock

J = TypeVar("J")


def size() -> int:
    """Threads that this process may use for one piece of work."""
    return min(MOST, len(os.sched_getaffinity(0)))


def run(jobs: Iterable[J], hands: Sequence[Hand[J]], after_job: Callable[[], None]) -> None:
    """All of ``jobs``. ``after_job`` is called often, in the caller's thread, which gets every exception too.

    A hand takes a new job when its last one is done: no more jobs are in memory than there are hands.
    """
    if len(hands) == 1:
        _alone(jobs, hands[0], after_job)
        return
    left = iter(jobs)
    for first in left:
        from virtkit.disk.copying.threads import Threads  # small work is done before these are imported

        Threads(chain([first], left), hands, after_job).run()
        return
    after_job()


def _alone(jobs: Iterable[J], hand: Hand[J], after_job: Callable[[], None]) -> None:
    for job in jobs:
        hand.prepare(job)
        hand.in_order()
        hand.complete()
        after_job()
    after_job()
