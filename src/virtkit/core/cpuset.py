"""Sets of CPUs and nodes, in the two spellings of the kernel: ``0-3,8`` and ``00000000,0000010f``.

Documentation/admin-guide/cputopology.rst; the widest kernels have 8192 CPUs (arch/x86/Kconfig, NR_CPUS).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

CpuSet: TypeAlias = frozenset[int]

LIMIT = 1 << 16  # numbers are below this, so that "0-4294967295" costs nothing

_RANGE = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?", re.ASCII)
_WORD = re.compile(r"[0-9a-fA-F]{1,8}")
_WORD_BITS = 32


def parse_list(text: str) -> CpuSet:
    """``0-3,8``; an empty text is the empty set. UsageError."""
    members: set[int] = set()
    for part in text.split(",") if text else ():
        found = _RANGE.fullmatch(part)
        if not found:
            raise UsageError(f"list of CPUs is {_short(text)}, expected numbers and ranges, as in 0-3,8")
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < LIMIT:
            raise UsageError(f"list of CPUs holds {part}, expected a range that rises and ends below {LIMIT}")
        members.update(range(first, last + 1))
    return frozenset(members)


def parse_mask(text: str) -> CpuSet:
    """``ff,00000001``: words of 32 bits in hexadecimal, the lowest CPUs last. UsageError."""
    words = text.split(",")
    if not all(map(_WORD.fullmatch, words)) or len(words) * _WORD_BITS > LIMIT:
        raise UsageError(
            f"mask of CPUs is {_short(text)}, expected words of 8 hexadecimal digits, as in 00000001,ffffffff"
        )
    mask = int("".join(word.zfill(8) for word in words), 16)
    members = set()
    while mask:
        lowest = mask & -mask
        members.add(lowest.bit_length() - 1)
        mask ^= lowest
    return frozenset(members)


def format_list(members: Iterable[int]) -> str:
    """The kernel's shortest spelling: ``0-3,8``."""
    runs: list[list[int]] = []
    for member in sorted(members):
        if runs and runs[-1][1] == member - 1:
            runs[-1][1] = member
        else:
            runs.append([member, member])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")  # noqa: PLR2004  one line of a terminal holds it
