"""References to the clusters of a large image, counted with numpy for a part of its file at a time.

So the memory is bounded however long the file is: the tables are walked once for each part that anything points into.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import MIB, divide_up
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2.bulkcounts import TYPES, one_by_one
from virtkit.disk.formats.qcow2.ledger import MOST_DETAILS
from virtkit.disk.formats.qcow2.refcounts import MAX_CLUSTERS, most_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from virtkit.disk.bulk import Ranges, Words
    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head

ROOM = 16 * MIB  # bytes of counts


class Window:
    """Counts of the clusters [first, end).

    ``over``: how often one was used that could not be counted, a refcount being too narrow; ``excesses``: some such.
    """

    def __init__(self, file: File, head: Head) -> None:
        order = head.features.refcount_order
        self.clusters = divide_up(file.size, head.cluster_size)
        if self.clusters > MAX_CLUSTERS:
            raise NotSupportedError(f"{file.name}: has {self.clusters} clusters, expected at most {MAX_CLUSTERS}")
        self.limit = most_of(order)
        self._type = np.dtype(TYPES[min(max(order, 3), 5)])  # one to four bytes
        self.size = max(ROOM // self._type.itemsize, head.cluster_size * 8 >> order)  # whole refcount blocks
        self._used: set[int] = set()  # windows that something points into
        self.counts: NDArray[np.unsignedinteger] = np.zeros(self.size, self._type)
        self._open(0)

    def _open(self, index: int) -> None:
        self.first = index * self.size
        self._most = 0  # no count is higher
        self.over, self.excesses = 0, array("Q")

    @property
    def end(self) -> int:
        return self.first + self.size

    def advance(self, also: set[int]) -> bool:
        """On to the next part that something points into, or that is one of ``also``; False where there is none."""
        later = [index for index in self._used | also if index * self.size > self.first]
        if later:
            self.counts.fill(0)
            self._open(min(later))
        return bool(later)

    def meets(self, first: int, last: int) -> bool:
        """Whether any of the clusters ``first`` to ``last`` is counted now."""
        return first < self.end and last >= self.first

    def times(self, cluster: int) -> int | None:
        return int(self.counts[cluster - self.first]) if self.meets(cluster, cluster) else None

    def counted(self, first: int, count: int) -> array[int]:
        """The counts of clusters that are counted now."""
        begin = first - self.first
        return array("I", self.counts[begin : begin + count].astype("u4").tobytes())

    def add(self, first: int, count: int, weight: int = 1) -> int:
        """As ``References.add``, but what goes over is kept in ``excesses``."""
        self._note(first, first + count - 1)
        begin, stop = max(first, self.first), min(first + count, self.end)
        if begin < stop:
            self._add(range(begin, stop), slice(begin - self.first, stop - self.first), 1, weight)
        return 0

    def add_ranges(self, ranges: Ranges, weight: int) -> None:
        """Ranges in any order, each as often as it is there."""
        if one_by_one(ranges):
            for begin, length in zip(ranges.first.tolist(), ranges.length.tolist(), strict=True):
                self.add(begin, length, weight)
        else:
            self.add_numbers(bulk.spread(ranges), weight)

    def add_numbers(self, numbers: Words, weight: int) -> None:
        """Clusters in any order, each as often as it is there."""
        if not numbers.size:
            return
        once, times = bulk.tallied(numbers)
        self._note_all(once)
        begin, stop = np.searchsorted(once, np.array((self.first, self.end), np.uint64)).tolist()
        if begin == stop:
            return
        once, times = once[begin:stop], times if isinstance(times, int) else times[begin:stop]
        low, high = int(once[0]) - self.first, int(once[-1]) - self.first + 1
        dense = high - low == once.size
        self._add(once, slice(low, high) if dense else (once - self.first).astype(np.intp), times, weight)

    def _add(self, numbers: Words | range, where: slice | NDArray[np.intp], times: Words | int, weight: int) -> None:
        added = times * weight if isinstance(times, int) else times * np.uint64(weight)
        most = added if isinstance(added, int) else int(added.max())
        self._most += most
        if self._most <= self.limit or int(self.counts[where].max()) + most <= self.limit:
            self.counts[where] += self._type.type(added) if isinstance(added, int) else added.astype(self._type)
            return
        wanted = self.counts[where].astype(np.uint64) + added
        self.counts[where] = np.minimum(wanted, self.limit)
        over = np.flatnonzero(wanted > self.limit)
        self.over += int((wanted[over] - self.limit).sum())
        if len(self.excesses) < MOST_DETAILS:
            self.excesses.extend(int(numbers[index]) for index in over[:MOST_DETAILS].tolist())

    def _note(self, first: int, last: int) -> None:
        self.clusters = max(self.clusters, last + 1)
        self._used.update(range(first // self.size, last // self.size + 1))

    def _note_all(self, once: Words) -> None:
        self.clusters = max(self.clusters, int(once[-1]) + 1)
        first, last = int(once[0]) // self.size, int(once[-1]) // self.size
        edges = np.searchsorted(once, np.arange(first, last + 2, dtype=np.uint64) * np.uint64(self.size))
        self._used.update((np.flatnonzero(np.diff(edges)) + first).tolist())
