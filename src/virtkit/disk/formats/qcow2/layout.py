"""The records of a qcow2 image.

Specification: QEMU, docs/interop/qcow2.txt; the limits on table sizes are QEMU's, block/qcow2.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from virtkit.core.structs import Struct, array, layout, u8, u16, u32, u64
from virtkit.core.units import KIB, MIB

if TYPE_CHECKING:
    from typing import ClassVar


OFFSET = 0x00FF_FFFF_FFFF_FE00  # bits 9 to 55 of L1 and L2 entries
COPIED = 1 << 63  # L1 and L2 entries: the cluster's refcount is exactly one; only kept up for the active L1
COMPRESSED = 1 << 62  # L2 entries
ZERO = 1  # L2 entries of version 3: reads as zeros, whatever the offset says
L1_RESERVED = 0x7F00_0000_0000_01FF
L2_RESERVED = 0x3F00_0000_0000_01FE
REFCOUNT_TABLE_RESERVED = 0x1FF

SUBCLUSTERS = 32  # of a cluster, with extended L2 entries
ALL_SUBCLUSTERS = (1 << SUBCLUSTERS) - 1  # the lower half of a bitmap says which hold data, the upper which are zeros
ALL_ZERO = ALL_SUBCLUSTERS << SUBCLUSTERS

MIN_CLUSTER_BITS, MAX_CLUSTER_BITS = 9, 21
MIN_EXTENDED_CLUSTER = 16 * KIB  # bytes; its 32nds are sectors
MAX_L1_SIZE = 32 * MIB  # bytes
MAX_REFCOUNT_TABLE_SIZE = 8 * MIB  # bytes
MAX_SNAPSHOTS = 65536
MAX_BACKING_NAME = 1023  # bytes
MAX_REFCOUNT_ORDER = 6
ENTRY = 8  # bytes of an entry of any table
V2 = 2  # the version without features, zero flags and bitmaps: compat=0.10
V3_HEADER = 104  # bytes; the least that version 3 has
COMPRESSION_TYPE_AT = 104
V3_LENGTH = 112  # bytes; what version 3 has today, with the compression type
COMPRESSIONS = ("zlib", "zstd")
ENCRYPTIONS = ("", "aes", "luks")


class Incompatible:
    """Features that a reader must know, or leave the image alone."""

    DIRTY = 1 << 0
    CORRUPT = 1 << 1
    DATA_FILE = 1 << 2
    COMPRESSION = 1 << 3
    EXTENDED_L2 = 1 << 4


KNOWN_INCOMPATIBLE = (1 << 5) - 1
LAZY_REFCOUNTS = 1 << 0  # compatible
AUTOCLEAR_BITMAPS = 1 << 0
AUTOCLEAR_RAW_DATA_FILE = 1 << 1


FEATURES = (  # kind as of FeatureName, bit, QEMU's name
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
)


class Extension:
    """Types of header extensions."""

    END = 0
    BACKING_FORMAT = 0xE2792ACA
    FEATURE_NAMES = 0x6803F857
    BITMAPS = 0x23852875
    ENCRYPTION = 0x0537BE77
    DATA_FILE = 0x44415441


@layout(">")
class Header(Struct):
    """All of version 2, the beginning of version 3."""

    magic: Annotated[bytes, array(4)]
    version: u32  # 2 or 3
    backing_offset: u64  # bytes; 0: no backing image
    backing_size: u32  # bytes of the name, which is not terminated
    cluster_bits: u32
    size: u64  # bytes that the guest sees
    crypt_method: u32  # 0 none, 1 AES, 2 LUKS
    l1_size: u32  # entries
    l1_offset: u64
    refcount_table_offset: u64
    refcount_table_clusters: u32
    snapshot_count: u32
    snapshots_offset: u64


@layout(">")
class Features(Struct):
    """Version 3, from byte 72 on."""

    incompatible: u64
    compatible: u64
    autoclear: u64
    refcount_order: u32  # a refcount has 1 << refcount_order bits
    header_length: u32


@layout(">")
class ExtensionHeader(Struct):
    type: u32
    length: u32  # bytes of the data that follow, without the padding to 8


@layout(">")
class FeatureName(Struct):
    """An entry of the extension FEATURE_NAMES."""

    INCOMPATIBLE: ClassVar[int] = 0

    kind: u8  # 0 incompatible, 1 compatible, 2 autoclear
    bit: u8
    name: Annotated[bytes, array(46)]


@layout(">")
class SnapshotHeader(Struct):
    """Followed by extra data, id and name, padded to 8 bytes."""

    l1_offset: u64
    l1_size: u32  # entries
    id_size: u16
    name_size: u16
    date_sec: u32
    date_nsec: u32
    vm_clock_nsec: u64
    vm_state_size: u32
    extra_size: u32


@layout(">")
class BitmapsHeader(Struct):
    """Data of the extension BITMAPS."""

    count: u32
    reserved: u32
    directory_size: u64  # bytes
    directory_offset: u64


@layout(">")
class EncryptionHeader(Struct):
    """Data of the extension ENCRYPTION: where the LUKS header is."""

    offset: u64
    length: u64
