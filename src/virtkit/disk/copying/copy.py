"""Moves the guest's bytes into a new image: shared blocks where the file system can, else through small buffers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from virtkit.core.progress import Advanced, Finished, Sink, Started
from virtkit.core.units import MIB, SECTOR, divide_up, round_down
from virtkit.disk import pieces
from virtkit.disk.copying import crew, hands, sharing
from virtkit.disk.copying.hands import BUFFER, GRANULE, Memory
from virtkit.disk.copying.source import LARGEST_UNIT, largest_cluster
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from virtkit.disk.copying.encoding import Encode
    from virtkit.disk.copying.overlay import Ground
    from virtkit.disk.copying.sharing import Donors
    from virtkit.disk.copying.source import Source
    from virtkit.disk.copying.straight import Doors
    from virtkit.disk.format import Extent, Writer
    from virtkit.disk.live import LiveChain
    from virtkit.disk.pieces import Job

_RUN = 64 * MIB  # bytes that are counted at once
REMEMBERED = 1 << 17  # extents: looked up once, not to be counted and then again to be copied; 30 MiB at most
REMEMBERED_CODED = 1 << 14  # likewise; where something is decoded there are other buffers, too
REPORT_EVERY = 0.05  # seconds


class Amount(NamedTuple):
    """What a copy has to move, all in bytes."""

    plain: int
    coded: int
    room: int  # the most that a writer will be asked to place
    found: Sequence[Extent] | None = None  # what has to be read, where that is little enough to be remembered

    @property
    def total(self) -> int:
        return self.plain + self.coded


class Keeper(Protocol):
    """Writes down what is done, so that a copy that is broken off can be taken up."""

    @property
    def start(self) -> int:
        """Bytes of the disk that were done before, from its front."""
        ...

    @property
    def moved(self) -> int:
        """Bytes of ``Amount`` that were moved for them."""
        ...

    def watch(self, hand: hands.Hand[Job]) -> hands.Hand[Job]: ...

    def after_job(self) -> None:
        """Often, in the caller's thread."""
        ...


class Manner(NamedTuple):
    """How a copy is made."""

    encode: Encode | None = None  # compresses a unit
    lent: Donors | None = None  # files of the source whose blocks may become blocks of the target
    sparse: int | None = None  # bytes; shorter runs of zeros are written; None: as the writer likes it, 0: all of them
    threads: int | None = None  # None: as many as are good for this machine
    rate: int = 0  # bytes a second; 0: as fast as it goes
    ground: Ground | None = None  # what the new image stands on
    keeper: Keeper | None = None
    doors: Doors | None = None  # by which plain data goes past the page cache
    whole: int = 0  # bytes; of what the new image holds wholly or not at all, where that is more than the writer's unit


def measure(source: Source, unit: int = LARGEST_UNIT, *, ground: Ground | None = None, dense: bool = False) -> Amount:
    """For a writer with units of up to ``unit`` bytes."""
    if dense and not ground:
        return Amount(source.size, 0, source.size)
    kept = _Kept()
    amount = _counted(kept.passing(_needed(source, unit, ground, dense=dense)), unit)
    return amount if ground else amount._replace(found=kept.found)


class _Kept:
    """Extents on their way through; ``found`` are all of them, None where they were too many."""

    def __init__(self) -> None:
        self.found: list[Extent] | None = []

    def passing(self, extents: Iterable[Extent]) -> Iterator[Extent]:
        for extent in extents:
            if self.found is not None:
                self.found.append(extent)
                most = REMEMBERED_CODED if extent.kind is Kind.CODED else REMEMBERED
                if len(self.found) > most:
                    self.found = None
            yield extent


def _needed(source: Source, unit: int, ground: Ground | None, *, dense: bool) -> Iterator[Extent]:
    if not ground:
        return pieces.stored(source.extents())
    from virtkit.disk.copying import overlay

    found = overlay.jobs(source, ground, unit=unit, limit=max(_RUN, unit), end=source.size, dense=dense)
    return (piece for job in found for piece in job.pieces)


def _counted(extents: Iterable[Extent], unit: int) -> Amount:
    plain = coded = room = reached = 0
    for extent in extents:
        if extent.kind is Kind.CODED:
            coded += extent.length
        else:
            plain += extent.length
        start = max(round_down(extent.start, unit), reached)
        reached = max(reached, divide_up(extent.end, unit) * unit)
        room += reached - start if reached > start else 0
    return Amount(plain, coded, room)


