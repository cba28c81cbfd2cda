"""A sparse extent made as short as its grains allow: those at the end move into free slots further in front.

First the copies and a barrier, then the tables that name them; the file is cut when no table names anything there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, NotSupportedError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import MIB, SECTOR, divide_up
from virtkit.disk.formats.vmdk.census import Census, gaps
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from virtkit.core.progress import Sink
    from virtkit.disk.formats.vmdk.livesparse import LiveSparse

BATCH = 64 * MIB  # bytes moved between two barriers


def compact(part: LiveSparse, report: Sink) -> None:
    """``part`` is flushed. ImageError where its tables are not sound, NotSupportedError where grains lie anyhow."""
    census = _count(part)
    first = divide_up(part.shape.data_offset, census.step)
    end = _shortest(census, first)
    moving = sum(last - max(begin, end) for begin, last in census.grains.runs() if last > end)
    step = f"compact {part.file.name}"
    report(Started(step, moving * part.grain))
    _Move(part, census, first, end, lambda done: report(Advanced(step, done))).run()
    _cut(part, census, end)
    report(Finished(step))


def _count(part: LiveSparse) -> Census:
    census = Census(part)
    for at in (part.shape.directory_offset, part.shape.redundant_offset):
        census.use_metadata(at, part.shape.directory_sectors if at else 0)
    if not census.plausible:
        raise _unsound(part, "grain directory")
    census.use_tables()
    for index, _, _ in census.copies():
        for run in runs(part.table(index), 0, part.shape.gtes_per_gt, census.step, part.special):
            count = run.end - run.begin
            beyond = run.stride and run.entry + count * census.step > census.sectors + census.step - 1
            if beyond or (run.stride and census.use_grains(run.entry, count)):
                raise _unsound(part, f"grain table {index}")
    if census.odd or census.phase:
        raise NotSupportedError(
            f"{part.file.name}: grains do not begin at multiples of their size",
            hint=f"virtkit disk convert {part.file.name} new.vmdk",
        )
    return census


def _unsound(part: LiveSparse, what: str) -> ImageError:
    return ImageError(f"{part.file.name}: {what} is not sound", hint=f"virtkit disk check {part.file.name}")


def _shortest(census: Census, first: int) -> int:
    """The slot behind the last one, once all grains lie as far in front as they can."""
    left, end = len(census.grains), first
    for begin, stop in gaps(census.metadata.runs(), first, divide_up(census.sectors, census.step)):
        taken = min(stop - begin, left)
        left -= taken
        end = begin + taken if taken else end
    return end


def _cut(part: LiveSparse, census: Census, end: int) -> None:
    """Tables that were made later may lie behind the last grain; they stay."""
    last = max([end, *(stop for _, stop in census.metadata.runs())])
    size = census.sector_of(last) * SECTOR
    if size < part.file.size:
        part.file.resize(size)
        part.file.sync()
    for begin, stop in gaps(census.metadata.runs(), end, last):
        part.file.discard(census.sector_of(begin) * SECTOR, (stop - begin) * part.grain)
    part.forget_room()


class _Move:
    def __init__(self, part: LiveSparse, census: Census, first: int, end: int, tell: Callable[[int], None]) -> None:
        self._part = part
        self._census = census
        self._end = end  # slot; what lies behind moves
        self._tell = tell
        self._free = (slot for begin, stop in census.free(first, end) for slot in range(begin, stop))
        self._waiting: dict[int, array[int]] = {}  # tables that name copies
        self._done = self._stored = 0  # bytes

    def run(self) -> None:
        for index, _, _ in self._census.copies():
            table = self._part.table(index)
            slots = [at for at, entry in enumerate(table) if self._moves(entry)] if self._reaches(table) else []
            if slots:
                moved = table[:]
                for at in slots:
                    moved[at] = self._copy(table[at])
                self._waiting[index] = moved
            if self._done - self._stored >= BATCH:
                self._store()
        self._store()

    def _reaches(self, table: array[int]) -> bool:
        return max(table) >= self._census.sector_of(self._end)

    def _moves(self, entry: int) -> bool:
        return entry not in self._part.special and self._census.slot_of(entry) >= self._end

    def _copy(self, sector: int) -> int:
        """The sector where the copy of that grain is."""
        file, grain = self._part.file, self._part.grain
        target = self._census.sector_of(next(self._free))
        file.write(target * SECTOR, file.read(sector * SECTOR, grain).ljust(grain, b"\0"))
        self._done += grain
        return target

    def _store(self) -> None:
        if not self._waiting:
            return
        self._part.file.sync()
        for index, table in self._waiting.items():
            for directory in self._part.directories:
                self._part.file.write(directory[index] * SECTOR, stored_table(table, endian="little"))
        self._part.file.sync()
        self._waiting.clear()
        self._stored = self._done
        self._tell(self._done)
