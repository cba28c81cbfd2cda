"""The states that a qcow2 image keeps: found by id or name, and looked at as images of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, NotFoundError
from virtkit.core.units import round_up
from virtkit.disk.format import Facts, Kind, Snapshot
from virtkit.disk.formats.qcow2 import snapshots
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_L1_SIZE
from virtkit.disk.formats.qcow2.mapping import GuestMap, Tables
from virtkit.disk.pieces import load
from virtkit.disk.runs import read_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Extent
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.mapping import Storage

_SECOND = 1_000_000_000  # nanoseconds


def find(file: File, head: Head, name: str) -> snapshots.Snapshot:
    """By its id, or by its name if there is no such id. NotFoundError."""
    kept = snapshots.read(file, head)
    for snapshot in [one for one in kept if one.id == name] or [one for one in kept if one.name == name]:
        return snapshot
    raise NotFoundError(f"{file.name}: has no snapshot {name}", hint=f"virtkit disk snapshot list {file.name}")


def told(kept: snapshots.Snapshot, head: Head) -> Snapshot:
    return Snapshot(
        id=kept.id,
        name=kept.name,
        size=disk_size(kept, head),
        state_size=kept.vm_state_size,
        date=kept.header.date_sec + kept.header.date_nsec / _SECOND,
        clock=kept.header.vm_clock_nsec,
        instructions=kept.instructions,
    )


def disk_size(kept: snapshots.Snapshot, head: Head) -> int:
    """Bytes; older images say nothing of it, as their disks could not be resized then."""
    return head.header.size if kept.disk_size is None else kept.disk_size


def state_offset(size: int, head: Head) -> int:
    """Where the machine's state begins in the map of a snapshot: behind the disk, in tables of its own."""
    return round_up(size, head.l2_span)


def read_l1(file: File, head: Head, kept: snapshots.Snapshot) -> array[int]:
    at, entries = kept.header.l1_offset, kept.header.l1_size
    if at % head.cluster_size or entries * ENTRY > MAX_L1_SIZE:
        found, expected = f"{entries} entries at {at:#x}", f"at most {MAX_L1_SIZE // ENTRY} in aligned clusters"
        raise CorruptImageError(file.name, f"L1 table of snapshot {kept.id}", found=found, expected=expected, offset=at)
    return read_table(file, f"L1 table of snapshot {kept.id}", at, entries, code="Q", endian="big")


class View:
    """The disk as it was. What it shares with the image is closed with that."""

    def __init__(self, storage: Storage, head: Head, kept: snapshots.Snapshot) -> None:
        self.file, self.backing = storage.file, head.backing
        self.files = (self.file,)  # images with an external data file have no snapshots
        self.size = disk_size(kept, head)
        self.facts = Facts(cluster_size=head.cluster_size, encrypted=bool(head.encryption))
        self._map = GuestMap(storage, read_l1(self.file, head, kept), Tables(self.file, head))
        self._state = state_offset(self.size, head), kept.vm_state_size

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return self._map.extents(start, start + length)

    def read_state(self, at: int, length: int) -> bytes:
        """Fewer bytes at the end of the state."""
        offset, size = self._state
        room = memoryview(bytearray(max(min(length, size - at), 0)))
        for extent in self._map.extents(offset + at, offset + at + len(room)):
            if extent.kind in {Kind.DATA, Kind.CODED}:
                load(extent, room[extent.start - offset - at : extent.end - offset - at])
        return bytes(room)

    def close(self) -> None:
        """Nothing is open here that the image does not close."""
