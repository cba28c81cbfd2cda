"""Encryption of a new image: the key material in front, and how its clusters are sealed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.formats.qcow2.layout import EncryptionHeader, Extension

if TYPE_CHECKING:
    from virtkit.disk.cipher import Cipher
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Seal
    from virtkit.disk.formats.qcow2.counts import Counts
    from virtkit.disk.formats.qcow2.options import Options


class Sealing:
    """``extensions``: those of the header that say where the key material is."""

    def __init__(self, options: Options, secret: bytes, file: File, counts: Counts) -> None:
        from virtkit.disk import cipher

        self.extensions: dict[int, bytes] = {}
        self._by_guest = options.encryption == "aes"  # LUKS counts the sectors of the file instead
        self._cipher: Cipher
        if self._by_guest:
            self._cipher = cipher.legacy_aes(secret)
            return
        header, self._cipher = cipher.create_luks(secret, **options.luks._asdict())
        at = counts.take(divide_up(len(header), options.cluster_size))
        file.write(at, header.ljust(round_up(len(header), options.cluster_size), b"\0"))
        self.extensions[Extension.ENCRYPTION] = EncryptionHeader(at, len(header)).pack()

    def seal(self, start: int, at: int) -> Seal:
        """For the guest's bytes from ``start`` on, which go to the file's from ``at`` on."""
        return partial(self._encrypt, start - at if self._by_guest else 0)

    def _encrypt(self, shift: int, at: int, data: Buffer) -> Buffer:
        return self._cipher.encrypt((at + shift) // SECTOR, data)
