"""Snapshots made, gone back to and deleted.

Each is one write of the header (see ``shadow``): until then nothing that the image names has changed. The active L2
tables, whose copied flags must agree with the refcounts, are therefore not changed in place but give way to copies.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2 import past, snapshots
from virtkit.disk.formats.qcow2.change import Change
from virtkit.disk.formats.qcow2.layout import (
    AUTOCLEAR_BITMAPS,
    COPIED,
    MAX_SNAPSHOTS,
    OFFSET,
    Incompatible,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Buffer, Snapshot
    from virtkit.disk.formats.qcow2.written import WrittenQcow2


def create(image: WrittenQcow2, told: Snapshot, state: Iterable[Buffer]) -> Snapshot:
    """Disk and snapshot share all L2 tables from now on; each has an L1 table of its own."""
    if image.head.has(Incompatible.DATA_FILE):
        raise NotSupportedError(f"{image.file.name}: has an external data file, so it can have no snapshots")
    kept = snapshots.read(image.file, image.head)
    told = _named(image, told, kept)
    told = told._replace(size=image.size, state_size=_write_state(image, state))
    header = image.head.header
    entries = divide_up(image.size, image.head.l2_span)
    with Change(image) as change:
        shared = change.sweep(image.l1).share(image.l1[:entries])
        old = shared + image.l1[entries:]  # the machine's state stays with the snapshot
        change.drop_l1(header.l1_offset, header.l1_size)
        at = change.store_l1(old) if old else header.l1_offset
        change.switch([*kept, snapshots.made(told, at, len(old))], shared)
    return past.told(snapshots.read(image.file, image.head)[-1], image.head)


def apply(image: WrittenQcow2, name: str) -> None:
    """The disk's L1 table is a copy of the snapshot's, and all that they share has no copied flag."""
    if image.head.features.autoclear & AUTOCLEAR_BITMAPS:
        raise NotSupportedError(
            f"{image.file.name}: has dirty bitmaps, which would not know what an older state changes",
            hint=f"virtkit disk bitmap --remove {image.file.name} NAME",
        )
    kept = snapshots.read(image.file, image.head)
    chosen = past.find(image.file, image.head, name)
    size = past.disk_size(chosen, image.head)
    count = divide_up(size, image.head.l2_span)
    old, new = image.l1, past.read_l1(image.file, image.head, chosen)[:count]
    new.extend([0] * (count - len(new)))
    same = [index for index in range(min(len(old), count)) if (old[index] ^ new[index]) & OFFSET == 0]
    with Change(image) as change:
        sweep = change.sweep(_but(old, same), _but(new, same))
        sweep.drop(_but(old, same))
        sweep.share_in_place(_but(new, same))
        change.drop_l1(image.head.header.l1_offset, image.head.header.l1_size)
        change.switch(kept, array("Q", [entry & ~COPIED for entry in new]), size=size)


def delete(image: WrittenQcow2, name: str) -> None:
    """What only the snapshot used is free; what the disk has for itself now gets its copied flags."""
    chosen = past.find(image.file, image.head, name)
    kept = [one for one in snapshots.read(image.file, image.head) if one.id != chosen.id]
    old = past.read_l1(image.file, image.head, chosen)
    with Change(image) as change:
        sweep = change.sweep(old, image.l1)
        sweep.drop(old)
        l1 = sweep.flag(image.l1)
        change.drop_l1(chosen.header.l1_offset, chosen.header.l1_size)
        change.drop_l1(image.head.header.l1_offset, image.head.header.l1_size)
        change.switch(kept, l1)


def _but(l1: array[int], same: list[int]) -> array[int]:
    """Without the tables that both sides have."""
    rest = l1[:]
    for index in same:
        rest[index] = 0
    return rest


def _named(image: WrittenQcow2, told: Snapshot, kept: list[snapshots.Snapshot]) -> Snapshot:
    ids = {one.id for one in kept}
    for field, value, taken in (("name", told.name, {one.name for one in kept}), ("id", told.id, ids)):
        if value and value in taken:
            raise UsageError(
                f"{image.file.name}: {field} of the snapshot is {value}, which is taken",
                hint=f"virtkit disk snapshot list {image.file.name}",
            )
    if len(kept) >= MAX_SNAPSHOTS:
        raise NotSupportedError(f"{image.file.name}: has {len(kept)} snapshots, and can have no more")
    if told.id:
        return told
    return told._replace(id=str(max((int(one) for one in ids if one.isdecimal()), default=0) + 1))


def _write_state(image: WrittenQcow2, state: Iterable[Buffer]) -> int:
    """The machine's state, behind the end of the disk; returns its bytes."""
    image.begin()
    image.drop_tables(divide_up(image.size, image.head.l2_span))  # an older state, that went with another snapshot
    offset, cluster, size = past.state_offset(image.size, image.head), image.head.cluster_size, 0
    for part in _whole(state, cluster):
        needed = divide_up(offset + size + len(part), image.head.l2_span)
        if needed > len(image.l1):
            image.grow_l1(needed)
        image.write_state(offset + size, part.ljust(divide_up(len(part), cluster) * cluster, b"\0"))
        size += len(part)
    image.flush()
    return size


def _whole(state: Iterable[Buffer], cluster: int) -> Iterator[bytes]:
    """The same bytes in pieces of whole clusters; the last piece may be shorter."""
    waiting = bytearray()
    for part in state:
        waiting += part
        if whole := len(waiting) // cluster * cluster:
            yield bytes(waiting[:whole])
            del waiting[:whole]
    if waiting:
        yield bytes(waiting)
