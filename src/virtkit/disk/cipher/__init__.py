"""Encryption of disk images: QEMU's legacy AES and LUKS version 1, as qcow, qcow2 and plain LUKS images use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.disk.cipher.luks import add_key as add_key
from virtkit.disk.cipher.luks import create_luks as create_luks
from virtkit.disk.cipher.luks import facts as facts
from virtkit.disk.cipher.luks import header_size as header_size
from virtkit.disk.cipher.luks import open_luks as open_luks
from virtkit.disk.cipher.luks import payload_offset as payload_offset
from virtkit.disk.cipher.luks import remove_key as remove_key
from virtkit.disk.cipher.sectors import Cipher as Cipher
from virtkit.disk.cipher.sectors import legacy_aes as legacy_aes

if TYPE_CHECKING:
    from virtkit.disk.file import File


def require_secret(file: File, encryption: str, secret: bytes | None) -> bytes:
    """ImageError where the user gave none."""
    if secret is None:
        raise ImageError(f"{file.name}: is encrypted ({encryption}), and no key was given", hint="--key-file FILE")
    return secret
