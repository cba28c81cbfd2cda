"""Encrypted qcow2 images: which sector number a cipher is told, and where the LUKS header is.

Legacy AES counts the sectors of the guest's disk, LUKS those of the file (QEMU, block/qcow2-cluster.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import SECTOR
from virtkit.disk.formats.qcow2.layout import EncryptionHeader, Extension

if TYPE_CHECKING:
    from virtkit.disk.cipher import Cipher
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Extent
    from virtkit.disk.formats.qcow2.head import Head


class Lock(NamedTuple):
    cipher: Cipher
    by_host: bool  # sectors are counted in the file, not in the guest's disk
    cluster_size: int  # bytes

    def decrypt(self, extent: Extent, stored: Buffer) -> Buffer:
        """A cluster; what the file no longer holds of it is taken as zeros, as QEMU does."""
        where = extent.at if self.by_host else extent.start - extent.skip
        return self.cipher.decrypt(where // SECTOR, bytes(stored).ljust(self.cluster_size, b"\0"))

    def encrypt(self, start: int, at: int, data: Buffer) -> Buffer:
        """Guest bytes from ``start`` on, which will be at byte ``at`` of the file."""
        return self.cipher.encrypt((at if self.by_host else start) // SECTOR, data)

    def moved(self, at: int, to: int, data: Buffer) -> Buffer:
        """Encrypted data of byte ``at``, as they must be at byte ``to``."""
        if not self.by_host:
            return data
        return self.cipher.encrypt(to // SECTOR, self.cipher.decrypt(at // SECTOR, data))


def unlock(file: File, head: Head, secret: bytes | None) -> Lock | None:
    """None: the image is not encrypted. ImageError without a secret, or with a wrong one."""
    if not head.encryption:
        return None
    from virtkit.disk import cipher  # other images do without

    secret = cipher.require_secret(file, head.encryption, secret)
    if head.encryption == "aes":
        return Lock(cipher.legacy_aes(secret), by_host=False, cluster_size=head.cluster_size)
    where = head.extensions.get(Extension.ENCRYPTION)
    if where is None:
        at = head.header.offset_of("crypt_method")
        raise CorruptImageError(file.name, "encryption header", found="not named", expected="an extension", offset=at)
    place = EncryptionHeader.parse(where, source=file.name)
    opened = cipher.open_luks(file, place.offset, place.length, secret)
    return Lock(opened, by_host=True, cluster_size=head.cluster_size)
