"""Version 3 to version 2, which has no zero flags: the zeros are written, or left out where nothing is below.

All of it still is an image of version 3 that reads the same, until the header is written last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import MIB
from virtkit.disk.format import Kind
from virtkit.disk.formats.qcow2 import past, snapshots
from virtkit.disk.formats.qcow2.layout import COMPRESSED, OFFSET, ZERO, Features, Header, Incompatible
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from array import array

    from virtkit.disk.formats.qcow2.live import LiveQcow2

_STEP = 4 * MIB  # bytes of zeros written at once
_ORDER = 4  # of the refcounts of version 2


def require(image: LiveQcow2, order: int) -> None:
    """NotSupportedError where version 2 cannot say what the image is. ``order``: of its refcounts by then."""
    name, head = image.file.name, image.head
    hindrances = {
        "an external data file": head.has(Incompatible.DATA_FILE),
        "extended L2 entries": head.has(Incompatible.EXTENDED_L2),
        "clusters compressed with zstd": head.has(Incompatible.COMPRESSION),
        "dirty bitmaps": bool(image.bitmaps()),
        "refcounts of another width than 16 bits": order != _ORDER,
    }
    for what, there in hindrances.items():
        if there:
            raise NotSupportedError(f"{name}: has {what}, which version 2 cannot have")
    for kept in snapshots.read(image.file, head):
        if past.disk_size(kept, head) != image.size or kept.vm_state_size >= 1 << 32:
            raise NotSupportedError(f"{name}: snapshot {kept.name} is of another size, which version 2 cannot say")


def to_version_2(image: LiveQcow2) -> None:
    _write_out(image)
    _write_out_snapshots(image)
    image.flush()
    head = image.head
    header = Header(**{**vars(head.header), "version": 2})
    image.heading.replace(head._replace(header=header, features=Features(0, 0, 0, _ORDER, 0), rest=b""))


def _write_out(image: LiveQcow2) -> None:
    for extent in list(image.extents(0, image.size)) if image.size else []:
        if extent.kind is not Kind.ZERO:
            continue
        if not image.backing:
            image.forget(extent.start, extent.length)
            continue
        for at in range(extent.start, extent.end, _STEP):
            image.write(at, bytes(min(_STEP, extent.end - at)))
    image.flush()


def _write_out_snapshots(image: LiveQcow2) -> None:
    """Their tables are nobody's to write to but ours; one that several share is as often in the counts."""
    seen: set[int] = set()
    for kept in snapshots.read(image.file, image.head):
        for index, entry in enumerate(past.read_l1(image.file, image.head, kept)):
            at = entry & OFFSET
            if at and at not in seen:
                seen.add(at)
                _write_out_table(image, index * image.head.l2_span, at, image.tables.read(index, at))
    image.flush()
    image.reload()


def _write_out_table(image: LiveQcow2, start: int, at: int, table: array[int]) -> None:
    """The table at ``at`` is for the guest's bytes from ``start`` on."""
    flagged = [index for index, entry in enumerate(table) if entry & ZERO and not entry & COMPRESSED]
    if not flagged:
        return
    cluster, uses = image.head.cluster_size, image.allocator.count(at // image.head.cluster_size)
    image.begin()
    freed: list[int] = []
    table = table[:]
    for index in flagged:
        if table[index] & OFFSET:
            freed.append((table[index] & OFFSET) // cluster)
        table[index] = _zeros(image, start + index * cluster, uses) if image.backing else 0
    image.allocator.store()
    image.file.sync_data()
    image.file.write(at, stored_table(table, endian="big"))
    image.file.sync_data()
    for first in freed:
        for _ in range(uses):
            image.allocator.free(first, 1)


def _zeros(image: LiveQcow2, start: int, uses: int) -> int:
    """The entry of a new cluster of zeros that is counted as often as its table."""
    cluster = image.head.cluster_size
    ((first, _),) = image.allocator.take(1)
    for _ in range(uses - 1):
        image.allocator.share(first, 1)
    at, zeros = first * cluster, bytes(cluster)
    image.file.write(at, image.lock.encrypt(start, at, zeros) if image.lock else zeros)
    return at
