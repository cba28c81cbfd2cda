"""The snapshot table put right: what cannot be there is dropped, what is too short is filled up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import round_up
from virtkit.disk.formats.qcow2.head import text
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_L1_SIZE, V2, Header, SnapshotHeader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head

_MOST_EXTRA = 1024  # bytes
_LEAST_EXTRA = 16  # bytes; of version 3: size of the machine's state, size of the disk
_POINTER = Header.offset_of("snapshot_count")  # the number of snapshots, and where their table is


class _Entry(NamedTuple):
    header: SnapshotHeader
    extra: bytes
    names: bytes  # id and name
    whole: bool  # it is in the file as it shall be

    def pack(self) -> bytes:
        header = SnapshotHeader(**{**vars(self.header), "extra_size": len(self.extra)})
        packed = header.pack() + self.extra + self.names
        return packed.ljust(round_up(len(packed), 8), b"\0")

    @property
    def name(self) -> str:
        return text(self.names[self.header.id_size :])


def mend_snapshots(file: File, head: Head) -> Iterator[str]:
    """A new table is written behind the end of the file, then the header names it."""
    found = list(_entries(file, head))
    kept = [entry for entry in found if _has_l1(entry, file, head)]
    missing = head.header.snapshot_count - len(found)
    if missing:
        yield f"snapshot table: {missing} snapshots that cannot be read are dropped"
    for entry in found:
        if entry not in kept:
            yield f"snapshot {entry.name}: has no L1 table that could be, and is dropped"
        elif not entry.whole:
            yield f"snapshot {entry.name}: its extra data are made {len(entry.extra)} bytes long"
    if missing or len(kept) < len(found) or not all(entry.whole for entry in kept):
        at = round_up(file.size, head.cluster_size) if kept else 0
        table = b"".join(entry.pack() for entry in kept)
        file.write(at, table) if kept else None
        file.sync_data()
        file.write(_POINTER, len(kept).to_bytes(4, "big") + at.to_bytes(8, "big"))


def _entries(file: File, head: Head) -> Iterator[_Entry]:
    """As far as they are in the file."""
    at = head.header.snapshots_offset
    for _ in range(head.header.snapshot_count):
        record = file.read(at, SnapshotHeader.SIZE)
        if len(record) < SnapshotHeader.SIZE:
            return
        header = SnapshotHeader.parse(record)
        extra = file.read(at + SnapshotHeader.SIZE, min(header.extra_size, _MOST_EXTRA))
        size = header.id_size + header.name_size
        names = file.read(at + SnapshotHeader.SIZE + header.extra_size, size)
        if len(names) < size:
            return
        filled = _filled(header, extra, head)
        yield _Entry(header, filled, names, whole=len(filled) == header.extra_size)
        at = round_up(at + SnapshotHeader.SIZE + header.extra_size + size, 8)


def _filled(header: SnapshotHeader, extra: bytes, head: Head) -> bytes:
    if head.header.version == V2 or len(extra) >= _LEAST_EXTRA:
        return extra
    state = extra[:8] if len(extra) >= 8 else header.vm_state_size.to_bytes(8, "big")  # noqa: PLR2004  all of a u64
    return state + head.header.size.to_bytes(8, "big")


def _has_l1(entry: _Entry, file: File, head: Head) -> bool:
    at, size = entry.header.l1_offset, entry.header.l1_size * ENTRY
    return at % head.cluster_size == 0 and size <= MAX_L1_SIZE and at + size <= round_up(file.size, head.cluster_size)
