"""Where the guest's bytes are in a qcow2 image: L1 table, L2 tables, clusters."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Facts, Kind
from virtkit.disk.formats.qcow2.facts import read_facts
from virtkit.disk.formats.qcow2.layout import (
    COMPRESSED,
    COPIED,
    ENTRY,
    L2_RESERVED,
    OFFSET,
    ZERO,
    Incompatible,
)
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Decode, Reference
    from virtkit.disk.formats.qcow2.head import Head

_NO_ROOM = frozenset({0, ZERO, COPIED, COPIED | ZERO})  # L2 entries that name no cluster and may repeat


class Qcow2Image:
    def __init__(self, file: File, head: Head) -> None:
        self.file = file
        self.files = (file,)
        self.head = head
        self._last_table: tuple[int, array[int]] | None = None

    @property
    def size(self) -> int:
        return self.head.header.size

    @property
    def backing(self) -> Reference | None:
        return self.head.backing

    @cached_property
    def facts(self) -> Facts:
        return read_facts(self.file, self.head)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        self._refuse_what_cannot_be_read()
        return merged(self._extents(start, start + length)) if length else iter(())

    def close(self) -> None:
        self.file.close()

    def _refuse_what_cannot_be_read(self) -> None:
        name = self.file.name
        if self.head.encryption:
            raise NotSupportedError(f"{name}: is encrypted ({self.head.encryption}), which virtkit cannot read")
        if self.head.has(Incompatible.DATA_FILE):
            raise NotSupportedError(f"{name}: keeps its data in another file, which virtkit cannot read")
        if self.head.has(Incompatible.EXTENDED_L2):
            raise NotSupportedError(f"{name}: has extended L2 entries, which virtkit cannot read")

    @cached_property
    def _l1(self) -> array[int]:
        header = self.head.header
        return read_table(self.file, "L1 table", header.l1_offset, header.l1_size, code="Q", endian="big")

    @cached_property
    def _decode(self) -> Decode:
        return codecs.decoder(self.head.compression, self.head.cluster_size)

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        span = self.head.l2_span
        file_size = self.file.size  # a running guest may have made it longer since the image was opened
        for run in runs(self._l1, start // span, divide_up(end, span), self.head.cluster_size, (0, COPIED)):
            if not run.stride:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                yield from self._extents_of_table(
                    index, max(start, index * span), min(end, (index + 1) * span), file_size
                )

    def _extents_of_table(self, index: int, start: int, end: int, file_size: int) -> Iterator[Extent]:
        """The part [start, end) of what the L2 table ``index`` describes."""
        cluster, base = self.head.cluster_size, index * self.head.l2_span
        at = self._l1[index] & OFFSET
        for run in runs(
            self._table(index, at), (start - base) // cluster, divide_up(end - base, cluster), cluster, _NO_ROOM
        ):
            begin = max(start, base + run.begin * cluster)
            skip = begin - base - run.begin * cluster
            stretch = Extent(begin, min(end, base + run.end * cluster) - begin, Kind.HOLE)
            if run.entry & COMPRESSED:
                yield from self._compressed(run, stretch, skip, file_size)
            else:
                self._check_entry(run, at, file_size)
                yield from self._standard(run, stretch, skip, file_size)

    def _table(self, index: int, at: int) -> array[int]:
        if self._last_table and self._last_table[0] == at:
            return self._last_table[1]
        cluster = self.head.cluster_size
        if at % cluster or not at:
            where = self.head.header.l1_offset + ENTRY * index
            raise CorruptImageError(
                self.file.name, f"L2 table {index}", found=f"at {at:#x}", expected="aligned to clusters", offset=where
            )
        table = read_table(self.file, f"L2 table {index}", at, cluster // ENTRY, code="Q", endian="big")
        self._last_table = at, table
        return table

    def _check_entry(self, run: Run, table_at: int, file_size: int) -> None:
        """Standard entries. As QEMU has it, the last cluster of the file may lie partly behind its end."""
        cluster, offset = self.head.cluster_size, run.entry & OFFSET
        if run.entry & L2_RESERVED or (run.entry & ZERO and self.head.header.version < 3):  # noqa: PLR2004  zero flags came with version 3
            expected = "no reserved bits"
        elif offset % cluster:
            expected = f"a multiple of {cluster:#x}"
        elif offset and offset + (run.end - run.begin) * cluster >= file_size + cluster:
            expected = f"clusters within {file_size:#x} bytes"
        else:
            return
        raise CorruptImageError(
            self.file.name, "L2 entry", found=f"{run.entry:#x}", expected=expected, offset=table_at + ENTRY * run.begin
        )

    def _standard(self, run: Run, stretch: Extent, skip: int, file_size: int) -> Iterator[Extent]:
        offset = run.entry & OFFSET
        if not offset:
            yield stretch._replace(kind=Kind.ZERO) if run.entry & ZERO else stretch
            return
        placed = stretch._replace(file=self.file, at=offset + skip)
        if run.entry & ZERO:
            yield placed._replace(kind=Kind.ZERO, preallocated=True)
            return
        there = max(min(placed.length, file_size - placed.at), 0)
        if there:
            yield placed._replace(kind=Kind.DATA, length=there)
        if there < placed.length:
            yield Extent(
                placed.start + there, placed.length - there, Kind.ZERO, self.file, placed.at + there, preallocated=True
            )

    def _compressed(self, run: Run, stretch: Extent, skip: int, file_size: int) -> Iterator[Extent]:
        cluster, start, end = self.head.cluster_size, stretch.start, stretch.end
        for entry in range(
            run.entry + skip // cluster * run.stride, run.entry + (run.end - run.begin) * run.stride, run.stride
        ):
            if start >= end:
                return
            at, stored = compressed_place(entry, self.head.header.cluster_bits)
            if at >= file_size:
                raise CorruptImageError(
                    self.file.name,
                    "compressed cluster",
                    found=f"at {at:#x}",
                    expected=f"within {file_size:#x} bytes",
                    offset=at,
                )
            inside = start % cluster
            length = min(cluster - inside, end - start)
            yield Extent(start, length, Kind.CODED, self.file, at, stored, inside, self._decode)
            start += length


def compressed_place(entry: int, cluster_bits: int) -> tuple[int, int]:
    """Offset and most bytes of a compressed cluster (specification, "Compressed Clusters Descriptor").

    The entry counts the 512-byte sectors that the data touches besides its first.
    """
    offset_bits = 62 - (cluster_bits - 8)
    at = entry & (1 << offset_bits) - 1
    sectors = (entry >> offset_bits & (1 << cluster_bits - 8) - 1) + 1
    return at, sectors * SECTOR - at % SECTOR
