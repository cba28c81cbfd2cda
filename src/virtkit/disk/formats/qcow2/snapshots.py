"""The internal snapshots of a qcow2 image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB, round_up
from virtkit.disk.formats.qcow2.head import Head, require, text
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_SNAPSHOTS, SnapshotHeader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.disk import format  # noqa: A004  a module of ours
    from virtkit.disk.file import File

_MAX_EXTRA = 1024  # bytes
_MAX_TABLE = MAX_SNAPSHOTS * 1024  # bytes
_VM_STATE, _DISK_SIZE, _ICOUNT = slice(0, 8), slice(8, 16), slice(16, 24)  # of the extra data
_NO_ICOUNT = (1 << 64) - 1
_MOST_OF_ONE = SnapshotHeader.SIZE + _MAX_EXTRA + 2 * 64 * KIB
_BATCH = 1024 * KIB  # bytes read at once
_NANO = 1_000_000_000


class Snapshot(NamedTuple):
    header: SnapshotHeader
    extra: bytes
    id: str
    name: str
    end: int  # bytes; where its entry ends in the file, before the padding

    @property
    def vm_state_size(self) -> int:
        large = _number(self.extra[_VM_STATE])
        return self.header.vm_state_size if large is None else large

    @property
    def disk_size(self) -> int | None:
        """Bytes of the guest's disk then; None where the image does not say."""
        return _number(self.extra[_DISK_SIZE])

    @property
    def instructions(self) -> int | None:
        count = _number(self.extra[_ICOUNT])
        return None if count == _NO_ICOUNT else count

    def listed(self) -> dict[str, object]:
        """As qemu-img lists it."""
        clock_sec, clock_nsec = divmod(self.header.vm_clock_nsec, _NANO)
        found: dict[str, object] = {
            "id": self.id,
            "name": self.name,
            "vm-state-size": self.vm_state_size,
            "date-sec": self.header.date_sec,
            "date-nsec": self.header.date_nsec,
            "vm-clock-sec": clock_sec,
            "vm-clock-nsec": clock_nsec,
        }
        if self.instructions is not None:
            found["icount"] = self.instructions
        return found


def _number(field: bytes) -> int | None:
    """A field of the extra data, which may end before."""
    return int.from_bytes(field, "big") if len(field) == ENTRY else None


def made(told: format.Snapshot, l1_offset: int, l1_size: int) -> Snapshot:
    """The record of a new snapshot; QEMU's extra data in full."""
    count = _NO_ICOUNT if told.instructions is None else told.instructions
    extra = b"".join(number.to_bytes(ENTRY, "big") for number in (told.state_size, told.size, count))
    seconds = int(told.date)
    header = SnapshotHeader(
        l1_offset=l1_offset,
        l1_size=l1_size,
        id_size=len(_stored(told.id)),
        name_size=len(_stored(told.name)),
        date_sec=seconds,
        date_nsec=int((told.date - seconds) * _NANO),
        vm_clock_nsec=told.clock,
        vm_state_size=told.state_size if told.state_size < 1 << 32 else 0,
        extra_size=len(extra),
    )
    return Snapshot(header, extra, told.id, told.name, 0)


def pack(kept: Iterable[Snapshot]) -> bytes:
    """A snapshot table."""
    records = [one.header.pack() + one.extra + _stored(one.id) + _stored(one.name) for one in kept]
    return b"".join(record.ljust(round_up(len(record), 8), b"\0") for record in records)


def _stored(name: str) -> bytes:
    return name.encode(errors="surrogateescape")


def read(file: File, head: Head) -> list[Snapshot]:
    """CorruptImageError."""
    at = start = head.header.snapshots_offset
    found: list[Snapshot] = []
    window_at, window = at, b""
    for index in range(head.header.snapshot_count):
        at = round_up(at, 8)
        if at + _MOST_OF_ONE > window_at + len(window):
            window_at, window = at, file.read(at, _BATCH)
        found.append(_read_one(file.name, index, window, window_at, at))
        at = found[-1].end
        require(at - start <= _MAX_TABLE, file.name, "snapshot table", at - start, f"{_MAX_TABLE} bytes at most", start)
    return found


def _read_one(image: str, index: int, window: bytes, window_at: int, at: int) -> Snapshot:
    begin = at - window_at
    field = f"snapshot {index}"
    left = len(window) - begin
    require(left >= SnapshotHeader.SIZE, image, field, f"{left} bytes long", f"{SnapshotHeader.SIZE} at least", at)
    header = SnapshotHeader.parse(window, begin, source=image)
    extra = header.extra_size
    require(extra <= _MAX_EXTRA, image, f"{field}: extra data", f"{extra} bytes long", f"{_MAX_EXTRA} at most", at)
    id_at = begin + SnapshotHeader.SIZE + extra
    name_at = id_at + header.id_size
    end = name_at + header.name_size
    require(end <= len(window), image, field, f"{left} bytes long", f"{end - begin}", at)
    extra_data = window[begin + SnapshotHeader.SIZE : id_at]
    return Snapshot(header, extra_data, text(window[id_at:name_at]), text(window[name_at:end]), window_at + end)
