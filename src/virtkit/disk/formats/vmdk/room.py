"""Which grains of a sparse file may be used for new data: freed ones, then those behind its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import SECTOR, round_up

if TYPE_CHECKING:
    from virtkit.disk.file import File

MAX_SECTOR = 0xFFFF_FFFF  # that an entry of a table can name


class Span(NamedTuple):
    """``grains`` in a row from ``sector`` of the file on."""

    sector: int
    grains: int


class Room:
    def __init__(self, file: File, grain_sectors: int) -> None:
        self._file = file
        self._grain = grain_sectors
        self.end = round_up(round_up(file.size, SECTOR) // SECTOR, grain_sectors)  # sectors; nothing lies behind
        self._free: list[Span] = []
        self._given: list[Span] = []  # free once the tables that named them are stored

    def take(self, count: int) -> list[Span]:
        """Room for ``count`` grains. NotSupportedError where the file would become longer than entries can tell."""
        taken: list[Span] = []
        while count and self._free:
            span = self._free.pop()
            if span.grains > count:
                self._free.append(Span(span.sector + count * self._grain, span.grains - count))
                span = Span(span.sector, count)
            taken.append(span)
            count -= span.grains
        if count:
            taken.append(Span(self.extend(count * self._grain), count))
        return taken

    def extend(self, sectors: int) -> int:
        """The sector where so many, rounded up to grains, begin behind everything else."""
        at = self.end
        self.end += round_up(sectors, self._grain)
        if self.end > MAX_SECTOR:
            self.end = at
            raise NotSupportedError(
                f"{self._file.name}: is 2 TiB long, and no entry of a VMDK's tables can tell of more",
                hint=f"virtkit disk convert {self._file.name} new.qcow2",
            )
        return at

    def give(self, span: Span) -> None:
        """No table in memory names it any more."""
        self._given.append(span)

    def settle(self) -> None:
        """No table in the file names what was given: it takes no more room, and may be taken."""
        for span in self._given:
            self._file.discard(span.sector * SECTOR, span.grains * self._grain * SECTOR)
        self._free += self._given
        self._given.clear()
