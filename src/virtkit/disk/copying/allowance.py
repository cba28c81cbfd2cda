"""How many threads a copy may have where they compress or decode: by memory, and by processors.

Such threads keep their processors busy: more of them would only take turns, and all of them make Ctrl-C wait.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from virtkit.core.units import MIB

MOST = 32 * MIB  # bytes, beside the interpreter, its modules and what a writer has waiting
_EACH = 6  # times the bytes of a job: the guest's and the stored, both once more in a coder, two for its tables
_HEAPS = 2
_M_ARENA_MAX = -8  # malloc.h of glibc


def threads(wanted: int, job: int) -> int:
    """At most ``wanted``, at least one; ``job``: bytes of the largest."""
    return max(min(wanted, len(os.sched_getaffinity(0)), MOST // (_EACH * job)), 1)


def share_heaps(hands: int) -> None:
    """Let all threads take memory from two heaps, before they start.

    glibc gives each thread its own, which keeps some 4 MiB that nobody uses: 97 MiB instead of 45 with 16 threads.
    """
    if hands > _HEAPS and sys.platform == "linux":
        import ctypes

        with suppress(AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _HEAPS)
