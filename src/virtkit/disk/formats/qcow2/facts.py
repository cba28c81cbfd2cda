"""What a qcow2 image says about itself, with qemu-img's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.format import Facts
from virtkit.disk.formats.qcow2 import bitmaps, snapshots
from virtkit.disk.formats.qcow2.head import Head, text
from virtkit.disk.formats.qcow2.layout import (
    AUTOCLEAR_RAW_DATA_FILE,
    LAZY_REFCOUNTS,
    V2,
    EncryptionHeader,
    Extension,
    Incompatible,
)

if TYPE_CHECKING:
    from virtkit.disk.file import File


def read_facts(file: File, head: Head) -> Facts:
    """CorruptImageError where the snapshot table or the bitmap directory is broken."""
    return Facts(
        cluster_size=head.cluster_size,
        dirty=head.has(Incompatible.DIRTY),
        encrypted=bool(head.encryption),
        specific=_specific(file, head),
        snapshots=tuple(snapshot.listed() for snapshot in snapshots.read(file, head)),
    )


def _specific(file: File, head: Head) -> dict[str, object]:
    refcount_bits = 1 << head.features.refcount_order
    encrypt = {"encrypt": _encryption(file, head)} if head.encryption else {}
    if head.header.version == V2:
        return {"compat": "0.10", "compression-type": head.compression, "refcount-bits": refcount_bits, **encrypt}
    found: dict[str, object] = {
        "compat": "1.1",
        "compression-type": head.compression,
        "lazy-refcounts": bool(head.features.compatible & LAZY_REFCOUNTS),
        "refcount-bits": refcount_bits,
        "corrupt": head.has(Incompatible.CORRUPT),
        "extended-l2": head.has(Incompatible.EXTENDED_L2),
        **encrypt,
    }
    if head.has(Incompatible.DATA_FILE):
        found["data-file"] = text(head.extensions.get(Extension.DATA_FILE, b""))
        found["data-file-raw"] = bool(head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE)
    if listed := [bitmap.listed() for bitmap in bitmaps.read(file, head)]:
        found["bitmaps"] = listed
    return found


def _encryption(file: File, head: Head) -> dict[str, object]:
    """Of LUKS what its header tells without a passphrase."""
    named = head.extensions.get(Extension.ENCRYPTION)
    if head.encryption != "luks" or named is None:
        return {"format": head.encryption}
    from virtkit.disk import cipher  # other images do without

    return {"format": head.encryption, **cipher.facts(file, EncryptionHeader.parse(named, source=file.name).offset)}
