"""Where plain data was found lately: small reads go straight to the file and do not walk the maps again."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.disk.format import Extent

MOST = 1 << 15  # runs in memory: 10 MiB


class _Run(NamedTuple):
    end: int  # in the guest's disk
    fd: int
    shift: int  # from the guest's bytes to those of the file


class Places:
    """Runs of DATA. Any thread may ``read``; who learns or forgets does so alone.

    A run is in ``_runs`` before its start is in ``_starts``, and leaves it after: whoever finds a start finds the run.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._runs: dict[int, _Run] = {}

    def read(self, at: int, length: int) -> bytes | None:
        """The whole range in one go; None where it is not known, or where that fails: the maps will tell why."""
        starts = self._starts
        index = bisect_right(starts, at) - 1
        if index < 0:
            return None
        try:
            start = starts[index]
            end, fd, shift = self._runs[start]
            if start <= at < at + length <= end:
                data = os.pread(fd, length, at + shift)
                return data if len(data) == length else None
        except (OSError, LookupError):  # LookupError: another thread learns meanwhile
            return None
        return None

    def learn(self, extents: Iterable[Extent]) -> None:
        """Neighbours are joined; where there are too many, all are forgotten first."""
        if len(self._starts) > MOST:
            self.clear()
        for extent in extents:
            if extent.kind is Kind.DATA and extent.file:
                self._add(extent.start, _Run(extent.end, extent.file.fd, extent.at - extent.start))

    def forget(self, start: int, end: int) -> None:
        """What is known of [start, end)."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        for begin in self._starts[first : bisect_left(self._starts, end)]:
            run = self._runs[begin]
            if run.end > start:
                self._remove(begin)
                if begin < start:
                    self._insert(begin, run._replace(end=start))
                if run.end > end:
                    self._insert(end, run)

    def clear(self) -> None:
        self._starts, self._runs = [], {}

    def _add(self, start: int, run: _Run) -> None:
        index = bisect_right(self._starts, start) - 1
        if index >= 0:
            begin = self._starts[index]
            known = self._runs[begin]
            if known.end >= start and known[1:] == run[1:]:
                if known.end >= run.end:
                    return
                start = begin
        self.forget(start, run.end)
        self._insert(start, run)

    def _insert(self, start: int, run: _Run) -> None:
        self._runs[start] = run
        insort(self._starts, start)

    def _remove(self, start: int) -> None:
        del self._starts[bisect_left(self._starts, start)]
        del self._runs[start]
