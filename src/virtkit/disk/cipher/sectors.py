"""A cipher of sectors: a mode, and the vectors that it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from virtkit.core.units import SECTOR
from virtkit.disk.cipher import vectors
from virtkit.disk.cipher.modes import Cbc, Mode

if TYPE_CHECKING:
    from virtkit.disk.cipher.vectors import Vectors
    from virtkit.disk.format import Buffer

_LEGACY_KEY = 16  # bytes


class Cipher:
    """Encrypts and decrypts whole sectors. Any thread may call any method."""

    sector_size: ClassVar[int] = SECTOR  # bytes

    def __init__(self, mode: Mode, make_vectors: Vectors) -> None:
        self._mode, self._vectors = mode, make_vectors

    def encrypt(self, sector: int, data: Buffer) -> bytes:
        """``data``: whole sectors, the first of which has the number ``sector`` (which one is the format's affair)."""
        return self._mode.encrypt(self._vectors(sector, len(data) // SECTOR), bytes(data))

    def decrypt(self, sector: int, data: Buffer) -> bytes:
        """What ``encrypt`` made of it."""
        return self._mode.decrypt(self._vectors(sector, len(data) // SECTOR), bytes(data))


def legacy_aes(secret: bytes) -> Cipher:
    """QEMU's first encryption, of qcow and qcow2: the sectors are numbered as the guest's disk numbers them.

    The key is the passphrase itself. Whoever can choose two plain texts, or guess the passphrase, reads the disk.
    """
    return Cipher(Cbc(secret[:_LEGACY_KEY].ljust(_LEGACY_KEY, b"\0")), vectors.plain64)
