"""Is the metadata of a VMDK sound? Entries within the file, no grain used twice, both copies of the tables alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.format import Findings
from virtkit.disk.formats.vmdk.census import Census, Copies, leaks
from virtkit.disk.formats.vmdk.grains import SparsePart, mended
from virtkit.disk.runs import runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from virtkit.disk.formats.vmdk.part import Part

_MOST_DETAILS = 100


class Tally:
    def __init__(self) -> None:
        self.corruptions = 0
        self.leaks = 0
        self.end = 0  # bytes; of the last thing that is used, in all files together
        self.total = 0
        self.allocated = 0
        self.fragmented = 0
        self.compressed = 0
        self.details: list[str] = []

    def corrupt(self, detail: str, count: int = 1) -> None:
        self.corruptions += count
        self._note(detail)

    def leak(self, detail: str, count: int = 1) -> None:
        self.leaks += count
        self._note(detail)

    def _note(self, detail: str) -> None:
        if len(self.details) < _MOST_DETAILS:
            self.details.append(detail)


def check(parts: Iterable[Part]) -> Findings:
    """All of one disk."""
    tally = Tally()
    for part in parts:
        if isinstance(part, SparsePart):
            _Examination(part, tally).run()
        elif part.file:
            tally.end += part.file.size
    return Findings(
        tally.corruptions,
        tally.leaks,
        tally.end,
        tally.total,
        tally.allocated,
        tally.fragmented,
        tally.compressed,
        tuple(tally.details),
    )


class _Examination:
    """Of one sparse extent."""

    def __init__(self, part: SparsePart, tally: Tally) -> None:
        self._part = part
        self._tally = tally
        self._census = Census(part)
        self._name = part.file.name
        self._behind = 0  # the sector behind the last grain in the order of the disk
        self._end = 0  # the sector behind everything that is used

    def run(self) -> None:
        part, tally = self._part, self._tally
        tally.total += divide_up(part.size, part.grain)
        self._check_directories()
        if not self._census.plausible:
            self._tally.corrupt(f"{self._name}: a grain directory names more tables than the file has room for")
            return
        self._end = max(self._end, self._census.use_tables())
        for copies in self._census.copies():
            self._check_table(copies)
        self._check_room()
        tally.end += min(self._end * SECTOR, part.file.size)

    def _check_directories(self) -> None:
        shape, sectors = self._part.shape, self._census.sectors
        places = {"grain directory": shape.directory_offset, "redundant grain directory": shape.redundant_offset}
        for name, at in places.items():
            if at and at + shape.directory_sectors > sectors:
                self._tally.corrupt(f"{self._name}: {name} at sector {at} ends behind the file's {sectors} sectors")
            elif at:
                self._census.use_metadata(at, shape.directory_sectors)
                self._end = max(self._end, at + shape.directory_sectors)

    def _check_table(self, copies: Copies) -> None:
        part = self._part
        named = {"grain table": (copies.first, part.directory)}
        if part.redundant is not None:
            named["redundant grain table"] = (copies.other, part.redundant)
        for name, (table, directory) in named.items():
            self._check_position(name, copies.number, directory[copies.number], table)
        if copies.first is not None and copies.other is not None and copies.first != copies.other:
            self._compare(copies.number, copies.first, copies.other)
        table = copies.first if copies.first is not None else copies.other
        if table is not None:
            self._count(copies.number, mended(table, copies.other or table, self._census.sectors))

    def _check_position(self, name: str, index: int, at: int, table: array[int] | None) -> None:
        if table is None and at:
            self._tally.corrupt(f"{self._name}: {name} {index} at sector {at} lies behind the file's end")
        elif table is None:
            self._tally.corrupt(f"{self._name}: {name} {index} is missing, the other copy is there")
        elif not self._census.name_table(at):
            self._tally.corrupt(f"{self._name}: {name} {index} at sector {at} is another one too")

    def _compare(self, index: int, first: array[int], other: array[int]) -> None:
        """Where the file was not closed, the redundant copy may be older or newer: the first one counts."""
        pairs = list(zip(first, other, strict=True))
        outside = sum(one >= self._census.sectors > two for one, two in pairs)
        differing = sum(one != two for one, two in pairs) - outside
        if outside:
            text = f"{outside} entries of grain table {index} lie behind the file's end, not so in the redundant one"
            self._tally.corrupt(f"{self._name}: {text}", outside)
        if differing:
            text = f"{self._name}: redundant grain table {index} differs in {differing} entries"
            (self._tally.leak if self._part.shape.unclean else self._tally.corrupt)(text, differing)

    def _count(self, index: int, table: array[int]) -> None:
        part, step = self._part, self._part.shape.grain_size
        last = min(len(table), divide_up(part.size, part.grain) - index * len(table))
        for run in runs(table, 0, last, step, part.special):
            if not run.stride:
                continue
            count = run.end - run.begin
            self._tally.allocated += count
            self._tally.fragmented += self._behind not in {0, run.entry}
            self._behind = run.entry + count * step
            outside = min(max(divide_up(self._behind - self._census.sectors, step), 0), count)
            if part.compressed:
                self._tally.compressed += count
                outside = 0 if run.entry + (count - 1) * step < self._census.sectors else outside
            if outside:
                where = f"from sector {self._behind - outside * step} on, of grain table {index}"
                self._tally.corrupt(f"{self._name}: {outside} grains {where}, lie behind the file's end", outside)
            self._use_grains(index, run.entry, count - outside)

    def _use_grains(self, index: int, sector: int, count: int) -> None:
        step = self._part.shape.grain_size
        if count and (twice := self._census.use_grains(sector, count)):
            text = f"{twice} grains from sector {sector} on, of grain table {index}, are used twice"
            self._tally.corrupt(f"{self._name}: {text}", twice)
        self._end = max(self._end, sector + count * step)

    def _check_room(self) -> None:
        """Grains that take room and are nobody's; compressed ones have no fixed place, others may lie anyhow."""
        if self._part.compressed or self._census.odd or not self._part.shape.data_offset:
            self._end = self._census.sectors
            return
        for begin, stop in leaks(self._census, self._part.shape.data_offset):
            count = divide_up(stop - begin, self._part.grain)
            self._tally.leak(f"{self._name}: {count} grains from byte {begin:#x} on are nobody's", count)
