"""Moves the guest's bytes into a new image: shared blocks where the file system can, else through small buffers.

A buffer per thread is kept so small that it stays in the processor's cache between read, test for zeros and write.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.progress import Advanced, Finished, Sink, Started
from virtkit.core.units import KIB, MIB, divide_up, round_down
from virtkit.disk import crew, pieces
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.chain import Chain
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Extent, Place, Writer
    from virtkit.disk.pieces import Job

    Encode = Callable[[Buffer], bytes | None]

BUFFER = 512 * KIB  # bytes: half of a common L2 cache
LARGEST_UNIT = 2 * MIB  # bytes; of qcow2's clusters
SHARED = 64 * MIB  # bytes per request to share blocks
REPORT_EVERY = 8 * MIB
_ZEROS = bytes(LARGEST_UNIT)


class Amount(NamedTuple):
    """What a copy has to move, all in bytes."""

    plain: int
    coded: int
    room: int  # the most that a writer with units of up to LARGEST_UNIT will be asked to place


def measure(source: Chain) -> Amount:
    plain = coded = room = reached = 0
    for extent in pieces.stored(source.extents()):
        if extent.kind is Kind.CODED:
            coded += extent.length
        else:
            plain += extent.length
        start = max(round_down(extent.start, LARGEST_UNIT), reached)
        reached = max(reached, divide_up(extent.end, LARGEST_UNIT) * LARGEST_UNIT)
        room += reached - start if reached > start else 0
    return Amount(plain, coded, room)


def can_share(source: Chain, target: File) -> bool:
    """Whether ``target``, which is empty and stays so, could refer to blocks of ``source``: tried with one block."""
    block = os.fstatvfs(target.fd).f_frsize
    for extent in source.extents():
        if extent.kind is Kind.DATA and extent.file and extent.at % block == 0 and extent.length >= block:
            shared = not target.is_device and target.share(0, extent.file, extent.at, block)
            if shared:
                target.resize(0)
            return shared
    return False


class Copy:
    """One copy of ``source`` into ``writer``, whose file is ``target``; ``size`` is that of the new disk in bytes."""

    def __init__(self, source: Chain, writer: Writer, target: File, size: int, amount: Amount) -> None:
        self.source = source
        self.writer = writer
        self.target = target
        self.size = size
        self.amount = amount
        self.done = 0  # bytes of ``amount``

    def run(self, report: Sink, *, encode: Encode | None = None, share: bool = False) -> None:
        """Place all data. Whatever ``report`` raises ends the copy; ``writer`` is not finished here."""
        step = f"convert {self.source.name}"
        report(Started(step, self.amount.plain + self.amount.coded))
        if share and not encode and not self.amount.coded:
            hands: list[crew.Hand[Job]] = [_Sharing(self)]
            limit = SHARED
        else:
            limit = self._limit()
            hands = [self._hand(limit, encode) for _ in range(crew.size())]
        crew.Crew(self._jobs(limit), hands, self._reporter(step, report)).run()
        report(Advanced(step, self.done))
        report(Finished(step))

    def _limit(self) -> int:
        """Bytes per job: no compressed cluster of the source may lie in two jobs, it would be decoded twice."""
        clusters = [layer.image.facts.cluster_size or 0 for layer in self.source.layers]
        return max(BUFFER, self.writer.unit, *clusters)

    def _hand(self, limit: int, encode: Encode | None) -> crew.Hand[Job]:
        return _Encoding(self, limit, encode) if encode else _Plain(self, limit)

    def _jobs(self, limit: int) -> Iterator[Job]:
        extents = pieces.stored(self.source.extents())
        return pieces.jobs(extents, unit=self.writer.unit, limit=limit, end=self.size)

    def _reporter(self, step: str, report: Sink) -> Callable[[], None]:
        told = 0

        def after_job() -> None:
            nonlocal told
            if self.done - told >= REPORT_EVERY:
                told = self.done
                report(Advanced(step, told))

        return after_job


def put(places: list[Place], data: memoryview) -> None:
    """Write the front of ``data`` to where the writer has room for it."""
    for place in places:
        part, data = data[: place.length], data[place.length :]
        place.file.write(place.at, place.seal(place.at, part) if place.seal else part)


class _Buffer:
    """Page-aligned memory of one thread, and where it is not all zeros."""

    def __init__(self, size: int) -> None:
        self.memory = mmap.mmap(-1, size)
        self.view = memoryview(self.memory)
        self._words = self.view.cast("Q")

    def written(self, length: int, unit: int) -> Iterator[tuple[int, int]]:
        """Runs [from, to) of units in the first ``length`` bytes that hold more than zeros.

        Most units of a disk in use differ from zero in their first word: those are not looked at any further.
        """
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
        return self.memory[start:end] == (_ZEROS if end - start == LARGEST_UNIT else _ZEROS[: end - start])


class _Plain:
    """Reads, drops zeros, places in order, writes."""

    def __init__(self, copy: Copy, limit: int) -> None:
        self._copy = copy
        self._buffer = _Buffer(limit)
        self._job: Job
        self._runs: list[tuple[int, int]]
        self._places: list[list[Place]]

    def prepare(self, job: Job) -> None:
        self._job = job
        pieces.fill(job, self._buffer.view)
        self._runs = list(self._buffer.written(job.length, self._copy.writer.unit))

    def in_order(self) -> None:
        place, start = self._copy.writer.place, self._job.start
        self._places = [place(start + begin, end - begin) for begin, end in self._runs]
        self._copy.done += self._job.weight

    def complete(self) -> None:
        for (begin, _end), places in zip(self._runs, self._places, strict=True):
            put(places, self._buffer.view[begin:])


class _Encoding:
    """Reads, drops zeros, compresses each unit, stores in order; what does not shrink is placed as it is."""

    def __init__(self, copy: Copy, limit: int, encode: Encode) -> None:
        self._copy = copy
        self._buffer = _Buffer(limit)
        self._encode = encode
        self._unit = copy.writer.unit
        self._job: Job
        self._coded: list[tuple[int, int, bytes | None]]  # from, to in the buffer, compressed

    def prepare(self, job: Job) -> None:
        self._job = job
        pieces.fill(job, self._buffer.view)
        self._coded = [
            (at, min(at + self._unit, end), self._compress(at, min(at + self._unit, end)))
            for begin, end in self._buffer.written(job.length, self._unit)
            for at in range(begin, end, self._unit)
        ]

    def _compress(self, begin: int, end: int) -> bytes | None:
        if end - begin == self._unit:
            return self._encode(self._buffer.view[begin:end])
        return self._encode(self._buffer.memory[begin:end] + bytes(self._unit - (end - begin)))

    def in_order(self) -> None:
        writer, start = self._copy.writer, self._job.start
        for begin, end, coded in self._coded:
            if coded is None:
                put(writer.place(start + begin, end - begin), self._buffer.view[begin:end])
            else:
                writer.store(start + begin, coded)
        self._copy.done += self._job.weight

    def complete(self) -> None:
        """Everything was written in order."""


class _Sharing:
    """Lets the new image refer to the blocks of the old one; copies only what does not lie on whole blocks."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._block = os.fstatvfs(copy.target.fd).f_frsize
        self._buffer = _Buffer(BUFFER)
        self._job: Job
        self._places: list[Place]

    def prepare(self, job: Job) -> None:
        self._job = job

    def in_order(self) -> None:
        self._places = self._copy.writer.place(self._job.start, self._job.length)
        self._copy.done += self._job.weight

    def complete(self) -> None:
        start = self._job.start
        for place in self._places:
            for piece in self._job.pieces:
                begin, end = max(piece.start, start), min(piece.end, start + place.length)
                if begin < end:
                    self._fetch(pieces.part(piece, begin, end), place.file, place.at + begin - start)
            start += place.length

    def _fetch(self, piece: Extent, target: File, at: int) -> None:
        shared = self._share(piece, target, at)
        if shared < piece.length:
            self._move(pieces.part(piece, piece.start + shared, piece.end), target, at + shared)

    def _share(self, piece: Extent, target: File, at: int) -> int:
        """How many of the piece's first bytes are shared now."""
        whole = round_down(piece.length, self._block)
        if not whole or not piece.file or at % self._block or piece.at % self._block:
            return 0
        return whole if target.share(at, piece.file, piece.at, whole) else 0

    def _move(self, rest: Extent, target: File, at: int) -> None:
        for piece in pieces.cut([rest], BUFFER):
            room = self._buffer.view[: piece.length]
            pieces.load(piece, room)
            target.write(at + piece.start - rest.start, room)
