"""Lets a new image refer to the blocks of the old one: what lies on whole blocks is not copied at all.

Reflinks, ioctl_ficlonerange(2), of XFS and btrfs. What cannot be shared (compressed units, data that lies askew, a
layer on another file system) is read and written beside it.
"""

from __future__ import annotations

import os
from itertools import chain, groupby
from math import lcm
from typing import TYPE_CHECKING

from virtkit.core.units import MIB, round_down
from virtkit.disk import pieces
from virtkit.disk.copying.hands import BUFFER, GRANULE, Memory, blank_between, put
from virtkit.disk.format import Extent, Kind
from virtkit.disk.pieces import Job
from virtkit.disk.runs import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.copying.hands import Count, Plain
    from virtkit.disk.copying.source import Source
    from virtkit.disk.file import File
    from virtkit.disk.format import Place, Writer

LARGEST = 64 * MIB  # bytes per job: one request to the kernel, where they lie in a row


class Donors:
    """The files of a source whose blocks may become blocks of the target."""

    def __init__(self, descriptors: frozenset[int], block: int) -> None:
        self._descriptors = descriptors
        self.block = block  # bytes, of the file system

    def __bool__(self) -> bool:
        return bool(self._descriptors)

    def own(self, piece: Extent) -> bool:
        """Whether whole blocks of ``piece`` can be shared, wherever a writer places its unit."""
        if piece.kind is not Kind.DATA or not piece.file or piece.file.fd not in self._descriptors:
            return False
        return piece.at % self.block == 0 and piece.start % self.block == 0


def donors(source: Source, target: File) -> Donors:
    """Each file of ``source`` is tried with one block; ``target``, a file that is empty, stays so."""
    block = os.fstatvfs(target.fd).f_frsize
    if target.is_device:
        return Donors(frozenset(), block)
    found = frozenset(file.fd for file in _files(source) if file.size >= block and target.share(0, file, 0, block))
    if found:
        target.resize(0)
    return Donors(found, block)


def everything(source: Source, target: File) -> Donors:
    """As ``donors``, where ``target`` holds something already: none is tried, and what is refused is copied."""
    return Donors(frozenset(file.fd for file in _files(source)), os.fstatvfs(target.fd).f_frsize)


def _files(source: Source) -> Iterator[File]:
    return (file for layer in source.layers for file in layer.image.files)


class Kin(Job):
    """A job all of whose pieces can be shared."""

    __slots__ = ()


def marked(found: Iterable[Job], lent: Donors) -> Iterator[Job]:
    """The same jobs, with those that can be shared told apart."""
    for job in found:
        yield Kin(*job) if all(map(lent.own, job.pieces)) else job


def jobs(found: Iterable[Extent], lent: Donors, *, unit: int, cluster: int, limit: int, end: int) -> Iterator[Job]:
    """As ``pieces.jobs``: what can be shared in long jobs, all else in such as do not cross a multiple of ``limit``.

    ``unit`` is the writer's; no unit of the source (of ``cluster`` bytes) is cut where it is not shared.
    """
    grain = lcm(unit, cluster or 1)
    for job in marked(pieces.jobs(found, unit=unit, limit=LARGEST, end=end), lent):
        if isinstance(job, Kin):
            yield job
            continue
        for shared, parts in _parts(job, lent, grain):
            cut = pieces.jobs(parts, unit=unit, limit=LARGEST if shared else limit, end=end)
            yield from (Kin(*part) for part in cut) if shared else cut


def _parts(job: Job, lent: Donors, grain: int) -> Iterator[tuple[bool, Iterable[Extent]]]:
    by_grain = (list(parts) for _, parts in groupby(pieces.cut(job.pieces, grain), lambda part: part.start // grain))
    for shared, alike in groupby(by_grain, lambda parts: all(map(lent.own, parts))):
        yield shared, merged(chain.from_iterable(alike))


class Sharing:
    """Shares the jobs that can be, and leaves the others to ``plain``."""

    def __init__(self, writer: Writer, block: int, count: Count, plain: Plain, ground: int) -> None:
        self._writer = writer
        self._block = block  # bytes
        self._count = count
        self._plain = plain
        self._ground = ground  # bytes; of the backing image
        self._memory = Memory(BUFFER, GRANULE)
        self._job: Job
        self._places: list[Place]

    def prepare(self, job: Job) -> None:
        self._job = job
        if not isinstance(job, Kin):
            self._plain.prepare(job)

    def in_order(self) -> None:
        job = self._job
        if not isinstance(job, Kin):
            self._plain.in_order()
            return
        if job.pieces:
            self._places = self._writer.place(job.start, job.length)
        else:
            self._places = []
            blank_between(self._writer, job, (), self._ground)
        self._count(job)

    def complete(self) -> None:
        job = self._job
        if not isinstance(job, Kin):
            self._plain.complete()
            return
        start = job.start
        for place in self._places:
            end = start + place.length
            for piece in job.pieces if len(self._places) == 1 else _within(job.pieces, start, end):
                self._fetch(piece, place, place.at + piece.start - start)
            start = end

    def _fetch(self, piece: Extent, place: Place, at: int) -> None:
        """What is left behind the last whole block, and what a place that lies askew gets, is copied."""
        shared = self._share(piece, place, at)
        if shared < piece.length:
            self._copy(pieces.part(piece, piece.start + shared, piece.end), place, at + shared)

    def _share(self, piece: Extent, place: Place, at: int) -> int:
        """How many of the piece's first bytes are shared now."""
        whole = round_down(piece.length, self._block)
        if not whole or not piece.file or at % self._block or place.seal:
            return 0
        return whole if place.file.share(at, piece.file, piece.at, whole) else 0

    def _copy(self, piece: Extent, place: Place, at: int) -> None:
        for part in pieces.cut([piece], BUFFER):
            view = self._memory.view[: part.length]
            pieces.load(part, view)
            put([place._replace(at=at + part.start - piece.start, length=part.length)], view)


def _within(found: Iterable[Extent], start: int, end: int) -> Iterator[Extent]:
    for piece in found:
        if piece.start < end and start < piece.end:
            yield pieces.part(piece, max(piece.start, start), min(piece.end, end))
