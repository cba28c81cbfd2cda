"""Free clusters of an image, found and given out without a change of its refcounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.layout import ENTRY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.allocator import Allocator

_BYTE = 3  # refcount order of counts that are one byte
_ENDLESS = 1 << 62


class Rooms:
    """In order, the lowest first. All numbers are clusters; what is given out is remembered here alone."""

    def __init__(self, allocator: Allocator) -> None:
        self._runs = _joined(_free(allocator))
        self._passed: list[tuple[int, int]] = []  # runs [from, to) that were too short for a row
        self._run = (0, 0)

    def take(self, count: int) -> list[tuple[int, int]]:
        """Runs (first, count)."""
        found: list[tuple[int, int]] = []
        while count:
            begin, end = self._passed.pop() if self._passed else self._next()
            size = min(count, end - begin)
            found.append((begin, size))
            count -= size
            if begin + size < end:
                self._keep(begin + size, end)
        return found

    def take_row(self, count: int) -> int:
        """The first of ``count`` clusters one after the other."""
        begin, end = self._next()
        while end - begin < count:
            self._passed.insert(0, (begin, end))
            begin, end = self._next()
        self._run = begin + count, end
        return begin

    def _next(self) -> tuple[int, int]:
        run, self._run = self._run, (0, 0)
        return run if run[0] < run[1] else next(self._runs)

    def _keep(self, begin: int, end: int) -> None:
        """What is left of the run that was taken from last."""
        if self._run[0] < self._run[1]:
            self._passed.append((begin, end))
        else:
            self._run = begin, end


def _free(allocator: Allocator) -> Iterator[tuple[int, int]]:
    """[from, to); the last one has no end."""
    per_block = allocator.per_block
    blocks = divide_up(len(allocator.table.tobytes().rstrip(b"\0")), ENTRY)  # a table has room for more of them
    for index in range(blocks):
        first = index * per_block
        if not allocator.place(index):
            yield first, first + per_block
        elif _may_have_free(allocator, index):
            for begin, end in allocator.block(index).free_runs(0, per_block):
                yield first + begin, first + end
    yield blocks * per_block, _ENDLESS


def _may_have_free(allocator: Allocator, index: int) -> bool:
    """Whether it is worth decoding the block. Images are full but for their last clusters."""
    width = max((1 << allocator.order) // 8, 1)
    data = allocator.file.read(allocator.place(index), allocator.cluster)
    zero = bytes(width)
    at = data.find(zero)
    while at % width and at > 0:
        at = data.find(zero, at + 1)
    return allocator.order < _BYTE or len(data) < allocator.cluster or at >= 0


def _joined(runs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    waiting = next(runs)
    for begin, end in runs:
        if begin == waiting[1]:
            waiting = waiting[0], end
        else:
            yield waiting
            waiting = begin, end
    yield waiting
