"""Lays out a new qcow2 image: L1 table in front, then data in the order it comes, refcounts behind, the header last.

An L2 table stands right before the first data that needs it; where room is made beforehand, all tables and then all
data stand in a row. Nothing is written twice but L2 tables that were put aside to bound the memory. An interrupted
run leaves nothing that looks whole. Specification: QEMU docs/interop/qcow2.txt.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from virtkit.core.units import MIB, divide_up
from virtkit.disk.format import Place
from virtkit.disk.formats.qcow2 import newhead
from virtkit.disk.formats.qcow2.counts import Counts
from virtkit.disk.formats.qcow2.layout import ALL_ZERO, ENTRY, V2, ZERO
from virtkit.disk.formats.qcow2.newtables import Entry, Shape, Tables
from virtkit.disk.formats.qcow2.options import parse, require_fit
from virtkit.disk.formats.qcow2.packing import pack
from virtkit.disk.formats.qcow2.streams import Streams

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Seal
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.sealing import Sealing

_STEP = MIB // 4  # bytes of zeros written at once; they stay in the processor's cache


class Qcow2Writer:
    """``blank.data`` is not needed: refcounts go behind the data, where their number is known."""

    def __init__(self, file: File, blank: Blank) -> None:
        chosen = parse(blank.options)
        require_fit(chosen, blank)
        self.unit = chosen.cluster_size
        self._options, self._blank, self._file = chosen, blank, file
        self._shape = Shape(blank.size, chosen.cluster_size, chosen.extended_l2)
        self._lock = threading.Lock()
        self._counts = Counts(self.unit, chosen.refcount_order)
        self._counts.take(1)
        self._sealing = self._make_sealing()
        pack(file.name, self._head(newhead.Tables()))  # names fit, or are refused now
        self._data = blank.create(chosen.data_file) if chosen.data_file else file
        self._preallocated = chosen.preallocation != "off"
        self._tables, self._data_at = self._make_tables()
        self._streams = Streams(file, self.unit, self._counts)
        if self._preallocated:
            self._preallocate()

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            at = self._room(start, length)
            place = Place(self._data, at, length, self._seal(start, at))
            self._seal_tail(place)
            return [place]

    def store(self, start: int, coded: Buffer) -> None:
        with self._lock:
            index = start // self.unit
            self._tables.make(index, 1)
            self._tables.fill(index, 1, Entry(self._streams.append(coded)))

    def settle(self) -> None:
        with self._lock:
            self._streams.flush()

    def blank(self, start: int, length: int) -> None:
        """Version 2 cannot say that a cluster is zeros: they are written."""
        if self._options.version == V2:
            for place in self.place(start, length):
                self._write_zeros(place)
            return
        with self._lock:
            first, count = start // self.unit, divide_up(length, self.unit)
            self._tables.make(first, count)
            if self._preallocated:
                room = Entry.data(self._data_at + first * self.unit, self.unit)
                self._tables.fill(first, count, room._replace(subclusters=ALL_ZERO))
            else:
                self._tables.fill(first, count, Entry.zeros(extended=self._shape.extended))

    def finish(self) -> None:
        with self._lock:
            self._streams.flush()
            self._tables.flush()
            refcount_table = self._counts.store(self._file)
            if not self._file.is_device:
                self._file.resize(self._counts.clusters * self.unit)
            if self._data is not self._file and not self._data.is_device:
                whole = self._shape.clusters * self.unit
                self._data.resize(whole if self._sealing else self._blank.size)
            head = self._head(newhead.Tables(self._tables.l1_at, *refcount_table))
            self._file.write(0, pack(self._file.name, head))

    def _make_sealing(self) -> Sealing | None:
        if not self._options.encryption or self._blank.secret is None:
            return None
        from virtkit.disk.formats.qcow2.sealing import Sealing

        return Sealing(self._options, self._blank.secret, self._file, self._counts)

    def _make_tables(self) -> tuple[Tables, int]:
        """And where the guest's data begin if their room is made beforehand."""
        if not self._preallocated:
            return Tables(self._file, self._shape, self._counts, None), 0
        in_front = self._counts.clusters + divide_up(ENTRY * self._shape.tables, self.unit) + self._shape.tables
        data_at = in_front * self.unit if self._data is self._file else 0
        tables = Tables(self._file, self._shape, self._counts, self._filled(data_at))
        if self._data is self._file:
            self._counts.take(self._shape.clusters)
        return tables, data_at

    def _filled(self, data_at: int) -> Entry:
        """Preallocated clusters: as their file has them; as zeros where that would be decrypted; else as below.

        Subclusters of the image's own file have room and no data, as QEMU makes them: a backing image shows through.
        """
        entry = Entry.data(data_at, self.unit)
        if self._sealing and not self._blank.backing:
            zero = 0 if self._shape.extended else ZERO
            return entry._replace(word=entry.word | zero, subclusters=ALL_ZERO)
        return entry._replace(subclusters=0) if self._names_late else entry

    @property
    def _names_late(self) -> bool:
        """Whether preallocated tables do not name the data yet that will be placed."""
        roomy = self._shape.extended and self._data is self._file
        return roomy or bool(self._blank.backing) or self._sealing is not None

    def _preallocate(self) -> None:
        length = self._shape.clusters * self.unit if self._data is self._file else self._blank.size
        if self._data.is_device:
            self._data.zero(self._data_at, length)
        elif self._options.preallocation == "falloc" and length:
            self._data.allocate(self._data_at, length)
        elif self._options.preallocation == "full":
            zeros = memoryview(bytes(_STEP))
            for at in range(0, length, _STEP):
                self._data.write(self._data_at + at, zeros[: length - at])

    def _room(self, start: int, length: int) -> int:
        """The byte of the data's file where [start, start + length) goes; the tables say so then."""
        first, count = start // self.unit, divide_up(length, self.unit)
        self._tables.make(first, count)
        if self._preallocated:
            at = self._data_at + start
            if not self._names_late:
                return at
        else:
            at = self._counts.take(count) if self._data is self._file else start
        self._tables.fill(first, count, Entry.data(at, self.unit))
        return at

    def _seal(self, start: int, at: int) -> Seal | None:
        return self._sealing.seal(start, at) if self._sealing else None

    def _seal_tail(self, place: Place) -> None:
        """What the last cluster has behind the disk's end would be decrypted once the disk grows."""
        tail = -place.length % self.unit
        if tail and place.seal:
            at = place.at + place.length
            place.file.write(at, place.seal(at, bytes(tail)))

    def _write_zeros(self, place: Place) -> None:
        """Room at the end of a file is a hole."""
        if not place.seal and not place.file.is_device:
            return
        for done in range(0, place.length, _STEP):
            zeros, at = bytes(min(_STEP, place.length - done)), place.at + done
            place.file.write(at, place.seal(at, zeros) if place.seal else zeros)

    def _head(self, tables: newhead.Tables) -> Head:
        extensions = self._sealing.extensions if self._sealing else {}
        return newhead.new_head(self._options, self._shape, self._blank.backing, extensions, tables)
