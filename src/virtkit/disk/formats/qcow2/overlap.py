"""Where an image has its own tables: what an allocator must never give away, whatever a wrong refcount says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.layout import ENTRY, OFFSET, REFCOUNT_TABLE_RESERVED

if TYPE_CHECKING:
    from array import array

    from virtkit.disk.formats.qcow2.head import Head


def metadata_clusters(head: Head, l1: array[int], refcount_table: array[int]) -> list[int]:
    """Numbers of clusters, sorted: header, L1 table, L2 tables, refcount table, refcount blocks, snapshot table."""
    header, cluster = head.header, head.cluster_size
    found = {0}
    found.update(_row(header.l1_offset, header.l1_size * ENTRY, cluster))
    found.update(_row(header.refcount_table_offset, header.refcount_table_clusters * cluster, cluster))
    found.update((entry & OFFSET) // cluster for entry in l1 if entry & OFFSET)
    found.update(entry // cluster for entry in refcount_table if entry & ~REFCOUNT_TABLE_RESERVED)
    if header.snapshot_count:
        found.add(header.snapshots_offset // cluster)
    return sorted(found)


def _row(at: int, size: int, cluster: int) -> range:
    first = at // cluster
    return range(first, first + divide_up(size, cluster))
