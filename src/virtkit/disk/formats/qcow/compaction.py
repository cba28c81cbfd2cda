"""A qcow file made dense: clusters of zeros are dropped, the last ones move into free room in front, the file is cut.

Data is copied into room that nothing named before it began, and entries name the copy when that is stored: whenever
this is broken off, what was copied in vain is all that is lost.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import SECTOR, round_up
from virtkit.disk.formats.qcow.extentmap import used
from virtkit.disk.formats.qcow.layout import COMPRESSED, ENTRY

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.formats.qcow.livetables import LiveTables

_NAME = "move clusters"


def compact(image: LiveTables, report: Sink) -> None:
    image.commit()
    if image.head.backing is None:
        _drop_zeros(image, report)
        image.commit()
    image.file.sync()
    _Move(image, report).run()
    image.cut()


def _drop_zeros(image: LiveTables, report: Sink) -> None:
    head, step = image.head, "look for zeros"
    report(Started(step, head.l1_entries * head.span))
    for run in image.l1_runs(0, head.l1_entries):
        for index in range(run.begin, run.end) if run.entry else ():
            for number, entry in enumerate(image.entries(index)[:]):
                if entry and not entry & COMPRESSED and _is_zero(image, index, number, entry):
                    image.put(index, number, array("Q", [0]))
            if not any(image.entries(index)):
                image.drop_table(index)
            image.commit_in_time()
            report(Advanced(step, (index + 1) * head.span))
    report(Finished(step))


def _is_zero(image: LiveTables, index: int, number: int, entry: int) -> bool:
    data = image.file.read(entry, image.head.cluster)
    if image.is_encrypted:
        first = (index * image.head.l2_entries + number) * image.head.cluster
        data = image.cipher.decrypt(first // SECTOR, data.ljust(image.head.cluster, b"\0"))
    return data.count(0) == len(data)


class _Gaps:
    """Free room in front; what is taken from it is gone."""

    def __init__(self, stretches: list[tuple[int, int]], unit: int) -> None:
        """``stretches``: what is used, in order."""
        self._unit, self._free, end = unit, [], 0
        for begin, stop in stretches:
            if begin < end:
                continue
            if round_up(end, unit) + unit <= begin:
                self._free.append((round_up(end, unit), begin))
            end = max(end, stop)

    def take(self, length: int, limit: int) -> int | None:
        """Room that begins before ``limit``; None where there is none that is long enough."""
        size = round_up(length, self._unit)
        for number, (begin, end) in enumerate(self._free):
            if begin >= limit:
                return None
            if end - begin >= size:
                self._free[number : number + 1] = [(begin + size, end)] if begin + size < end else []
                return begin
        return None


class _Move:
    """``target``: where the file could end if nothing were lost between its parts."""

    def __init__(self, image: LiveTables, report: Sink) -> None:
        self.image, self.report = image, report
        found = sorted((stretch.begin, stretch.end) for stretch in used(image))
        for (_, end), (begin, _) in pairwise(found):
            if begin < end:
                raise CorruptImageError(
                    image.file.name,
                    "use of the file",
                    found=f"overlapping at {begin:#x}",
                    expected="each byte once",
                    offset=begin,
                )
        self.gaps = _Gaps(found, image.head.cluster)
        self.target = sum(end - begin for begin, end in found)
        self.done = 0

    def run(self) -> None:
        head, image = self.image.head, self.image
        self.report(Started(_NAME, None))
        for run in image.l1_runs(0, head.l1_entries):
            for index in range(run.begin, run.end) if run.entry else ():
                self._move_clusters(index)
                self._move_table(index, run.entry)
        image.commit()
        self.report(Finished(_NAME))

    def _move_clusters(self, index: int) -> None:
        head, image = self.image.head, self.image
        for number, entry in enumerate(image.entries(index)[:]):
            if not entry:
                continue
            at, length = head.compressed_place(entry) if entry & COMPRESSED else (entry, head.cluster)
            if at < self.target or (place := self.gaps.take(length, at)) is None:
                continue
            image.file.write(place, image.file.read(at, length))
            fresh = head.compressed_entry(place, length) if entry & COMPRESSED else place
            image.put(index, number, array("Q", [fresh]))
            self._tell(length)
        image.commit_in_time()

    def _move_table(self, index: int, at: int) -> None:
        length = ENTRY * self.image.head.l2_entries
        if at >= self.target and (place := self.gaps.take(length, at)) is not None:
            self.image.move_table(index, place)
            self._tell(length)

    def _tell(self, length: int) -> None:
        self.done += length
        self.report(Advanced(_NAME, self.done))
