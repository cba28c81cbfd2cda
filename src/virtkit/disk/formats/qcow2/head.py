"""The header of a qcow2 image, read and checked: after this nobody doubts its numbers again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.units import KIB, divide_up, format_size, round_up
from virtkit.disk.format import Reference
from virtkit.disk.formats.qcow2.layout import (
    COMPRESSION_TYPE_AT,
    COMPRESSIONS,
    ENCRYPTIONS,
    ENTRY,
    KNOWN_INCOMPATIBLE,
    MAX_BACKING_NAME,
    MAX_CLUSTER_BITS,
    MAX_L1_SIZE,
    MAX_REFCOUNT_ORDER,
    MAX_REFCOUNT_TABLE_SIZE,
    MAX_SNAPSHOTS,
    MIN_CLUSTER_BITS,
    V2,
    V3_HEADER,
    V3_LENGTH,
    Extension,
    ExtensionHeader,
    FeatureName,
    Features,
    Header,
    Incompatible,
)
from virtkit.disk.formats.qcow2.signature import MAGIC

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.file import File


class Head(NamedTuple):
    """A checked header: its numbers are within their limits, its tables within theirs."""

    header: Header
    features: Features
    compression: str
    extensions: Mapping[int, bytes]
    backing: Reference | None
    rest: bytes = b""  # of the header, behind what today's specification has; kept as it is

    @property
    def cluster_size(self) -> int:
        return 1 << self.header.cluster_bits

    @property
    def entry_size(self) -> int:
        """Bytes of an L2 entry."""
        return 2 * ENTRY if self.has(Incompatible.EXTENDED_L2) else ENTRY

    @property
    def l2_entries(self) -> int:
        return self.cluster_size // self.entry_size

    @property
    def l2_span(self) -> int:
        """Bytes of the guest's disk that one L2 table describes."""
        return self.l2_entries * self.cluster_size

    @property
    def encryption(self) -> str:
        return ENCRYPTIONS[self.header.crypt_method]

    def has(self, feature: int) -> bool:
        return bool(self.features.incompatible & feature)


def read_head(file: File) -> Head:
    """CorruptImageError, NotSupportedError."""
    data = file.read(0, 4 * KIB)
    header = Header.parse(data, source=file.name)
    _check_basics(file.name, header)
    features = _read_features(file.name, header, data)
    compression = _read_compression(file.name, features, data)
    _check_tables(file, header, features)
    first_cluster = data if len(data) >= 1 << header.cluster_bits else file.read(0, 1 << header.cluster_bits)
    extensions = _read_extensions(file.name, header, features, first_cluster)
    _refuse_unknown(file.name, features.incompatible & ~KNOWN_INCOMPATIBLE, extensions)
    backing = _read_backing(file.name, header, features, first_cluster, extensions)
    rest = first_cluster[V3_LENGTH : features.header_length]
    return Head(header, features, compression, extensions, backing, rest)


def require(ok: bool, image: str, field: str, found: object, expected: str, offset: int) -> None:  # noqa: FBT001, PLR0917  reads as a sentence
    if not ok:
        raise CorruptImageError(image, field, found=found, expected=expected, offset=offset)


def _check_basics(image: str, header: Header) -> None:
    at = Header.offset_of
    require(header.magic == MAGIC, image, "signature", header.magic.hex(" "), MAGIC.hex(" "), 0)
    if header.version not in {2, 3}:
        raise NotSupportedError(f"{image}: qcow2 version is {header.version}, expected 2 or 3")
    bits = header.cluster_bits
    fits = MIN_CLUSTER_BITS <= bits <= MAX_CLUSTER_BITS
    require(fits, image, "cluster bits", bits, f"{MIN_CLUSTER_BITS} to {MAX_CLUSTER_BITS}", at("cluster_bits"))
    require(header.size < 1 << 63, image, "disk size", header.size, "less than 2**63 bytes", at("size"))
    if header.crypt_method >= len(ENCRYPTIONS):
        raise NotSupportedError(f"{image}: encryption method is {header.crypt_method}, expected 0, 1 (AES) or 2 (LUKS)")


def _read_features(image: str, header: Header, data: bytes) -> Features:
    if header.version == V2:
        return Features(0, 0, 0, refcount_order=4, header_length=Header.SIZE)
    features = Features.parse(data, Header.SIZE, source=image)
    at = Header.SIZE + Features.offset_of("header_length")
    length = features.header_length
    fits = V3_HEADER <= length <= 1 << header.cluster_bits and length % 8 == 0
    require(fits, image, "header length", length, f"a multiple of 8 from {V3_HEADER} to the cluster size", at)
    order = features.refcount_order
    at = Header.SIZE + Features.offset_of("refcount_order")
    require(order <= MAX_REFCOUNT_ORDER, image, "refcount order", order, f"at most {MAX_REFCOUNT_ORDER}", at)
    return features


