"""The header of a new image."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk.formats.qcow2.head import Head
from virtkit.disk.formats.qcow2.layout import (
    AUTOCLEAR_RAW_DATA_FILE,
    COMPRESSIONS,
    ENCRYPTIONS,
    LAZY_REFCOUNTS,
    Extension,
    Features,
    Header,
    Incompatible,
)
from virtkit.disk.formats.qcow2.signature import MAGIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.formats.qcow2.newtables import Shape
    from virtkit.disk.formats.qcow2.options import Options
    from virtkit.disk.reference import Reference


class Tables(NamedTuple):
    """Where they are; positions in bytes."""

    l1_at: int = 0
    refcount_table_at: int = 0
    refcount_table_clusters: int = 0


def new_head(
    options: Options, shape: Shape, backing: Reference | None, extensions: Mapping[int, bytes], tables: Tables
) -> Head:
    if options.data_file:
        extensions = {**extensions, Extension.DATA_FILE: options.data_file.encode(errors="surrogateescape")}
    header = Header(
        magic=MAGIC,
        version=options.version,
        backing_offset=0,
        backing_size=0,
        cluster_bits=shape.cluster.bit_length() - 1,
        size=shape.size,
        crypt_method=ENCRYPTIONS.index(options.encryption),
        l1_size=shape.tables,
        l1_offset=tables.l1_at,
        refcount_table_offset=tables.refcount_table_at,
        refcount_table_clusters=tables.refcount_table_clusters,
        snapshot_count=0,
        snapshots_offset=0,
    )
    return Head(header, _features(options), options.compression, extensions, backing)


def _features(options: Options) -> Features:
    found = {
        Incompatible.COMPRESSION: options.compression != COMPRESSIONS[0],
        Incompatible.DATA_FILE: options.data_file is not None,
        Incompatible.EXTENDED_L2: options.extended_l2,
    }
    return Features(
        incompatible=sum(bit for bit, there in found.items() if there),
        compatible=LAZY_REFCOUNTS if options.lazy_refcounts else 0,
        autoclear=AUTOCLEAR_RAW_DATA_FILE if options.data_file_raw else 0,
        refcount_order=options.refcount_order,
        header_length=0,  # packing knows
    )
