"""Refcounts of another width: all counted anew, written to a new place, and then named by the header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.disk.formats.qcow2.check import Check
from virtkit.disk.formats.qcow2.refwriting import store_anew

if TYPE_CHECKING:
    from virtkit.disk.formats.qcow2.live import LiveQcow2


def change_width(image: LiveQcow2, order: int) -> None:
    """UsageError where a cluster is used more often than the new refcounts can say, ImageError where some are wrong."""
    image.flush()
    whole = Check(image.file, image.head)
    whole.count_references()
    whole.count_refcount_blocks()
    whole.compare()
    if whole.tally.corruptions:
        hint = f"virtkit disk repair {image.file.name}"
        raise ImageError(f"{image.file.name}: has {whole.tally.corruptions} corruptions, expected none", hint=hint)
    without = Check(image.file, image.head)
    without.count_references()
    at, clusters = store_anew(without.ledger, whole.last_used + 1, order)
    image.heading.change(refcount_table_offset=at, refcount_table_clusters=clusters, refcount_order=order)
    image.reload()
