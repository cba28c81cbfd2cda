"""Initialisation vectors of sectors: what makes equal sectors look different (dm-crypt's names).

Sources: Linux, Documentation/admin-guide/device-mapper/dm-crypt.rst; QEMU, crypto/ivgen-*.c.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, TypeAlias

from virtkit.disk.cipher.modes import Ecb

if TYPE_CHECKING:
    from collections.abc import Callable

Vectors: TypeAlias = "Callable[[int, int], bytes]"
"""The 16 bytes of each of so many sectors, from that one on."""

_SHORT = (1 << 32) - 1


def plain64(first: int, count: int) -> bytes:
    """The number of the sector, 64 bits."""
    return _padded(array("Q", range(first, first + count)))


def plain(first: int, count: int) -> bytes:
    """Its lower 32 bits: equal sectors 2 TiB apart look the same."""
    return _padded(array("Q", (sector & _SHORT for sector in range(first, first + count))))


def essiv(salt: bytes) -> Vectors:
    """The number of the sector, encrypted with a key that only who knows the disk's can know."""
    aes = Ecb(salt)
    return lambda first, count: aes.encrypt(b"", plain64(first, count))


def _padded(numbers: array[int]) -> bytes:
    """Little endian, each followed by eight zeros."""
    if sys.byteorder == "big":
        numbers.byteswap()
    padded = array("Q", bytes(16 * len(numbers)))
    padded[::2] = numbers
    return padded.tobytes()
