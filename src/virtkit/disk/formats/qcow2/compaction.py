"""The tail of the file is moved into free room in front, and cut off.

A cluster goes to a new place with the count that it has, then every entry that names it, of the disk and of all
snapshots, then the old place is counted down. Killed in between, both places are counted as often as if all of them
used it: leaks. L1 tables, refcount blocks and the snapshot table move in one write of the header (see ``shadow``).

Left where they are: dirty bitmaps and the LUKS header.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import KIB, MIB, SECTOR, round_up
from virtkit.disk import bulk, codecs
from virtkit.disk.format import Extent, Kind
from virtkit.disk.formats.qcow2 import past, snapshots
from virtkit.disk.formats.qcow2.change import Change
from virtkit.disk.formats.qcow2.entries import NO_ROOM, compressed_entry, compressed_place
from virtkit.disk.formats.qcow2.layout import COMPRESSED, ENTRY, OFFSET, Incompatible
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.format import Buffer, Stretch
    from virtkit.disk.formats.qcow2.written import WrittenQcow2

_LEAST_ORDER = 4  # refcounts that can count the streams in any cluster
_PAGE = 4 * KIB  # what file systems store at once
_BATCH = 16 * MIB  # bytes moved before the entries that name them are stored


class _Name(NamedTuple):
    """An entry that names a cluster: its byte in the file, its flags, how many L1 tables lead to it."""

    at: int
    flags: int
    weight: int


def compact(image: WrittenQcow2, report: Sink) -> None:
    """Between two batches ``report`` may raise: what was moved stays moved."""
    image.begin()
    image.flush()
    image.begin()
    try:
        if image.allocator.used() < image.allocator.end():
            _move_tables(image)  # first, as they need free rows
            _Mover(image, report).run()
    except BaseException:
        image.allocator.keep()  # of a batch that is not finished, what was moved is still used
        raise
    finally:
        image.flush()
        image.reload()
    image.begin()
    end = image.allocator.end() * image.head.cluster_size
    image.flush()
    if end < image.file.size:
        image.file.resize(end)
        image.file.sync()


class _Mover:
    """Moves data and L2 tables. ``limit``: the first cluster of the tail, if all goes well the file's new end."""

    def __init__(self, image: WrittenQcow2, report: Sink) -> None:
        self.image, self.report = image, report
        self.file, self.allocator, self.cluster = image.file, image.allocator, image.head.cluster_size
        self.bits = image.head.header.cluster_bits
        self.words = image.head.entry_size // ENTRY
        self.limit = self.allocator.used()
        self.l1s = [(image.head.header.l1_offset, image.l1)]
        for kept in snapshots.read(image.file, image.head):
            self.l1s.append((kept.header.l1_offset, past.read_l1(image.file, image.head, kept)))
        self.weights = Counter(entry & OFFSET for _, l1 in self.l1s for entry in l1 if entry & OFFSET)
        self._shared: dict[int, list[_Name]] = {}
        self._streams: dict[int, int] = {}  # compressed entries that were moved
        self._room = (0, 0)  # [from, to) in bytes, for compressed data
        self._decode = codecs.decoder(image.head.compression, self.cluster)
        self._packs = image.head.features.refcount_order >= _LEAST_ORDER
        self._pending: list[tuple[int, bytes]] = []
        self._moved = 0

    def run(self) -> None:
        step = f"compact {self.file.name}"
        span = self.cluster * self.cluster // ENTRY  # bytes of the disk that a table tells about
        self.report(Started(step, len(self.weights) * span))
        for done, at in enumerate(self._reaching(sorted(self.weights)), 1):
            self._move_data(at, self.weights[at])
            if self._moved >= _BATCH:
                self._store()
                self.report(Advanced(step, done * span))
        self._store()
        self._move_shared()
        self._store()
        self._move_l2()
        self._store()
        self.report(Finished(step))

    def _reaching(self, tables: list[int]) -> Iterator[int]:
        """Without tables that name nothing in the tail, where there are so many that looking at them all takes time."""
        if self.image.head.has(Incompatible.DATA_FILE):
            return
        if not bulk.pays(len(tables), len(tables) * self.image.head.l2_entries):
            yield from tables
            return
        import numpy as np  #  small images do without

        limit, size = np.uint64(self.limit * self.cluster), self.cluster // ENTRY
        for batch in bulk.batches(self.file, tables, self.cluster):
            reaches = (batch.words & np.uint64(OFFSET) >= limit) | (batch.words & np.uint64(COMPRESSED) > 0)
            for slot in np.unique(batch.at[reaches] // size):
                yield tables[batch.first + int(slot)]

    def _move_data(self, at: int, weight: int) -> None:
        """What the table at ``at`` names in the tail, if nothing else does."""
        table = self.image.tables.read(0, at)
        entries = table[:: self.words]
        before, found = entries[:], list(runs(entries, 0, len(entries), self.cluster, NO_ROOM))
        coded = [slot for run in found if run.entry & COMPRESSED for slot in range(run.begin, run.end)]
        starts = sorted(compressed_place(entries[slot], self.bits)[0] for slot in coded)
        for run in found:
            if run.entry & COMPRESSED:
                for slot in range(run.begin, run.end):
                    entries[slot] = self._moved_stream(entries[slot], starts, weight)
            elif run.stride:
                first = (run.entry & OFFSET) // self.cluster
                begin = run.begin + max(self.limit - first, 0)
                if begin < run.end:
                    self._move_run(at, entries, begin, run.end, weight)
        if entries != before:
            table[:: self.words] = entries
            self._pending.append((at, stored_table(table, endian="big")))

    def _move_run(self, table_at: int, entries: array[int], begin: int, end: int, weight: int) -> None:
        """Slots [begin, end), whose clusters lie one after the other."""
        source = (entries[begin] & OFFSET) // self.cluster
        for slot, cluster in enumerate(range(source, source + end - begin), begin):
            flags = entries[slot] & ~OFFSET
            if self.allocator.count(cluster) > 1:
                name = _Name(table_at + slot * self.words * ENTRY, flags, weight)
                self._shared.setdefault(cluster, []).append(name)
            elif (target := self._copied(cluster, 1, data=True)) is not None:
                entries[slot] = target * self.cluster | flags

    def _copied(self, source: int, count: int, *, data: bool) -> int | None:
        """A cluster in front with the same bytes, counted as often; None where there is no room."""
        target = self.allocator.take_below(self.limit)
        if target is None:
            return None
        self.allocator.share(target, 1, count - 1)
        at, to = source * self.cluster, target * self.cluster
        content: Buffer = self.file.read(at, self.cluster).ljust(self.cluster, b"\0")
        if data and self.image.lock:
            content = self.image.lock.moved(at, to, content)
        filled = list(_filled(content))
        if filled != [(0, self.cluster)]:
            self.file.zero(to, self.cluster)
        for start, end in filled:
            self.file.write(to + start, content[start:end])
        self.allocator.free(source, 1, count)
        self._moved += self.cluster
        return target

    def _moved_stream(self, entry: int, starts: list[int], weight: int) -> int:
        """The entry of a compressed cluster, after it was moved where it reached into the tail."""
        at, stored = compressed_place(entry, self.bits)
        last = (at + stored - 1) // self.cluster
        if last < self.limit or not self._packs:
            return entry
        new = self._streams.get(entry) or self._copied_stream(at, stored, starts)
        if not new:
            return entry
        self._streams[entry] = new
        target, size = compressed_place(new, self.bits)
        first = target // self.cluster
        self.allocator.share(first, (target + size - 1) // self.cluster - first + 1, weight)
        self.allocator.free(at // self.cluster, last - at // self.cluster + 1, weight)
        self._moved += stored
        return new

    def _copied_stream(self, at: int, stored: int, starts: list[int]) -> int | None:
        """The new entry of the stream at ``at``; None where there is no room."""
        data = self.file.read(at, stored)
        length = self._length(data, at, starts)
        known = length < stored
        lead = 0 if known else at % SECTOR  # a length that is not known keeps its count of sectors
        place = self._stream_room(lead + length, 1 if known else SECTOR)
        if place is None:
            return None
        self.file.write(place + lead, data[:length])
        return compressed_entry(place + lead, length, self.bits)

    def _length(self, data: bytes, at: int, starts: list[int]) -> int:
        """Up to the next stream, if that is all there is of this one: the entry counts in sectors."""
        following = bisect_right(starts, at)
        length = starts[following] - at if following < len(starts) else len(data)
        if length >= len(data):
            return len(data)
        extent = Extent(0, self.cluster, Kind.CODED, self.file, at, length)
        try:
            self._decode(extent, data[:length])
        except CorruptImageError:
            return len(data)
        return length

    def _stream_room(self, size: int, step: int) -> int | None:
        """Where one stream goes, a multiple of ``step``. ``_store`` gives back what the room itself was counted."""
        begin, end = round_up(self._room[0], step), self._room[1]
        while end - begin < size:
            cluster = self.allocator.take_below(self.limit)
            if cluster is None:
                return None
            self.allocator.free(cluster, 1)
            if cluster * self.cluster != end:
                begin = cluster * self.cluster
            end = (cluster + 1) * self.cluster
        self._room = begin + size, end
        return begin

    def _move_shared(self) -> None:
        """Clusters that several tables name, or one that several L1 tables name."""
        for cluster, names in self._shared.items():
            count = self.allocator.count(cluster)
            if sum(name.weight for name in names) != count:
                continue  # something else uses it too
            target = self._copied(cluster, count, data=True)
            if target is None:
                return
            for name in names:
                entry = target * self.cluster | name.flags
                self._pending.append((name.at, entry.to_bytes(ENTRY, "big")))
            if self._moved >= _BATCH:
                self._store()

    def _move_l2(self) -> None:
        places: dict[int, int] = {}
        for at, weight in sorted(self.weights.items()):
            cluster = at // self.cluster
            if cluster >= self.limit and self.allocator.count(cluster) == weight:
                target = self._copied(cluster, weight, data=False)
                if target is not None:
                    places[at] = target * self.cluster
        for l1_at, l1 in self.l1s:
            for index, entry in enumerate(l1):
                if place := places.get(entry & OFFSET):
                    l1[index] = entry & ~OFFSET | place
                    self._pending.append((l1_at + index * ENTRY, l1[index].to_bytes(ENTRY, "big")))

    def _store(self) -> None:
        """What was copied and its counts, then the entries, then the old places are free."""
        self._room = (0, 0)
        self.allocator.store()
        self.file.sync_data()
        for at, data in self._pending:
            self.file.write(at, data)
        self._pending.clear()
        self.file.sync_data()
        self.allocator.settle()
        self._moved = 0


def _filled(content: Buffer) -> Iterator[Stretch]:
    """Runs of pages that are not all zeros: the holes of a cluster stay holes."""
    blank, begin = bytes(_PAGE), None
    for at in range(0, len(content), _PAGE):
        page = content[at : at + _PAGE]
        if page != blank[: len(page)]:
            begin = at if begin is None else begin
        elif begin is not None:
            yield begin, at
            begin = None
    if begin is not None:
        yield begin, len(content)


def _move_tables(image: WrittenQcow2) -> None:
    """All other tables, if one is in the tail and there is room for new ones in front."""
    from dataclasses import replace  # 5 ms, and seldom needed

    cluster, header, allocator = image.head.cluster_size, image.head.header, image.allocator
    used = allocator.used()
    limit = used * cluster
    kept = snapshots.read(image.file, image.head)
    blocks = [index for index in range(len(allocator.table)) if allocator.place(index) >= limit]
    late = [one for one in kept if one.header.l1_offset >= limit]
    others = (header.l1_offset, header.refcount_table_offset, header.snapshots_offset if kept else 0)
    needed = 2 * len(allocator.table) * ENTRY + (header.l1_size + sum(one.header.l1_size for one in late)) * ENTRY
    needed += len(snapshots.pack(kept)) + len(allocator.table) * cluster
    if (not blocks and not late and max(others) < limit) or needed > (allocator.end() - used) * cluster:
        return
    with Change(image) as change:
        for index in blocks:
            change.shadow.renew(index)
        for one in late:
            place = change.store_l1(past.read_l1(image.file, image.head, one))
            change.drop_l1(one.header.l1_offset, one.header.l1_size)
            kept[kept.index(one)] = one._replace(header=replace(one.header, l1_offset=place))
        change.drop_l1(header.l1_offset, header.l1_size)
        change.switch(kept, image.l1[:])
    image.begin()
