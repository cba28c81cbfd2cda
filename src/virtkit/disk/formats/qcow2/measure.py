"""How long the file of a new qcow2 image becomes, counted as qemu-img counts (block/qcow2.c, qcow2_measure)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up, round_up
from virtkit.disk.format import Measured
from virtkit.disk.formats.qcow2.bitmaps import DirectoryEntry, table_size
from virtkit.disk.formats.qcow2.counts import refcount_clusters
from virtkit.disk.formats.qcow2.layout import ENTRY, V2
from virtkit.disk.formats.qcow2.newtables import Shape
from virtkit.disk.formats.qcow2.options import parse

if TYPE_CHECKING:
    from virtkit.disk.format import Blank
    from virtkit.disk.formats.qcow2.options import Options


def measure(blank: Blank) -> Measured:
    """The metadata of a full disk are counted in both numbers; UsageError."""
    options = parse(blank.options)
    shape = Shape(blank.size, options.cluster_size, options.extended_l2)
    disk = shape.clusters * shape.cluster
    required = disk if options.preallocation in {"falloc", "full"} else round_up(blank.data, shape.cluster)
    whole = _encryption_header(options) + _with_metadata(shape, options.refcount_order)
    return Measured(whole - disk + required, whole, _bitmaps(options, blank))


def _with_metadata(shape: Shape, refcount_order: int) -> int:
    l2 = shape.tables
    l1 = divide_up(ENTRY * l2, shape.cluster)
    clusters = 1 + l1 + l2 + shape.clusters
    return (clusters + sum(refcount_clusters(clusters, shape.cluster, refcount_order))) * shape.cluster


def _bitmaps(options: Options, blank: Blank) -> int | None:
    """All bits of each count, its table, and the directory."""
    if options.version == V2 or blank.bitmaps is None:
        return None
    total = directory = 0
    for bitmap in blank.bitmaps:
        clusters = table_size(blank.size, bitmap.granularity, options.cluster_size)
        total += clusters * options.cluster_size + round_up(clusters * ENTRY, options.cluster_size)
        directory += round_up(DirectoryEntry.SIZE + len(bitmap.name.encode(errors="surrogateescape")), 8)
    return total + round_up(directory, options.cluster_size)


def _encryption_header(options: Options) -> int:
    if options.encryption != "luks":
        return 0
    from virtkit.disk import cipher

    size = cipher.header_size(options.luks.cipher_alg, options.luks.cipher_mode)
    return round_up(size, options.cluster_size)
