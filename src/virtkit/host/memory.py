"""The host's memory: how much, where it swaps to, transparent huge pages, KSM."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import GIB, KIB, MIB

if TYPE_CHECKING:
    from virtkit.host.kernel import Choice, Kernel

_THP = "/sys/kernel/mm/transparent_hugepage"
_KSM = "/sys/kernel/mm/ksm"
_KSM_RUN = {0: "stopped", 1: "running", 2: "stopped, everything unmerged"}  # Documentation/admin-guide/mm/ksm.rst


class Swap(NamedTuple):
    name: str
    kind: str  # partition or file
    size: int  # bytes
    used: int  # bytes


class Memory(NamedTuple):
    """All numbers are bytes; None: not available."""

    total: int | None
    available: int | None  # what new programs can have without swapping; kernels before 3.14 do not say
    in_transparent_huge_pages: int | None  # AnonHugePages
    swaps: tuple[Swap, ...]


class Thp(NamedTuple):
    """Transparent huge pages: the kernel backs memory with big pages by itself. It merges nothing; KSM does."""

    enabled: Choice
    defrag: Choice | None
    shmem: Choice | None


class Ksm(NamedTuple):
    """Kernel samepage merging: like pages of different machines are kept once."""

    run: int
    state: str
    advisor: Choice | None  # kernels since 6.8
    pages_shared: int | None  # pages kept
    pages_sharing: int | None  # pages that need no room of their own
    saved: int | None  # bytes; net of KSM's own records where the kernel counts them (general_profit)
    merge_across_nodes: bool | None


def read_memory(kernel: Kernel) -> Memory:
    fields = kernel.fields("/proc/meminfo")
    return Memory(
        total=fields.get("MemTotal"),
        available=fields.get("MemAvailable"),
        in_transparent_huge_pages=fields.get("AnonHugePages"),
        swaps=_swaps(kernel),
    )


def _swaps(kernel: Kernel) -> tuple[Swap, ...]:
    """``name type size used priority``, sizes in KiB, behind a line of titles."""
    swaps = []
    for line in (kernel.text("/proc/swaps") or "").splitlines()[1:]:
        found = re.fullmatch(r"(\S+)\s+(\w+)\s+(\d{1,18})\s+(\d{1,18})\s+-?\d+", line, re.ASCII)
        if found:
            swaps.append(Swap(found[1], found[2], int(found[3]) * KIB, int(found[4]) * KIB))
        else:
            kernel.doubt("/proc/swaps", line, "name, type, size, used, priority")
    return tuple(swaps)


def reserve(total: int) -> int:
    """Bytes of so much memory that stay with the host itself: 5 %, at least 256 MiB and at most 8 GiB."""
    return min(max(total // 20, 256 * MIB), 8 * GIB)


def spare(kernel: Kernel) -> int | None:
    """Bytes that something new may take; below 0 where the host is short already. None: not known."""
    memory = read_memory(kernel)
    if memory.total is None or memory.available is None:
        return None
    return memory.available - reserve(memory.total)


def read_thp(kernel: Kernel) -> Thp | None:
    enabled = kernel.choice(f"{_THP}/enabled")
    if enabled is None:
        return None
    return Thp(enabled, kernel.choice(f"{_THP}/defrag"), kernel.choice(f"{_THP}/shmem_enabled"))


def read_ksm(kernel: Kernel) -> Ksm | None:
    run = kernel.number(f"{_KSM}/run")
    if run is None:
        return None
    sharing = kernel.number(f"{_KSM}/pages_sharing")
    saved = kernel.number(f"{_KSM}/general_profit")
    if saved is None and sharing is not None:
        saved = sharing * os.sysconf("SC_PAGE_SIZE")
    return Ksm(
        run=run,
        state=_KSM_RUN.get(run, f"unknown ({run})"),
        advisor=kernel.choice(f"{_KSM}/advisor_mode"),
        pages_shared=kernel.number(f"{_KSM}/pages_shared"),
        pages_sharing=sharing,
        saved=saved,
        merge_across_nodes=kernel.switch(f"{_KSM}/merge_across_nodes"),
    )
