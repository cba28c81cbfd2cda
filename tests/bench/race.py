"""Two sides in turns: what each run took, as the kernel counted it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.cells import Cell

CHECKOUT = Path(__file__).parents[2]
_SCOUTED = 1.0  # seconds; what is faster is tried three times before one variant is chosen


class BenchError(Exception):
    """A side failed, or its result is wrong: there is nothing to compare."""


class Spent(NamedTuple):
    wall: float  # seconds
    cpu: float  # seconds, user and system
    peak: int  # bytes resident, of the largest process


class Side(NamedTuple):
    """One program on one cell."""

    label: str
    commands: tuple[tuple[str, ...], ...]
    output: Path

    def run(self) -> Spent:
        """All commands, one after the other."""
        spent = [_spend(command, self.output.with_suffix(".said")) for command in self.commands]
        return Spent(sum(one.wall for one in spent), sum(one.cpu for one in spent), max(one.peak for one in spent))

    @property
    def said(self) -> str:
        return self.output.with_suffix(".said").read_text()


class Result(NamedTuple):
    ours: list[Spent]
    theirs: list[Spent]


class Entry(NamedTuple):
    """A cell with its commands as they are typed here."""

    cell: Cell
    corpus: Path
    ours: Side
    theirs: tuple[Side, ...]

    def prepare(self, side: Side) -> None:
        """What a run needs, untimed: nobody pays for deleting the last result or for writing it back."""
        for path in side.output.parent.glob(f"{side.output.stem}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if self.cell.fresh:
            copy = ("cp", "-r", "--reflink=never", "--sparse=always")
            _spend((*copy, self.cell.fresh.format(c=self.corpus), os.fspath(side.output)))
        for command in self.cell.before:
            _spend(_words(command, self.corpus, side.output))
        os.sync()
        if self.cell.cold:
            _forget(Path(self.cell.source.format(c=self.corpus)))


def entry(cell: Cell, corpus: Path, programs: dict[str, tuple[str, ...]]) -> Entry:
    """``programs``: label of each qemu-img, and how it is started."""
    first = cell.ours[0].format(c=corpus, o="@")
    folder = next((Path(word).parent for word in first.split() if word.endswith("/@")), corpus)
    ours = _side("virtkit", cell.ours, corpus, folder / f"ours.{cell.suffix or 'none'}", ())
    theirs = tuple(
        _side(
            f"{label}{_flags(commands[0])}",
            commands,
            corpus,
            folder / f"theirs.{cell.suffix or 'none'}",
            program,
        )
        for label, program in programs.items()
        for commands in cell.theirs
    )
    return Entry(cell, corpus, ours, theirs)


def _side(label: str, commands: Iterable[str], corpus: Path, output: Path, program: tuple[str, ...]) -> Side:
    return Side(label, tuple(_words(command, corpus, output, program) for command in commands), output)


def _words(command: str, corpus: Path, output: Path, program: tuple[str, ...] = ("qemu-img",)) -> tuple[str, ...]:
    first, *words = command.format(c=corpus, o=output.name).split(" ")
    start = {"virtkit": (os.fspath(CHECKOUT / "virtkit"),), "python": (sys.executable,), "qemu-img": program}[first]
    return (*start, *words)


def _flags(command: str) -> str:
    """The words of a convert that make it a variant."""
    words = command.split()
    known = [" ".join(words[2 : words.index("-f")])] if words[1] == "convert" else []
    known += [f"-d {words[words.index('-d') + 1]}"] if "-d" in words else []
    return f" {known[0]}".rstrip() if known else ""


def race(entry: Entry, pairs: int) -> tuple[Side, Result]:
    """The fastest of their variants against ours, in turns; who starts changes."""
    _empty_memory()
    entry.prepare(entry.ours)
    entry.ours.run()  # compiled modules and the source are in the cache from now on
    best = min(entry.theirs, key=lambda side: _scouted(entry, side))
    result = Result([], [])
    for number in range(pairs):
        order = ((entry.ours, result.ours), (best, result.theirs))
        for side, kept in order if number % 2 else reversed(order):
            entry.prepare(side)
            kept.append(side.run())
    return best, result


def _scouted(entry: Entry, side: Side) -> float:
    best = float("inf")
    for _ in range(3):
        entry.prepare(side)
        best = min(best, side.run().wall)
        if best > _SCOUTED or len(entry.theirs) == 1:
            break
    return best


def _spend(command: tuple[str, ...], said: Path | None = None) -> Spent:
    """Run one program to its end; what it prints is added to ``said``. BenchError where it fails."""
    reader, writer = os.pipe()
    try:
        with (said or Path(os.devnull)).open("ab") as output:
            done = subprocess.run(
                [sys.executable, "-I", CHECKOUT / "tests" / "bench" / "spend.py", str(writer), *command],
                check=False,
                stdout=output,
                stderr=subprocess.PIPE,
                pass_fds=[writer],
                text=True,
            )
        if done.returncode:
            raise BenchError(f"exit status {done.returncode} from: {' '.join(command)}\n{done.stderr.strip()}")
        wall, cpu, peak = os.read(reader, 200).split()
    finally:
        os.close(reader)
        os.close(writer)
    return Spent(float(wall), float(cpu), int(peak))


def _forget(path: Path) -> None:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _empty_memory() -> None:
    """Drop what other cells left in the cache: a full one makes the kernel reclaim and move pages while a run waits."""
    os.sync()
    for knob, value in (("drop_caches", "3"), ("compact_memory", "1")):
        Path("/proc/sys/vm", knob).write_text(value, encoding="ascii")
