"""What the threads of a copy do with a job: read, drop zeros, write.

A buffer per thread is kept so small that it stays in the processor's cache between read, test for zeros and write.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Protocol, TypeVar

from virtkit.core.units import KIB, MIB, divide_up
from virtkit.disk import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Place, Stretch, Writer
    from virtkit.disk.live import LiveChain
    from virtkit.disk.pieces import Job

BUFFER = 512 * KIB  # bytes: half of a common L2 cache
GRANULE = 4 * KIB  # bytes; a disk that is written in place is tested for zeros in these
_ZEROS = bytes(2 * MIB)  # of qcow2's largest clusters

J_contra = TypeVar("J_contra", contravariant=True)


class Hand(Protocol[J_contra]):
    """One worker. Each method is called for the same job before the next job comes."""

    def prepare(self, job: J_contra) -> None:
        """Side by side with other hands."""
        ...

    def in_order(self) -> None:
        """One hand at a time, in the order of the jobs."""
        ...

    def complete(self) -> None:
        """Side by side again."""
        ...


class Memory:
    """Page-aligned memory of one thread, and where it is not all zeros.

    ``sparse``: shorter runs of zeros count as data; None: units alone count, 0: there are no zeros.
    """

    def __init__(self, size: int, unit: int, sparse: int | None = None) -> None:
        self.memory = mmap.mmap(-1, size)
        self.view = memoryview(self.memory)
        self._words = self.view.cast("Q")
        self._unit = unit
        self._sparse = sparse

    def written(self, length: int) -> list[Stretch]:
        """Runs [from, to) of units in the first ``length`` bytes that hold more than zeros."""
        if self._sparse == 0:
            return [(0, length)]
        found = list(self._runs(length))
        return _bridged(found, self._sparse) if self._sparse and self._sparse > self._unit else found

    def _runs(self, length: int) -> Iterator[Stretch]:
        """Most units of a disk in use differ from zero in their first word: those are not looked at any further."""
        unit = self._unit
        heads = self._words[: divide_up(length, 8) : unit // 8].tolist()
        if 0 not in heads:
            yield 0, length
            return
        begin = -1
        for index, head in enumerate(heads):
            at = index * unit
            if head or not self._zeros(at, min(at + unit, length)):
                begin = at if begin < 0 else begin
            elif begin >= 0:
                yield begin, at
                begin = -1
        if begin >= 0:
            yield begin, length

    def _zeros(self, start: int, end: int) -> bool:
        length = end - start
        wanted = _ZEROS if length == len(_ZEROS) else _ZEROS[:length] if length < len(_ZEROS) else bytes(length)
        return self.memory[start:end] == wanted


def _bridged(runs: Iterable[Stretch], sparse: int) -> list[Stretch]:
    """Runs joined across gaps shorter than ``sparse``."""
    joined: list[Stretch] = []
    for begin, end in runs:
        if joined and begin - joined[-1][1] < sparse:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def gaps(runs: Iterable[Stretch], length: int) -> Iterator[Stretch]:
    """What lies between ``runs`` in [0, length)."""
    at = 0
    for begin, end in runs:
        if at < begin:
            yield at, begin
        at = end
    if at < length:
        yield at, length


def put(places: Iterable[Place], data: memoryview) -> None:
    """Write the front of ``data`` to where the writer has room for it."""
    for place in places:
        part, data = data[: place.length], data[place.length :]
        place.file.reserve(place.at, len(part))
        place.file.write(place.at, place.seal(place.at, part) if place.seal else part)


class Count(Protocol):
    """Hears of every job, in the order of the jobs."""

    def __call__(self, job: Job) -> None: ...


class Plain:
    """Reads, drops zeros, places in order, writes. What lies below ``ground`` needs to be told where zeros are."""

    def __init__(self, writer: Writer, memory: Memory, count: Count, ground: int = 0) -> None:
        self._writer = writer
        self._memory = memory
        self._count = count
        self._ground = ground  # bytes; of the backing image
        self._job: Job
        self._runs: list[Stretch]
        self._places: list[list[Place]]

    def prepare(self, job: Job) -> None:
        self._job = job
        self._runs = filled(job, self._memory)

    def in_order(self) -> None:
        place, start = self._writer.place, self._job.start
        blank_between(self._writer, self._job, self._runs, self._ground)
        self._places = [place(start + begin, end - begin) for begin, end in self._runs]
        self._count(self._job)

    def complete(self) -> None:
        for (begin, _end), places in zip(self._runs, self._places, strict=True):
            put(places, self._memory.view[begin:])


def filled(job: Job, memory: Memory) -> list[Stretch]:
    """The guest's bytes of ``job`` in memory, and where they are not zeros. Zeros alone may be longer than memory."""
    if not job.pieces:
        return []
    pieces.fill(job, memory.view)
    return memory.written(job.length)


def blank_between(writer: Writer, job: Job, runs: Iterable[Stretch], ground: int) -> None:
    for begin, end in gaps(runs, job.length):
        if job.start + begin < ground:
            writer.blank(job.start + begin, end - begin)


class InPlace:
    """Reads side by side, writes in order into a disk that exists; zeros are written too unless they are there."""

    def __init__(self, target: LiveChain, memory: Memory, count: Count, *, is_zero: bool) -> None:
        self._target = target
        self._memory = memory
        self._count = count
        self._is_zero = is_zero
        self._job: Job
        self._runs: list[Stretch]

    def prepare(self, job: Job) -> None:
        self._job = job
        self._runs = filled(job, self._memory)

    def in_order(self) -> None:
        start = self._job.start
        for begin, end in self._runs:
            self._target.write(start + begin, self._memory.view[begin:end])
        for begin, end in () if self._is_zero else gaps(self._runs, self._job.length):
            self._target.zero(start + begin, end - begin)
        self._count(self._job)

    def complete(self) -> None:
        """Everything was written in order."""
