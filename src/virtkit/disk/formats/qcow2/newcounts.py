"""Refcounts of another width: taken over to a new place, and then named by the header."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.checking import check
from virtkit.disk.formats.qcow2.layout import REFCOUNT_TABLE_RESERVED
from virtkit.disk.formats.qcow2.refcounts import Refcounts
from virtkit.disk.formats.qcow2.refwriting import store_anew

if TYPE_CHECKING:
    from array import array

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.live import LiveQcow2


def change_width(image: LiveQcow2, order: int) -> None:
    """UsageError where a cluster is used more often than the new refcounts can say, ImageError where some are wrong."""
    image.flush()
    found = check(image.file, image.head)
    if found.corruptions:
        hint = f"virtkit disk repair {image.file.name}"
        raise ImageError(f"{image.file.name}: has {found.corruptions} corruptions, expected none", hint=hint)
    cluster = image.head.cluster_size
    end = divide_up(found.image_end, cluster)
    at, clusters = store_anew(image.file, cluster, _Kept(image.file, image.head), end, order)
    image.heading.change(refcount_table_offset=at, refcount_table_clusters=clusters, refcount_order=order)
    image.reload()


class _Kept:
    """The refcounts that there are, but of their own clusters: those are free afterwards."""

    def __init__(self, file: File, head: Head) -> None:
        self.clusters = divide_up(file.size, head.cluster_size)
        self._refcounts = Refcounts(file, head)
        first = head.header.refcount_table_offset // head.cluster_size
        blocks = (entry & ~REFCOUNT_TABLE_RESERVED for entry in self._refcounts.table)
        own = {block // head.cluster_size for block in blocks if block}
        self._own = sorted(own | set(range(first, first + head.header.refcount_table_clusters)))

    def counted(self, first: int, count: int) -> array[int]:
        found = self._refcounts.get(first, count)
        for place in range(bisect_left(self._own, first), bisect_left(self._own, first + count)):
            found[self._own[place] - first] = 0
        return found
