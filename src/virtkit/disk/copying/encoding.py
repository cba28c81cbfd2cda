"""Compresses a copy: each unit by itself, in any thread, stored in the order of the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.copying.hands import blank_between, filled, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.copying.hands import Count, Memory
    from virtkit.disk.format import Buffer, Stretch, Writer
    from virtkit.disk.pieces import Job

    Encode = Callable[[Buffer], bytes | None]


class Encoding:
    """Reads, drops zeros, compresses each unit, stores in order; what does not shrink is placed as it is."""

    def __init__(self, writer: Writer, memory: Memory, count: Count, encode: Encode, ground: int = 0) -> None:
        self._writer = writer
        self._memory = memory
        self._count = count
        self._encode = encode
        self._ground = ground
        self._unit = writer.unit
        self._job: Job
        self._runs: list[Stretch]
        self._coded: list[tuple[int, int, bytes | None]]  # from, to in memory, compressed

    def prepare(self, job: Job) -> None:
        self._job = job
        self._runs = filled(job, self._memory)
        self._coded = [
            (at, min(at + self._unit, end), self._compress(at, min(at + self._unit, end)))
            for begin, end in self._runs
            for at in range(begin, end, self._unit)
        ]

    def _compress(self, begin: int, end: int) -> bytes | None:
        if end - begin == self._unit:
            return self._encode(self._memory.view[begin:end])
        return self._encode(self._memory.memory[begin:end] + bytes(self._unit - (end - begin)))

    def in_order(self) -> None:
        start = self._job.start
        blank_between(self._writer, self._job, self._runs, self._ground)
        for begin, end, coded in self._coded:
            if coded is None:
                put(self._writer.place(start + begin, end - begin), self._memory.view[begin:end])
            else:
                self._writer.store(start + begin, coded)
        self._count(self._job)

    def complete(self) -> None:
        """Everything was written in order; nothing compressed is kept while the next job is read."""
        self._coded = []
