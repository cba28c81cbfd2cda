"""The metadata of a qcow2 image in front of a guest's disk that lies in the file as it is, in one piece.

Header, L1 table, refcount table, refcount blocks, L2 tables, each in a row; then the guest's bytes. Clusters without
data have no entries: where they would lie, the file has free room. Specification: QEMU docs/interop/qcow2.txt.
"""

from __future__ import annotations

from array import array
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.format import Envelope
from virtkit.disk.formats.qcow2 import newhead
from virtkit.disk.formats.qcow2.counts import big_endian, encoded
from virtkit.disk.formats.qcow2.layout import (
    COPIED,
    ENTRY,
    V3_LENGTH,
    Extension,
    ExtensionHeader,
    FeatureName,
    Features,
)
from virtkit.disk.formats.qcow2.newtables import Shape
from virtkit.disk.formats.qcow2.options import parse
from virtkit.disk.formats.qcow2.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from virtkit.disk.format import Buffer, Stretch
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.options import Options

_UNFINISHED = 63  # an incompatible feature that no program knows, so that all refuse the file
_NAME = b"virtkit disk convert --in-place, not finished"


def envelope(size: int, data: Sequence[Stretch], options: Mapping[str, str]) -> Envelope:
    """NotSupportedError for options by which data would not lie plainly in the file; UsageError."""
    chosen = parse(options)
    _require_plain(chosen)
    layout = _Layout.of(chosen, size, data)
    head = newhead.new_head(chosen, layout.shape, None, {}, layout.tables)
    whole = pack("qcow2", head)
    file_size = (layout.room + layout.shape.clusters) * layout.shape.cluster
    return Envelope(layout.room * layout.shape.cluster, file_size, whole, _unfinished(head), layout.parts)


def _require_plain(options: Options) -> None:
    hindrance = {
        "encryption": options.encryption,
        "a data file": options.data_file,
        "extended_l2": options.extended_l2,
        "preallocation": options.preallocation != "off",
    }
    for name, there in hindrance.items():
        if there:
            raise NotSupportedError(f"qcow2: conversion in place does not go with {name}", hint="leave out --in-place")


def _unfinished(head: Head) -> bytes:
    """A header of version 3 whose table of features says to whoever reads it what is the matter."""
    header = head.header.pack()
    features = Features(1 << _UNFINISHED, 0, 0, head.features.refcount_order, V3_LENGTH)
    table = FeatureName(FeatureName.INCOMPATIBLE, _UNFINISHED, _NAME).pack()
    extension = ExtensionHeader(Extension.FEATURE_NAMES, len(table)).pack()
    fixed = header[:4] + (3).to_bytes(4, "big") + header[8:] + features.pack()
    return (fixed.ljust(V3_LENGTH, b"\0") + extension + table + bytes(ExtensionHeader.SIZE)).ljust(SECTOR, b"\0")


class _Layout(NamedTuple):
    """All numbers count clusters, ``runs`` those of the guest."""

    shape: Shape
    order: int  # of refcounts
    runs: tuple[Stretch, ...]
    blocks: tuple[int, ...]  # indices of the refcount blocks that are not all zeros
    l2s: tuple[int, ...]  # indices of the L2 tables that are not empty
    table: int  # of the refcount table
    room: int  # in front of the guest's disk; the last of it may be free

    @classmethod
    def of(cls, options: Options, size: int, data: Sequence[Stretch]) -> _Layout:
        """The room decides where the data lies, so which blocks count it, so the room."""
        shape = Shape(size, options.cluster_size, extended=False)
        runs = tuple(_clusters(data, shape.cluster))
        l2s = tuple(index for index, _ in groupby(index for index, *_ in _split(runs, shape.entries)))
        found = cls(shape, options.refcount_order, runs, (), l2s, 0, 0)
        while found.room < found.needed:
            found = found._fitted(found.needed)
        return found

    def _fitted(self, room: int) -> _Layout:
        moved = ((room + begin, room + end) for begin, end in self.runs)
        counted = (index for index, *_ in _split([(0, room), *moved], self._counts))
        blocks = tuple(index for index, _ in groupby(counted))
        table = divide_up(ENTRY * divide_up(room + self.shape.clusters, self._counts), self.shape.cluster)
        return self._replace(blocks=blocks, table=table, room=room)

    @property
    def _counts(self) -> int:
        """In a refcount block."""
        return self.shape.cluster * 8 >> self.order

    @property
    def _l1(self) -> int:
        return divide_up(ENTRY * self.shape.tables, self.shape.cluster)

    @property
    def needed(self) -> int:
        return 1 + self._l1 + self.table + len(self.blocks) + len(self.l2s)

    @property
    def tables(self) -> newhead.Tables:
        cluster = self.shape.cluster
        return newhead.Tables(cluster, (1 + self._l1) * cluster, self.table)

    def parts(self) -> Iterator[tuple[int, Buffer]]:
        """All but the header: byte of the file, bytes."""
        cluster = self.shape.cluster
        block_at = (1 + self._l1 + self.table) * cluster
        l2_at = block_at + len(self.blocks) * cluster
        yield cluster, _index(self.shape.tables, self.l2s, l2_at | COPIED, cluster).ljust(self._l1 * cluster, b"\0")
        entries = self.table * cluster // ENTRY
        yield (1 + self._l1) * cluster, _index(entries, self.blocks, block_at, cluster)
        yield from self._refcounts(block_at)
        yield from self._mapping(l2_at)

    def _refcounts(self, at: int) -> Iterator[tuple[int, Buffer]]:
        ones = encoded(array("I", [1]) * self._counts, self.order)
        used = [(0, self.needed), *((self.room + begin, self.room + end) for begin, end in self.runs)]
        for _, parts in groupby(_split(used, self._counts), lambda part: part[0]):
            counts = array("I", bytes(4 * self._counts))
            for _, begin, end in parts:
                counts[begin:end] = array("I", [1]) * (end - begin)
            yield at, ones if min(counts) else encoded(counts, self.order)
            at += self.shape.cluster

    def _mapping(self, at: int) -> Iterator[tuple[int, Buffer]]:
        cluster = self.shape.cluster
        for index, parts in groupby(_split(self.runs, self.shape.entries), lambda part: part[0]):
            table = array("Q", bytes(cluster))
            first = (self.room + index * self.shape.entries) * cluster | COPIED
            for _, begin, end in parts:
                table[begin:end] = array("Q", range(first + begin * cluster, first + end * cluster, cluster))
            yield at, big_endian(table)
            at += cluster


def _clusters(data: Iterable[Stretch], cluster: int) -> Iterator[Stretch]:
    """Of the stretches, in bytes; neighbours joined."""
    begin = end = 0
    for start, stop in data:
        if start // cluster > end:
            if begin < end:
                yield begin, end
            begin = start // cluster
        end = divide_up(stop, cluster)
    if begin < end:
        yield begin, end


def _split(runs: Iterable[Stretch], width: int) -> Iterator[tuple[int, int, int]]:
    """Cut at multiples of ``width``: which part, begin and end within."""
    for start, end in runs:
        for index in range(start // width, divide_up(end, width)):
            base = index * width
            yield index, max(start - base, 0), min(end - base, width)


def _index(entries: int, used: Iterable[int], first: int, step: int) -> bytes:
    """A table whose ``used`` entries name clusters in a row."""
    table = array("Q", bytes(ENTRY * entries))
    for number, index in enumerate(used):
        table[index] = first + number * step
    return big_endian(table)
