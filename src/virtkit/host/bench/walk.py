"""A walk through memory where each step waits for the one before, as lat_mem_rd of lmbench does it.

Python adds too much to a step to measure it, and numpy's gather has many on the way at once, which hides what one
costs. So the loop is machine code, in a page of its own. A step goes to a random one of the lines that hold the way,
an eighth of all: the caches and the TLB help no more than they would a large program.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, SystemCallError
from virtkit.core.units import MIB, format_size

if TYPE_CHECKING:
    import numpy as np

SMALL, TRANSPARENT, HUGETLB = "4K", "THP", "hugetlb"
PLAIN = "plain"  # as the kernel likes: what a program gets that asks for nothing
HUGE = 2 * MIB  # bytes of a page

_LOOP = bytes.fromhex(
    "488b3f"  # again: mov rdi, [rdi]   where the line says that the way goes on
    "48ffce"  #        dec rsi
    "75f8"  #          jnz again
    "c3"  #            ret
)
_STEPS = 1_000_000
_LINE, _SPARSE = 64, 8  # bytes; one line of so many is on the way
_MAP_HUGETLB = 0x40000  # linux/mman.h, as MADV_* in mmap
_ALMOST = 0.9  # of the memory: khugepaged and compaction leave some


def walk(size: int, pages: str, seed: int) -> float:
    """Nanoseconds per step through ``size`` bytes behind pages of that kind.

    NotSupportedError where the kernel does not give them, or where this is no x86-64.
    """
    loop = _Loop()
    before = _in_huge_pages()
    memory = _memory(size, pages)
    try:
        start = _lay(memory, size, seed)
        if pages == TRANSPARENT:
            _check(_in_huge_pages() - before, size)
        loop(start, _STEPS // 10)
        began = time.perf_counter_ns()
        loop(start, _STEPS)
        return (time.perf_counter_ns() - began) / _STEPS
    finally:
        with suppress(BufferError):  # numpy looks at it still, where Ctrl-C came in between
            memory.close()


def _check(got: int, size: int) -> None:
    if got < size * _ALMOST:
        found = f"the kernel gave {format_size(max(got, 0))} of {format_size(size)} in huge pages"
        raise NotSupportedError(f"THP: {found}: free memory is in pieces", hint="echo 1 > /proc/sys/vm/compact_memory")


class _Loop:
    """The machine code, callable as long as this is there."""

    def __init__(self) -> None:
        if os.uname().machine != "x86_64":
            raise NotSupportedError(f"memory: this host is {os.uname().machine}, expected x86_64 for its machine code")
        try:
            self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        except PermissionError as error:  # SELinux without execmem
            raise NotSupportedError("memory: this host lets no program make code (SELinux: execmem)") from error
        self._page.write(_LOOP)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._code = ctypes.CFUNCTYPE(None, ctypes.c_size_t, ctypes.c_size_t)(address)

    def __call__(self, start: int, steps: int) -> None:
        self._code(start, steps)


def _memory(size: int, pages: str) -> mmap.mmap:
    """A huge page more than asked, where the way has to begin at the border of one."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    try:
        if pages == HUGETLB:
            return mmap.mmap(-1, size, flags=flags | _MAP_HUGETLB)
        memory = mmap.mmap(-1, size + HUGE, flags=flags)
    except OSError as error:
        raise SystemCallError(f"memory: take {format_size(size)} in {pages} pages", error) from error
    if pages != PLAIN:
        memory.madvise(mmap.MADV_HUGEPAGE if pages == TRANSPARENT else mmap.MADV_NOHUGEPAGE)
    return memory


def _lay(memory: mmap.mmap, size: int, seed: int) -> int:
    """One round through all lines of the way, in random order; the address where it starts."""
    import numpy as np

    words = np.frombuffer(memory, dtype=np.uint64)
    skipped = -words.ctypes.data % HUGE // words.itemsize
    words = words[skipped : skipped + size // words.itemsize]
    way = _lines(size, np.random.default_rng(seed)) * np.uint64(_LINE // words.itemsize)
    words[:: mmap.PAGESIZE // words.itemsize] = 0
    words[way] = np.roll(way, -1) * np.uint64(words.itemsize) + np.uint64(words.ctypes.data)
    return int(words.ctypes.data + int(way[0]) * words.itemsize)


def _lines(size: int, chance: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    import numpy as np

    count = size // _LINE // _SPARSE
    lines: np.ndarray[tuple[int], np.dtype[np.uint64]] = np.arange(count, dtype=np.uint64) * np.uint64(
        _SPARSE
    ) + chance.integers(0, _SPARSE, count, np.uint64)
    chance.shuffle(lines)
    return lines


def _in_huge_pages() -> int:
    """Bytes of this process's anonymous memory."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        line = next((line for line in file if line.startswith("AnonHugePages:")), "AnonHugePages: 0 kB")
    return int(line.split()[1]) * 1024
