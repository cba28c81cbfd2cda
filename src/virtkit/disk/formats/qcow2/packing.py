"""The first cluster of a qcow2 image: header, extensions, name of the backing image, packed as QEMU packs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.units import KIB, round_up
from virtkit.disk.formats.qcow2.layout import (
    COMPRESSIONS,
    FEATURES,
    MAX_BACKING_NAME,
    V2,
    V3_LENGTH,
    Extension,
    ExtensionHeader,
    FeatureName,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.structs import Struct
    from virtkit.disk.formats.qcow2.head import Head

_ORDER = (Extension.DATA_FILE, Extension.ENCRYPTION, Extension.FEATURE_NAMES, Extension.BITMAPS)
_NAMES_FROM = 4 * KIB  # bytes; in clusters up to this the names of features would leave no room for a backing image's


def pack(image: str, head: Head) -> bytes:
    """One cluster. Where things are, and their sizes, is worked out anew; UsageError where they do not fit."""
    compression = bytes([COMPRESSIONS.index(head.compression)]).ljust(8, b"\0")
    extensions = b"".join(_extension(kind, data) for kind, data in _extensions(head)) + _extension(Extension.END, b"")
    name = head.backing.name.encode(errors="surrogateescape") if head.backing else b""
    start = head.header.SIZE if head.header.version == V2 else V3_LENGTH + len(head.rest)
    header = _replaced(
        head.header,
        backing_offset=start + len(extensions) if name else 0,
        backing_size=len(name),
    )
    parts = [header, extensions, name]
    if head.header.version > V2:
        parts[1:1] = [_replaced(head.features, header_length=start), compression, head.rest]
    packed = b"".join(parts)
    if len(name) > MAX_BACKING_NAME or len(packed) > head.cluster_size:
        most = min(MAX_BACKING_NAME, head.cluster_size - len(packed) + len(name))
        expected = f"{max(most, 0)} at most"
        raise UsageError(f"{image}: name of the backing file is {len(name)} bytes long, expected {expected}")
    return packed.ljust(head.cluster_size, b"\0")


def _replaced(record: Struct, **fields: int) -> bytes:
    return type(record)(**{**vars(record), **fields}).pack()


def _extensions(head: Head) -> Iterator[tuple[int, bytes]]:
    if head.backing and head.backing.format:
        yield Extension.BACKING_FORMAT, head.backing.format.encode()
    kept = {kind: data for kind, data in head.extensions.items() if kind != Extension.BACKING_FORMAT}
    kept.pop(Extension.FEATURE_NAMES, None)
    if head.header.version > V2 and head.cluster_size > _NAMES_FROM:
        kept[Extension.FEATURE_NAMES] = _feature_names()
    for kind in _ORDER:
        if kind in kept:
            yield kind, kept.pop(kind)
    yield from kept.items()


def _feature_names() -> bytes:
    return b"".join(FeatureName(kind, bit, name.encode()).pack() for kind, bit, name in FEATURES)


def _extension(kind: int, data: bytes) -> bytes:
    return ExtensionHeader(kind, len(data)).pack() + data.ljust(round_up(len(data), 8), b"\0")
