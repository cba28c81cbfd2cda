"""Lists of CPU numbers as the kernel and libvirt write them: ``0-3,8``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Cpus: TypeAlias = tuple[int, ...]  # sorted, each once

LIMIT = 1 << 16  # numbers are below this; the widest kernels have 8192 CPUs
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


def parse_cpus(text: str) -> Cpus:
    """``0-3,8``; an empty text is no CPU at all. UsageError."""
    members: set[int] = set()
    for part in text.split(",") if text else ():
        found = _RANGE.fullmatch(part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if not first <= last < LIMIT:
            raise UsageError(f"list of CPUs is {text[:40]!r}, expected numbers and rising ranges, as in 0-3,8")
        members.update(range(first, last + 1))
    return tuple(sorted(members))


def format_cpus(cpus: Iterable[int]) -> str:
    """The shortest spelling: ``0-3,8``."""
    runs: list[tuple[int, int]] = []
    for cpu in sorted(set(cpus)):
        if runs and runs[-1][1] == cpu - 1:
            runs[-1] = (runs[-1][0], cpu)
        else:
            runs.append((cpu, cpu))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
