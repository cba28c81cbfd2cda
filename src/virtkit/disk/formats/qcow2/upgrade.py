"""Version 2 to version 3: snapshots say how large their disk is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2 import snapshots
from virtkit.disk.formats.qcow2.layout import Features, Header, SnapshotHeader

if TYPE_CHECKING:
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.live import LiveQcow2

_LEAST_EXTRA = 16  # bytes; size of the machine's state, size of the disk
_ORDER = 4  # of the refcounts of version 2


def to_version_3(image: LiveQcow2) -> None:
    head, cluster = image.head, image.head.cluster_size
    kept = snapshots.read(image.file, head)
    fields = {"version": 3}
    packed = snapshots.pack(_filled(one, head) for one in kept)
    if any(len(one.extra) < _LEAST_EXTRA for one in kept):
        image.begin()
        first = image.allocator.take_row(divide_up(len(packed), cluster))
        image.file.write(first * cluster, packed)
        image.allocator.store()
        fields["snapshots_offset"] = first * cluster
    header = Header(**{**vars(head.header), **fields})
    image.heading.replace(head._replace(header=header, features=Features(0, 0, 0, _ORDER, 0)))
    if "snapshots_offset" in fields:
        size = kept[-1].end - head.header.snapshots_offset
        image.allocator.free(head.header.snapshots_offset // cluster, divide_up(size, cluster))
    image.flush()


def _filled(kept: snapshots.Snapshot, head: Head) -> snapshots.Snapshot:
    if len(kept.extra) >= _LEAST_EXTRA:
        return kept
    extra = kept.vm_state_size.to_bytes(8, "big") + head.header.size.to_bytes(8, "big")
    return kept._replace(extra=extra, header=SnapshotHeader(**{**vars(kept.header), "extra_size": len(extra)}))
