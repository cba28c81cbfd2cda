"""Every L2 table of an L1 table in one go: what they name is counted, their copied flags are set or cleared.

What a table names is what ``PlainSweep`` or, where there are millions of entries, ``WideSweep`` tell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from typing import TYPE_CHECKING, Protocol

from virtkit.disk.formats.qcow2.layout import COPIED, ENTRY, OFFSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.formats.qcow2.shadow import Shadow
    from virtkit.disk.formats.qcow2.written import WrittenQcow2

Named = tuple[int, int]
"""A table: its index in the L1 table, its byte in the file."""


class Batch(Protocol):
    """L2 tables in memory."""

    @property
    def named(self) -> list[Named]: ...

    def count(self, change: int) -> None:
        """The tables and all that they name are used so much more. As ``Shadow.add``."""
        ...

    def clear_flags(self) -> list[int]:
        """No entry has a copied flag any more; which of ``named`` that changed."""
        ...

    def set_flags(self) -> list[int]:
        """Those entries have the flag whose cluster is used once; which of ``named`` that changed."""
        ...

    def stored(self, first: int, last: int) -> bytes | memoryview:
        """The bytes of [first, last) of ``named``."""
        ...


class Sweep(ABC):
    def __init__(self, image: WrittenQcow2, shadow: Shadow) -> None:
        self.image, self.shadow = image, shadow
        self.file, self.head, self.cluster = image.file, image.head, image.head.cluster_size
        self.words = image.head.entry_size // ENTRY

    @abstractmethod
    def batches(self, named: list[Named]) -> Iterator[Batch]:
        """One at a time. When they are at an end, ``shadow`` knows what they counted."""

    @abstractmethod
    def single(self, clusters: list[int]) -> list[bool]:
        """Which of these are used once."""

    def drop(self, l1: array[int]) -> None:
        """One L1 table less names all this."""
        for batch in self.batches(_named(l1)):
            batch.count(-1)

    def share(self, l1: array[int]) -> array[int]:
        """Two L1 tables name all this instead of one: the one returned. A table with flags gives way to a copy."""
        shared = _without_flags(l1)
        for batch in self.batches(_named(l1)):
            batch.count(1)
            for (index, old), new in self._copied(batch, batch.clear_flags()):
                shared[index] = new
                self.shadow.owe(new // self.cluster, 1, 1)
                self.shadow.owe(old // self.cluster, 1, -2)
        return shared

    def share_in_place(self, l1: array[int]) -> array[int]:
        """One L1 table more names all this, whose flags nobody has looked at so far."""
        for batch in self.batches(_named(l1)):
            batch.count(1)
            for first, last in rows(batch.clear_flags(), [at for _, at in batch.named], self.cluster):
                self.file.write(batch.named[first][1], batch.stored(first, last))
        return _without_flags(l1)

    def flag(self, l1: array[int]) -> array[int]:
        """The same with the flags that the counts ask for. A table whose flags change gives way to a copy."""
        flagged = _without_flags(l1)
        for batch in self.batches(_named(l1)):
            alone = self.single([at // self.cluster for _, at in batch.named])
            for (index, at), once in zip(batch.named, alone, strict=True):
                flagged[index] = at | (COPIED if once else 0)
            for (index, old), new in self._copied(batch, batch.set_flags()):
                flagged[index] = new | COPIED
                self.shadow.owe(old // self.cluster, 1, -1)
        return flagged

    def _copied(self, batch: Batch, which: list[int]) -> Iterable[tuple[Named, int]]:
        """Some of the tables in new places: (the old, the new byte)."""
        places = [
            at * self.cluster for first, count in self.shadow.take(len(which)) for at in range(first, first + count)
        ]
        new = dict(zip(which, places, strict=True))
        targets = [new.get(slot, 0) for slot in range(len(batch.named))]
        for first, last in rows(which, targets, self.cluster):
            self.file.write(targets[first], batch.stored(first, last))
        return [(batch.named[slot], new[slot]) for slot in which]


def _named(l1: array[int]) -> list[Named]:
    return [(index, entry & OFFSET) for index, entry in enumerate(l1) if entry & OFFSET]


def _without_flags(l1: array[int]) -> array[int]:
    return array("Q", [entry & ~COPIED for entry in l1])


def rows(slots: list[int], places: list[int], step: int) -> Iterator[tuple[int, int]]:
    """Consecutive ``slots`` whose places are ``step`` apart: [from, to)."""
    first = last = 0
    for slot in slots:
        if first < last == slot and places[slot] == places[slot - 1] + step:
            last = slot + 1
            continue
        if first < last:
            yield first, last
        first, last = slot, slot + 1
    if first < last:
        yield first, last
