"""Lays out a new qcow image: L1 table in front, then data in the order it comes, the header last.

An L2 table stands right before the first data that needs it; it is written once, unless its disk is filled in such
an order that it was put aside meanwhile to bound the memory.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.units import KIB, MIB, SECTOR, divide_up, round_up
from virtkit.disk.format import Measured, Place
from virtkit.disk.formats.qcow.layout import ENTRY, Head, backing_name, new_header
from virtkit.disk.runs import read_table, stored_table

if TYPE_CHECKING:
    from virtkit.disk.cipher import Cipher
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Seal

UNIT = 4 * KIB  # bytes; of an image without a backing image
_OPEN = 256  # L2 tables in memory
_BATCH = 2 * MIB  # bytes of compressed clusters per write
_STEP = 4 * MIB  # bytes of zeros written at once


class QcowWriter:
    def __init__(self, file: File, blank: Blank) -> None:
        self._name = backing_name(blank.backing.name) if blank.backing else None
        self._cipher = _cipher(blank)
        self._head = Head(new_header(blank.size, self._name, encrypted=self._cipher is not None), None)
        self.unit = self._head.cluster
        self._file, self._lock = file, threading.Lock()
        self._end = self._head.front  # of what has its place
        self._tables = _Tables(file, self._head)
        self._pending: list[Buffer] = []  # compressed clusters, one behind the other
        self._pending_size = 0

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            return self._place(start, length)

    def store(self, start: int, coded: Buffer) -> None:
        with self._lock:
            index = start // self.unit
            self._make_tables(index, 1)
            if self._pending_size >= _BATCH:
                self._flush()
            self._tables.fill(index, 1, self._head.compressed_entry(self._end, len(coded)))
            self._pending.append(coded)
            self._pending_size += len(coded)
            self._end += len(coded)

    def settle(self) -> None:
        with self._lock:
            self._flush()

    def blank(self, start: int, length: int) -> None:
        """No entry says zeros: they are written, where room at the end of the file does not read as them anyway."""
        for place in self.place(start, length):
            for done in range(0, place.length, _STEP) if place.seal or place.file.is_device else ():
                zeros, at = bytes(min(_STEP, place.length - done)), place.at + done
                place.file.write(at, place.seal(at, zeros) if place.seal else zeros)

    def finish(self) -> None:
        with self._lock:
            self._flush()
            self._tables.finish()
            if not self._file.is_device:
                self._file.resize(self._end)
            self._file.write(0, self._head.header.pack() + (self._name or b""))

    def _place(self, start: int, length: int) -> list[Place]:
        """One place for what one L2 table describes, or more tables that are there already."""
        places = []
        index, end = start // self.unit, divide_up(start + length, self.unit)
        while index < end:
            last = min(end, (index // self._head.l2_entries + 1) * self._head.l2_entries)
            self._make_tables(index, last - index)
            at = self._take((last - index) * self.unit)
            self._tables.fill(index, last - index, at)
            begin = index * self.unit
            seal = self._seal(begin - at)
            places.append(Place(self._file, at, min(last * self.unit, start + length) - begin, seal))
            index = last
        return places

    def _seal(self, shift: int) -> Seal | None:
        """``shift``: from the file's bytes to the guest's, whose sectors the cipher counts."""
        if self._cipher is None:
            return None
        encrypt = self._cipher.encrypt
        return lambda at, data: encrypt((at + shift) // SECTOR, data)

    def _make_tables(self, index: int, count: int) -> None:
        entries = self._head.l2_entries
        for table in range(index // entries, (index + count - 1) // entries + 1):
            if not self._tables.knows(table):
                self._tables.add(table, self._take(entries * ENTRY))

    def _take(self, length: int) -> int:
        self._flush()
        at = round_up(self._end, self.unit)
        self._end = at + length
        return at

    def _flush(self) -> None:
        if self._pending:
            self._file.write_parts(self._end - self._pending_size, self._pending)
            self._pending.clear()
            self._pending_size = 0


class _Tables:
    """The L1 table whole, a few L2 tables."""

    def __init__(self, file: File, head: Head) -> None:
        self._file, self._head = file, head
        self._pieces: dict[int, array[int]] = {}  # of the L1 table, by their first entry over _PIECE
        self._open: OrderedDict[int, array[int]] = OrderedDict()

    def knows(self, index: int) -> bool:
        return self._at(index) > 0

    def add(self, index: int, at: int) -> None:
        first = index // _PIECE
        if first not in self._pieces:
            count = min(_PIECE, self._head.l1_entries - first * _PIECE)
            self._pieces[first] = array("Q", bytes(ENTRY * count))
        self._pieces[first][index % _PIECE] = at
        self._keep(index, array("Q", bytes(ENTRY * self._head.l2_entries)))

    def fill(self, index: int, count: int, entry: int) -> None:
        """Entries of one table: ``entry``, and a cluster more for each that follows."""
        table, skip = divmod(index, self._head.l2_entries)
        step = self._head.cluster
        self._get(table)[skip : skip + count] = array("Q", range(entry, entry + count * step, step))

    def finish(self) -> None:
        while self._open:
            self._store(*self._open.popitem(last=False))
        for first, piece in self._pieces.items():
            at = self._head.header.l1_offset + ENTRY * _PIECE * first
            self._file.write(at, stored_table(piece, endian="big"))

    def _get(self, index: int) -> array[int]:
        if index in self._open:
            self._open.move_to_end(index)
        else:
            at, count = self._at(index), self._head.l2_entries
            self._keep(index, read_table(self._file, f"L2 table {index}", at, count, code="Q", endian="big"))
        return self._open[index]

    def _keep(self, index: int, table: array[int]) -> None:
        self._open[index] = table
        if len(self._open) > _OPEN:
            self._store(*self._open.popitem(last=False))

    def _store(self, index: int, table: array[int]) -> None:
        self._file.write(self._at(index), stored_table(table, endian="big"))

    def _at(self, index: int) -> int:
        piece = self._pieces.get(index // _PIECE)
        return piece[index % _PIECE] if piece else 0


_PIECE = 64 * KIB  # entries of the L1 table that are in memory together


def _cipher(blank: Blank) -> Cipher | None:
    chosen = blank.options.get("encrypt.format", "")
    if not chosen:
        return None
    if chosen != "aes":
        raise UsageError(f"qcow: encrypt.format is {chosen}, expected aes", hint="-O qcow2 -o encrypt.format=luks")
    if blank.secret is None:
        raise UsageError("qcow: the passphrase of the new image is missing", hint="--new-key-file FILE")
    from virtkit.disk import cipher

    return cipher.legacy_aes(blank.secret)


def measure(blank: Blank) -> Measured:
    """Without a backing image; each L2 table that is needed stands in front of its data."""
    head = Head(new_header(blank.size, None, encrypted=False), None)
    front, table = round_up(head.front, head.cluster), ENTRY * head.l2_entries
    clusters, tables = divide_up(blank.size, head.cluster), head.l1_entries
    data = divide_up(blank.data, head.cluster)
    if not data:
        front = head.front
    whole = round_up(head.front, head.cluster) + tables * table + clusters * head.cluster
    return Measured(front + min(tables, data) * table + data * head.cluster, whole if clusters else front)