def _read_compression(image: str, features: Features, data: bytes) -> str:
    known = features.header_length > COMPRESSION_TYPE_AT and len(data) > COMPRESSION_TYPE_AT
    kind = data[COMPRESSION_TYPE_AT] if known else 0
    if kind >= len(COMPRESSIONS):
        raise NotSupportedError(f"{image}: compression type is {kind}, expected 0 (zlib) or 1 (zstd)")
    flagged = bool(features.incompatible & Incompatible.COMPRESSION)
    wanted = "zlib, as the feature bit 3 is not set" if kind else "not zlib, as the feature bit 3 is set"
    require(flagged == bool(kind), image, "compression type", COMPRESSIONS[kind], wanted, COMPRESSION_TYPE_AT)
    return COMPRESSIONS[kind]


def _check_tables(file: File, header: Header, features: Features) -> None:
    image, cluster = file.name, 1 << header.cluster_bits
    at = Header.offset_of
    l1_bytes = header.l1_size * ENTRY
    require(l1_bytes <= MAX_L1_SIZE, image, "L1 table size", l1_bytes, format_size(MAX_L1_SIZE), at("l1_size"))
    if l1_bytes:
        _check_place(file, "L1 table offset", header.l1_offset, cluster, at("l1_offset"))
        end = header.l1_offset + l1_bytes
        require(end <= file.size, image, "L1 table end", f"{end:#x}", f"within {file.size:#x} bytes", at("l1_offset"))
    entry_size = 2 * ENTRY if features.incompatible & Incompatible.EXTENDED_L2 else ENTRY
    needed = divide_up(header.size, cluster // entry_size * cluster)
    require(header.l1_size >= needed, image, "L1 entries", header.l1_size, f"at least {needed}", at("l1_size"))
    table = header.refcount_table_clusters * cluster
    limit = f"{format_size(MAX_REFCOUNT_TABLE_SIZE)} at most"
    fits = table <= MAX_REFCOUNT_TABLE_SIZE
    require(fits, image, "refcount table size", table, limit, at("refcount_table_clusters"))
    aligned = header.refcount_table_offset % cluster == 0 and header.refcount_table_offset < 1 << 56
    found = f"{header.refcount_table_offset:#x}"
    require(aligned, image, "refcount table offset", found, "aligned to clusters", at("refcount_table_offset"))
    count = header.snapshot_count
    require(count <= MAX_SNAPSHOTS, image, "snapshots", count, f"at most {MAX_SNAPSHOTS}", at("snapshot_count"))
    if count:
        _check_place(file, "snapshot table offset", header.snapshots_offset, cluster, at("snapshots_offset"))


def _check_place(file: File, field: str, offset: int, cluster: int, where: int) -> None:
    expected = f"a multiple of {cluster} within {file.size:#x} bytes"
    require(offset % cluster == 0 and offset < file.size, file.name, field, f"{offset:#x}", expected, where)


def _read_extensions(image: str, header: Header, features: Features, first_cluster: bytes) -> dict[int, bytes]:
    end = min(header.backing_offset or len(first_cluster), len(first_cluster))
    at, found = features.header_length, {}
    while at + ExtensionHeader.SIZE <= end:
        extension = ExtensionHeader.parse(first_cluster, at, source=image)
        if extension.type == Extension.END:
            break
        start = at + ExtensionHeader.SIZE
        room = end - start
        name = f"header extension {extension.type:#x}"
        require(extension.length <= room, image, name, f"{extension.length} bytes long", f"at most {room} bytes", at)
        found[extension.type] = first_cluster[start : start + extension.length]
        at = start + round_up(extension.length, 8)
    return found


def _refuse_unknown(image: str, unknown: int, extensions: Mapping[int, bytes]) -> None:
    """The image itself has a table of what its features are called."""
    if not unknown:
        return
    table = extensions.get(Extension.FEATURE_NAMES, b"")
    named = [FeatureName.parse(table, at) for at in range(0, len(table) - FeatureName.SIZE + 1, FeatureName.SIZE)]
    names = {one.bit: text(one.name.rstrip(b"\0")) for one in named if one.kind == FeatureName.INCOMPATIBLE}
    features = ", ".join(names.get(bit, f"bit {bit}") for bit in range(64) if unknown >> bit & 1)
    raise NotSupportedError(f"{image}: needs a feature that virtkit does not know: {features}")


def _read_backing(
    image: str, header: Header, features: Features, first_cluster: bytes, extensions: Mapping[int, bytes]
) -> Reference | None:
    if not header.backing_offset:
        return None
    at, size = header.backing_offset, header.backing_size
    where = Header.offset_of("backing_size")
    require(size <= MAX_BACKING_NAME, image, "backing name", f"{size} bytes long", f"{MAX_BACKING_NAME} at most", where)
    inside = features.header_length <= at and at + size <= len(first_cluster)
    where = Header.offset_of("backing_offset")
    require(inside, image, "backing name offset", f"{at:#x}", "behind the header, in the first cluster", where)
    if not size:
        return None
    kind = extensions.get(Extension.BACKING_FORMAT)
    return Reference(text(first_cluster[at : at + size]), text(kind) if kind else None)


def text(name: bytes) -> str:
    """A name as Python keeps file names that may not be UTF-8."""
    return name.decode(errors="surrogateescape")
