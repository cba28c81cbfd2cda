"""Data that goes to the drive at once, past the page cache: what shall be on stable storage is not copied twice.

O_DIRECT, open(2): memory, offset and length are aligned to blocks; what is not (the tail of a disk, small units) and
what a file system does not take is written as usual. A file that grows is made longer in large steps, with its room
taken: while it grows no thread can write. The writer's ``finish`` cuts it to its end.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError
from virtkit.core.units import KIB, MIB, round_down
from virtkit.disk.copying.hands import Plain
from virtkit.disk.file import File

if TYPE_CHECKING:
    from virtkit.disk.copying.hands import Count, Memory
    from virtkit.disk.format import Place, Writer

_AHEAD = 64 * MIB  # bytes by which a file grows at once
_BLOCK = 4 * KIB  # bytes; no drive wants more
_NOT_TAKEN = {errno.EINVAL, errno.EOPNOTSUPP}


class Doors:
    """Second descriptors of the files that are written, one of each for all threads; close them in the end."""

    buffer = MIB  # bytes: drives are faster with longer requests

    def __init__(self) -> None:
        self._open: dict[int, File | None] = {}  # by the first descriptor
        self._ends: dict[int, int] = {}  # bytes that there is room for, likewise
        self._lock = threading.Lock()

    def of(self, file: File) -> File | None:
        """None where the file system has no such way."""
        with self._lock:
            if file.fd not in self._open:
                self._open[file.fd] = _opened(file)
            return self._open[file.fd]

    def make_room(self, file: File, end: int) -> None:
        """Up to ``end``, and more for what comes next."""
        if file.is_device:
            return
        with self._lock:
            there = max(self._ends.get(file.fd, 0), file.size)
            if there < end:
                there, before = end + _AHEAD, there
                file.reserve(before, there - before)
                file.resize(there)
            self._ends[file.fd] = there

    def close(self) -> None:
        for door in self._open.values():
            if door:
                door.close()
        self._open.clear()


def _opened(file: File) -> File | None:
    try:
        return File(os.open(f"/proc/self/fd/{file.fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC), file.name)
    except OSError:
        return None


class Straight(Plain):
    """Reads, drops zeros, places in order and takes the room, writes past the page cache."""

    def __init__(self, writer: Writer, memory: Memory, count: Count, ground: int, doors: Doors) -> None:
        super().__init__(writer, memory, count, ground)
        self._doors = doors

    def in_order(self) -> None:
        super().in_order()
        for places in self._places:
            for place in places:
                self._doors.make_room(place.file, place.at + place.length)

    def complete(self) -> None:
        for (begin, _end), places in zip(self._runs, self._places, strict=True):
            data = self._memory.view[begin:]
            for place in places:
                self._put(place, data[: place.length])
                data = data[place.length :]

    def _put(self, place: Place, data: memoryview) -> None:
        if place.seal:
            data[:] = place.seal(place.at, data)  # the memory is aligned, the sealed bytes are not
        done = self._write(place, data)
        if done < len(data):
            place.file.write(place.at + done, data[done:])

    def _write(self, place: Place, data: memoryview) -> int:
        """How many of the first bytes went through the door."""
        whole = round_down(len(data), _BLOCK)
        door = self._doors.of(place.file) if whole and place.at % _BLOCK == 0 else None
        if not door:
            return 0
        try:
            door.write(place.at, data[:whole])
        except SystemCallError as error:
            if error.errno not in _NOT_TAKEN:
                raise
            return 0
        return whole