class Copy:
    """One copy of ``source``; ``amount`` is what ``measure`` says of it."""

    def __init__(self, source: Source, amount: Amount, manner: Manner) -> None:
        self.source = source
        self.amount = amount
        self.manner = manner
        self.first = manner.keeper.moved if manner.keeper else 0  # bytes of ``amount`` that were done before
        self.done = self.first  # bytes of ``amount``
        self._began = 0.0
        self._cluster = largest_cluster(source)
        buffer = manner.doors.buffer if manner.doors else BUFFER
        self._largest = max(buffer, self._cluster)

    def run(self, writer: Writer, size: int, report: Sink) -> None:
        """Place all data in a new image of ``size`` bytes.

        Whatever ``report`` raises ends the copy; ``writer`` is not finished here.
        """
        limit = max(self._largest, writer.unit)
        made = [self._hand(writer, limit) for _ in range(self._threads(limit))]
        jobs = self._jobs(writer.unit, limit, size)
        if keeper := self.manner.keeper:
            made, jobs = [keeper.watch(hand) for hand in made], _behind(jobs, keeper.start)
        self._work(jobs, made, report)

    def run_in_place(self, target: LiveChain, report: Sink, *, is_zero: bool) -> None:
        """Make the front of a disk that exists equal to the source. ``is_zero``: the target holds zeros so far."""
        from virtkit.disk.copying import overlay

        limit, sparse = self._largest, self.manner.sparse
        everything = overlay.Ground(len(self.source.layers), self.source.size)
        found = overlay.jobs(
            self.source,
            self.manner.ground or everything,
            unit=SECTOR,
            limit=limit,
            end=self.source.size,
            dense=sparse == 0,
        )
        granule = min(sparse or GRANULE, GRANULE)
        made: list[hands.Hand[Job]] = [
            hands.InPlace(target, Memory(limit, granule, sparse), self._count, is_zero=is_zero)
            for _ in range(self._threads(limit))
        ]
        self._work(found, made, report)

    def _threads(self, job: int) -> int:
        """``job``: bytes of the largest."""
        coded = self.manner.encode or self.amount.coded
        if self.manner.rate or (self.manner.lent and not coded):
            return 1
        waiting = self.manner.doors and not coded  # for the drive, which is fast with much to do at once
        wanted = self.manner.threads or (crew.MOST if waiting else crew.size())
        if not coded:
            return wanted
        from virtkit.disk.copying import allowance

        allowed = allowance.threads(wanted, job)
        allowance.share_heaps(allowed)
        return allowed

    def _hand(self, writer: Writer, limit: int) -> hands.Hand[Job]:
        memory = Memory(limit, writer.unit, self.manner.sparse)
        ground = self.manner.ground.size if self.manner.ground else 0
        if self.manner.encode:
            from virtkit.disk.copying.encoding import Encoding

            return Encoding(writer, memory, self._count, self.manner.encode, ground)
        plain, lent = self._plain(writer, memory, ground), self.manner.lent
        return sharing.Sharing(writer, lent.block, self._count, plain, ground) if lent else plain

    def _plain(self, writer: Writer, memory: Memory, ground: int) -> hands.Plain:
        if not self.manner.doors:
            return hands.Plain(writer, memory, self._count, ground)
        from virtkit.disk.copying.straight import Straight

        return Straight(writer, memory, self._count, ground, self.manner.doors)

    def _jobs(self, unit: int, limit: int, end: int) -> Iterator[Job]:
        dense, lent = self.manner.sparse == 0, self.manner.lent
        if self.manner.ground:
            from virtkit.disk.copying import overlay

            whole = max(unit, self.manner.whole)
            found = overlay.jobs(self.source, self.manner.ground, unit=whole, limit=limit, end=end, dense=dense)
            return sharing.marked(found, lent) if lent else found
        if dense and not lent:
            return pieces.jobs(self.source.extents(), unit=unit, limit=limit, end=end)
        known = self.amount.found
        stored = pieces.stored(self.source.extents()) if known is None else known
        if lent:
            return sharing.jobs(stored, lent, unit=unit, cluster=self._cluster, limit=limit, end=end)
        return pieces.jobs(stored, unit=unit, limit=limit, end=end)

    def _work(self, jobs: Iterable[Job], made: list[hands.Hand[Job]], report: Sink) -> None:
        step = f"convert {self.source.name}"
        self._began = time.monotonic()
        report(Started(step, self.amount.total, self.first))
        crew.run(jobs, made, self._reporter(step, report))
        report(Advanced(step, self.done))
        report(Finished(step))

    def _count(self, job: Job) -> None:
        """After each job, one at a time; holds them up where they are faster than they may."""
        self.done += job.weight
        if self.manner.rate:
            ahead = (self.done - self.first) / self.manner.rate - (time.monotonic() - self._began)
            if ahead > 0:
                time.sleep(ahead)

    def _reporter(self, step: str, report: Sink) -> Callable[[], None]:
        told, keeper = self._began, self.manner.keeper

        def after_job() -> None:
            nonlocal told
            if keeper:
                keeper.after_job()
            if (now := time.monotonic()) - told >= REPORT_EVERY:
                told = now
                report(Advanced(step, self.done))

        return after_job


def _behind(jobs: Iterable[Job], start: int) -> Iterator[Job]:
    """Without what lies in front of ``start``, which is a unit's edge."""
    for job in jobs:
        end = job.start + job.length
        if job.start >= start:
            yield job
        elif end > start:
            left = [pieces.part(piece, max(piece.start, start), piece.end) for piece in job.pieces if piece.end > start]
            yield job._replace(start=start, length=end - start, pieces=left)
