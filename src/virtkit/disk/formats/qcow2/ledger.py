"""What a check knows so far: references counted, refcounts read, findings."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.formats.qcow2.layout import ENTRY, Incompatible
from virtkit.disk.formats.qcow2.refcounts import Refcounts
from virtkit.disk.runs import table_of

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head

MOST_DETAILS = 100
_PIECE = 4 * MIB  # bytes of a table read at once


class Tally:
    def __init__(self) -> None:
        self.corruptions = 0
        self.leaks = 0
        self.allocated = 0
        self.fragmented = 0
        self.compressed = 0
        self.flags = 0  # of the corruptions: copied flags against the refcounts
        self.details: list[str] = []
        self.repeated = False  # the tables are walked once more, for their references: what they say wrongly was told

    def corrupt(self, detail: str, count: int = 1) -> None:
        if not self.repeated:
            self.miscount(detail, count)

    def miscount(self, detail: str, count: int = 1) -> None:
        """A corruption that the references show."""
        self.corruptions += count
        self._note(detail)

    def misflag(self, detail: str, count: int) -> None:
        self.flags += 0 if self.repeated else count
        self.corrupt(detail, count)

    def leak(self, detail: str) -> None:
        self.leaks += 1
        self._note(detail)

    def _note(self, detail: str) -> None:
        if len(self.details) < MOST_DETAILS:
            self.details.append(detail)


class Counting(Protocol):
    """What takes references down. ``clusters``: behind the last one that the file has or that is used."""

    clusters: int

    def add(self, first: int, count: int, weight: int = 1) -> int:
        """Clusters [first, first + count); returns how often that went over what a refcount can say."""
        ...

    def counted(self, first: int, count: int) -> array[int]: ...

    def times(self, cluster: int) -> int | None:
        """How often that one is used; None where it is not counted now."""
        ...


class Uncounted:
    """Takes nothing down."""

    clusters = 0

    def add(self, first: int, count: int, weight: int = 1) -> int:
        return 0

    def counted(self, first: int, count: int) -> array[int]:
        return array("I", bytes(4 * count))

    def times(self, cluster: int) -> None:
        return None


class Ledger:
    def __init__(self, file: File, head: Head, references: Counting) -> None:
        self.file, self.head = file, head
        self.file_size = file.size  # bytes
        self.cluster = head.cluster_size
        self.external, self.extended = head.has(Incompatible.DATA_FILE), head.has(Incompatible.EXTENDED_L2)
        self.references = references
        self.refcounts = Refcounts(file, head)
        self.tally = Tally()

    def use(self, what: str, at: int, size: int, weight: int = 1) -> None:
        """Count references to every cluster of [at, at + size); the last may reach behind the file's end."""
        if size <= 0:
            return
        if at + size - self.file_size >= self.cluster:
            self.tally.corrupt(f"{what} at {at:#x} ends behind the file's {self.file_size:#x} bytes", weight)
            return
        first, last = at // self.cluster, (at + size - 1) // self.cluster
        if over := self.references.add(first, last - first + 1, weight):
            self.tally.miscount(f"{what} at {at:#x} is used more often than a refcount can say", over)

    def read(self, at: int, entries: int) -> array[int]:
        """A table; what lies behind the file's end reads as zeros, as in QEMU, and is found as a bad reference."""
        size = entries * ENTRY
        data = self.file.read(at, size) if at < self.file_size else b""
        return table_of(data.ljust(size, b"\0"), code="Q", endian="big")

    def count_entries(self, at: int, entries: int) -> Counter[int]:
        """How often each entry but 0 is in a table, in their order. Holes of the file are not even read."""
        found: Counter[int] = Counter()
        end = at + entries * ENTRY
        for begin, stop in self.file.data(at, min(end, self.file_size)):
            first = at + round_down(begin - at, ENTRY)
            last = at + round_up(stop - at, ENTRY)
            for piece in range(first, last, _PIECE):
                found.update(self.read(piece, (min(piece + _PIECE, last) - piece) // ENTRY))
        found.pop(0, None)
        return found
