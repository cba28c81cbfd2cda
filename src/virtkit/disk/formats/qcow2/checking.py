"""A check of a qcow2 image: table by table, or in bulk where there are many."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk import bulk
from virtkit.disk.formats.qcow2.check import Check
from virtkit.disk.formats.qcow2.layout import ENTRY

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.format import Findings
    from virtkit.disk.formats.qcow2.head import Head

_MOST_TABLES = 1 << 20
_MOST_CLUSTERS = 1 << 24  # of a file whose clusters have a counter each


def check(file: File, head: Head) -> Findings:
    """CorruptImageError where snapshot table or bitmap directory cannot be read."""
    if not _is_large(file, head):
        found = Check(file, head)
    else:
        from virtkit.disk.formats.qcow2.bulkcheck import BulkCheck  # imports numpy

        found = BulkCheck(file, head)
    found.run()
    return found.findings()


def _is_large(file: File, head: Head) -> bool:
    header, clusters = head.header, divide_up(file.size, head.cluster_size)
    if header.l1_size > _MOST_TABLES or clusters > _MOST_CLUSTERS:
        return True
    l1 = array("Q", file.read(header.l1_offset, header.l1_size * ENTRY))
    tables = len(l1) - l1.count(0)
    return bulk.pays(tables, min(tables * head.l2_entries, clusters))
