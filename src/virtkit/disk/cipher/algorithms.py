"""What a LUKS volume is encrypted with: names, as the header and QEMU's options have them, and what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.disk.cipher import vectors
from virtkit.disk.cipher.modes import Cbc, Ecb, Mode, Xts
from virtkit.disk.cipher.sectors import Cipher

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.cipher.vectors import Vectors

HASHES = {  # name: bytes of a digest
    "md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64, "ripemd160": 20,
}  # fmt: skip
MODES: dict[str, Callable[[bytes], Mode]] = {"xts": Xts, "cbc": Cbc, "ecb": Ecb}
GENERATORS = ("plain", "plain64", "essiv")
WITHOUT_LIBRARY = ("serpent", "twofish", "cast5", "camellia")
AES_KEYS = (16, 24, 32)  # bytes


class Algorithms(NamedTuple):
    """``cipher`` and the rest by the names that the header writes."""

    cipher: str  # without the length of its key
    key_size: int  # bytes of the master key: XTS has two keys in it
    mode: str
    generator: str  # of initialisation vectors
    generator_hash: str | None
    hash: str  # of the key derivation and of the anti-forensic splitter

    @classmethod
    def written(cls, name: str, mode: str, hash_name: str, *, key_size: int) -> Algorithms:
        """As a header has them: ``aes``, ``cbc-essiv:sha256``, ``sha1``."""
        mode, _, generator = mode.partition("-")
        generator, _, generator_hash = generator.partition(":")
        return cls(name, key_size, mode, generator or "plain", generator_hash or None, hash_name)

    @property
    def cipher_alg(self) -> str:
        """QEMU's name: with the bits of the key."""
        return f"{self.cipher}-{8 * self.cipher_key_size}"

    @property
    def cipher_key_size(self) -> int:
        return self.key_size // 2 if self.mode == "xts" else self.key_size

    @property
    def cipher_mode(self) -> str:
        """The header's text."""
        hash_name = f":{self.generator_hash}" if self.generator_hash else ""
        return f"{self.mode}-{self.generator}{hash_name}"

    def require(self, volume: str) -> None:
        """NotSupportedError where virtkit, or this host's hash library, does not have one of them."""
        if self.cipher in WITHOUT_LIBRARY:
            reason = "which no maintained Python library offers"
            raise NotSupportedError(f"{volume}: cipher is {self.cipher}, {reason}", hint="decrypt it with qemu-img")
        sizes = [2 * size for size in AES_KEYS] if self.mode == "xts" else list(AES_KEYS)
        _require(volume, "cipher", self.cipher, ("aes",))
        _require(volume, "cipher mode", self.mode, tuple(MODES))
        _require(volume, "length of the master key", self.key_size, tuple(sizes))
        _require(volume, "IV generator", self.generator, GENERATORS)
        _require(volume, "hash", self.hash, tuple(HASHES))
        _require_offered(volume, self.hash)
        if self.generator == "essiv":
            fitting = tuple(name for name, size in HASHES.items() if size in AES_KEYS)
            _require(volume, "hash of the IV generator", self.generator_hash, fitting)

    def cipher_of(self, key: bytes) -> Cipher:
        return Cipher(MODES[self.mode](key), self._vectors(key))

    def digest(self, data: bytes) -> bytes:
        return _digest(self.hash, data)

    def stretch(self, secret: bytes, salt: bytes, iterations: int, size: int) -> bytes:
        """PBKDF2: ``size`` bytes that cost ``iterations`` times ``steps(size)`` hashes to come by."""
        import hashlib

        return hashlib.pbkdf2_hmac(self.hash, secret, salt, iterations, size)

    def steps(self, size: int) -> int:
        return -(-size // HASHES[self.hash])

    def _vectors(self, key: bytes) -> Vectors:
        if self.generator == "essiv" and self.generator_hash:
            return vectors.essiv(_digest(self.generator_hash, key))
        return vectors.plain if self.generator == "plain" else vectors.plain64


def _digest(name: str, data: bytes) -> bytes:
    import hashlib

    return hashlib.new(name, data, usedforsecurity=False).digest()


def _require(volume: str, what: str, found: object, known: tuple[object, ...]) -> None:
    if found not in known:
        expected = ", ".join(map(str, known[:-1])) + f" or {known[-1]}" if len(known) > 1 else known[0]
        raise NotSupportedError(f"{volume}: {what} is {found}, expected {expected}")


def _require_offered(volume: str, name: str) -> None:
    import hashlib

    if name not in hashlib.algorithms_available:
        raise NotSupportedError(f"{volume}: hash is {name}, which this host's OpenSSL does not offer")
