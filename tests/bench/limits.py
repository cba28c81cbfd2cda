"""What this machine needs at least for a cell: the floor below which no program gets."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from bench.cells import READS
from virtkit.core.units import KIB
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_BUFFER = 512 * KIB


def copy(source: Path, target: Path) -> None:
    """The file's data through the page cache into a new file."""
    with source.open("rb") as old, target.open("wb") as new:
        memory = memoryview(bytearray(_BUFFER))
        for start, end in _data(old.fileno()):
            for at in range(start, end, _BUFFER):
                count = os.preadv(old.fileno(), [memory[: min(_BUFFER, end - at)]], at)
                os.pwrite(new.fileno(), memory[:count], at)


def share(source: Path, target: Path) -> None:
    """All blocks of the file shared by a new one."""
    with source.open("rb") as old, target.open("wb") as new:
        new.truncate(os.fstat(old.fileno()).st_size)
        for start, end in _data(old.fileno()):
            at = start
            while at < end:
                at += os.copy_file_range(old.fileno(), new.fileno(), end - at, at, at)


def compare(source: Path, _target: Path) -> None:
    """The file's data read twice and compared."""
    with source.open("rb") as file:
        one, other = bytearray(_BUFFER), bytearray(_BUFFER)
        for start, end in _data(file.fileno()):
            for at in range(start, end, _BUFFER):
                count = os.preadv(file.fileno(), [one], at)
                os.preadv(file.fileno(), [other], at)
                if one != other if count == _BUFFER else one[:count] != other[:count]:
                    raise OSError(f"{source}: changes while it is read")


def reads(source: Path, _target: Path) -> None:
    """As many by the bare system call."""
    count, length, step = READS
    with source.open("rb") as file:
        size, at = os.fstat(file.fileno()).st_size, 0
        for _ in range(count):
            os.pread(file.fileno(), length, at)
            at = (at + step) % size


def start(_source: Path, _target: Path) -> None:
    """The interpreter that does nothing."""
    subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", "pass"], check=True)


_ALL: dict[str, Callable[[Path, Path], None]] = {
    "copy": copy,
    "share": share,
    "compare": compare,
    "reads": reads,
    "start": start,
}


def _data(fd: int) -> list[tuple[int, int]]:
    file = File.open(f"/proc/self/fd/{fd}", shared=True)
    try:
        return list(file.data(0, file.size))
    finally:
        file.close()


def measured(name: str, source: Path, target: Path) -> float:
    """Seconds of wall time, the best of three."""
    best = float("inf")
    for _ in range(3):
        target.unlink(missing_ok=True)
        began = time.perf_counter()
        _ALL[name](source, target)
        best = min(best, time.perf_counter() - began)
    target.unlink(missing_ok=True)
    return best
