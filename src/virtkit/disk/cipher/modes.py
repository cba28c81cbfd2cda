"""AES over many sectors at once, each with an initialisation vector of its own: ECB, CBC and XTS.

A call into the AES library costs as much as kilobytes of AES, so one call serves many sectors. What differs from
sector to sector is worked out beside it: long integers, which Python shifts and XORs at the speed of memory, and
strides through arrays of words.
Sources: NIST SP 800-38A (ECB, CBC); IEEE 1619-2007 (XTS).
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from virtkit.core.units import KIB, MIB, SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB

BLOCK = 16  # bytes, of AES whatever its key
_WORDS = SECTOR // 8
_PART = 256 * KIB  # bytes; what is made of them stays in the processor's cache
_MUCH = 32 * MIB  # bytes; numpy takes 65 ms to import, and five times less for what comes after these
_POLYNOMIAL = 0x87  # x^128 is x^7 + x^2 + x + 1


class Mode(Protocol):
    """``data``: whole sectors; ``ivs``: BLOCK bytes for each of them. Any thread may call any method."""

    def encrypt(self, ivs: bytes, data: bytes) -> bytes: ...

    def decrypt(self, ivs: bytes, data: bytes) -> bytes: ...


class Ecb:
    """Every block for itself; the vectors are not used."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._aes: Cipher[ECB] = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305  the user's choice, or essiv's

    def encrypt(self, ivs: bytes, data: bytes) -> bytes:
        return self._aes.encryptor().update(data)

    def decrypt(self, ivs: bytes, data: bytes) -> bytes:
        return self._aes.decryptor().update(data)


class Cbc:
    """A block is XORed with the encrypted block before it, the first one of a sector with the vector.

    All sectors go through the library as one chain. So the first block of each has to lose the block that precedes it
    there, the last one of the sector before, and get its vector instead.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._chain: Cipher[CBC] = Cipher(algorithms.AES(key), modes.CBC(bytes(BLOCK)))

    def encrypt(self, ivs: bytes, data: bytes) -> bytes:
        update, before, coded = self._chain.encryptor().update, 0, []
        for iv, sector in zip(_cut(ivs, BLOCK), _cut(data, SECTOR), strict=True):
            first = _number(sector[:BLOCK]) ^ _number(iv) ^ before
            coded.append(update(first.to_bytes(BLOCK, "little") + sector[BLOCK:]))
            before = _number(coded[-1][-BLOCK:])
        return b"".join(coded)

    def decrypt(self, ivs: bytes, data: bytes) -> bytes:
        plain = array("Q", self._chain.decryptor().update(data))
        before = _number(_blocks(array("Q", data), _WORDS - 2)[:-BLOCK]) << 8 * BLOCK  # of all sectors but the first
        firsts = _number(_blocks(plain, 0)) ^ before ^ _number(ivs)
        _put_blocks(plain, 0, firsts.to_bytes(len(ivs), "little"))
        return plain.tobytes()


class Xts:
    """A block is XORed with its tweak before and after; a tweak is twice the one before it, as a polynomial.

    Block number ``n`` of every sector is one *plane*: the tweaks of a plane are one long integer, and so doubled for
    all sectors at once.
    """

    def __init__(self, key: bytes, much: int = _MUCH) -> None:
        """``much``: bytes after which numpy takes over."""
        half, self._much = len(key) // 2, much
        self._blocks, self._tweaks = Ecb(key[:half]), Ecb(key[half:])
        self._done = 0  # bytes

    def encrypt(self, ivs: bytes, data: bytes) -> bytes:
        return self._each(self._blocks.encrypt, ivs, data)

    def decrypt(self, ivs: bytes, data: bytes) -> bytes:
        return self._each(self._blocks.decrypt, ivs, data)

    def _each(self, work: Callable[[bytes, bytes], bytes], ivs: bytes, data: bytes) -> bytes:
        parts = zip(_cut(data, _PART), _cut(ivs, _PART // SECTOR * BLOCK), strict=True)
        self._done += len(data)
        if self._done > self._much:
            from virtkit.disk.cipher import wide

            return b"".join(wide.each(work, self._tweaks.encrypt(b"", firsts), part) for part, firsts in parts)
        done = []
        for part, part_ivs in parts:
            tweaks = self._tweaks_of(part_ivs)
            mixed = (_number(part) ^ tweaks).to_bytes(len(part), "little")
            done.append((_number(work(b"", mixed)) ^ tweaks).to_bytes(len(part), "little"))
        return b"".join(done)

    def _tweaks_of(self, ivs: bytes) -> int:
        """Of all blocks, in the order of the data."""
        tweaks = array("Q", bytes(len(ivs) // BLOCK * SECTOR))
        plane, lowest = _number(self._tweaks.encrypt(b"", ivs)), _lowest_bits(len(ivs) // BLOCK)
        for word in range(0, _WORDS, 2):
            _put_blocks(tweaks, word, plane.to_bytes(len(ivs), "little"))
            carries = plane >> 8 * BLOCK - 1 & lowest
            plane = (plane ^ carries << 8 * BLOCK - 1) << 1 ^ carries * _POLYNOMIAL
        return _number(tweaks.tobytes())


@lru_cache(maxsize=8)
def _lowest_bits(blocks: int) -> int:
    """Of each block of a plane."""
    return _number((b"\1" + bytes(BLOCK - 1)) * blocks)


def _cut(data: bytes, length: int) -> Iterable[bytes]:
    return (data[at : at + length] for at in range(0, len(data), length))


def _blocks(words: array[int], first: int) -> bytes:
    """The block of each sector that begins with this word of it."""
    blocks = array("Q", bytes(len(words) // _WORDS * BLOCK))
    blocks[::2], blocks[1::2] = words[first::_WORDS], words[first + 1 :: _WORDS]
    return blocks.tobytes()


def _put_blocks(words: array[int], first: int, blocks: bytes) -> None:
    halves = array("Q", blocks)
    words[first::_WORDS], words[first + 1 :: _WORDS] = halves[::2], halves[1::2]


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
