"""The table that the bench prints."""

from __future__ import annotations

import json
import math
import os
import statistics
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.cells import Cell
    from bench.race import Result, Spent

MOST_MEMORY = 64 * MIB
QUIET = 0.5  # load average, at most


class Row(NamedTuple):
    """One cell's figures: ratios are ours to theirs, medians over the pairs."""

    cell: str
    variant: str  # of theirs
    wall: float
    cpu: float
    goal: float | None
    ours: float  # seconds, median
    theirs: float
    limit: float  # seconds
    sizes: tuple[int, int]  # bytes on disk, ours and theirs
    peaks: tuple[int, int]  # bytes
    load: float
    walls: tuple[float, ...]  # each pair's ratio
    room: float | None  # the most that our size may be as a multiple of theirs

    @property
    def met(self) -> bool:
        return self.goal is None or self.wall <= self.goal

    @property
    def fits(self) -> bool:
        return self.room is None or self.sizes[0] <= self.room * self.sizes[1]


def row(cell: Cell, variant: str, result: Result, limit: float, sizes: tuple[int, int]) -> Row:
    pairs = list(zip(result.ours, result.theirs, strict=True))
    walls = tuple(ours.wall / theirs.wall for ours, theirs in pairs)
    return Row(
        cell.name,
        variant,
        statistics.median(walls),
        statistics.median(ours.cpu / max(theirs.cpu, 1e-4) for ours, theirs in pairs),
        cell.goal,
        _median(result.ours),
        _median(result.theirs),
        limit,
        sizes,
        (max(one.peak for one in result.ours), max(one.peak for one in result.theirs)),
        os.getloadavg()[0],
        walls,
        cell.room,
    )


def read(text: str) -> list[Row]:
    """Rows of lines of JSON; of a cell that is there twice, the last."""
    rows = [Row(**one) for one in map(json.loads, text.splitlines())]
    return list({row.cell: row for row in rows}.values())


def _median(spent: Iterable[Spent]) -> float:
    return statistics.median(one.wall for one in spent)


HEADING = (
    f"{'cell':34} {'wall':>6} {'goal':>5}    {'cpu':>6} {'ours':>9} {'theirs':>9} {'limit':>9} {'x':>6}"
    f"  {'disk, MiB':>13}   {'peak, MiB':>9}  theirs is"
)


def line(row: Row) -> str:
    goal = "" if row.goal is None else f"{row.goal:.2f}"
    ours, theirs = (size / MIB for size in row.sizes)
    room = f"{ours:.0f}/{theirs:.0f}" if ours or theirs else ""
    peaks = "/".join(f"{peak / MIB:.0f}" for peak in row.peaks)
    return (
        f"{row.cell:34} {row.wall:6.3f} {goal:>5} {_mark(row.met)}  {row.cpu:6.2f}"
        f" {_time(row.ours):>9} {_time(row.theirs):>9} {_time(row.limit):>9} {row.ours / row.limit:6.2f}"
        f"  {room:>13} {_mark(row.fits)} {peaks:>9}  {row.variant}"
    )


def _mark(kept: bool) -> str:  # noqa: FBT001  it has no other argument
    return " " if kept else "!"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def summary(rows: Sequence[Row]) -> list[str]:
    """What the whole table says."""
    if not rows:
        return ["no figures: --list tells the cells"]
    mean = math.exp(statistics.fmean(math.log(row.wall) for row in rows))
    lines = [f"geometric mean of {len(rows)} cells: {mean:.3f} (goal 0.25)"]
    lines += [f"over its goal: {row.cell}: {row.wall:.3f}, goal {row.goal}" for row in rows if not row.met]
    lines += [
        f"larger than promised: {row.cell}: {row.sizes[0]} bytes, theirs {row.sizes[1]}" for row in rows if not row.fits
    ]
    lines += [f"over 64 MiB: {row.cell}: {row.peaks[0] / MIB:.0f} MiB" for row in rows if row.peaks[0] > MOST_MEMORY]
    return lines
