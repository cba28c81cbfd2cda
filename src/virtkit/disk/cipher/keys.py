"""How a LUKS key slot keeps the master key: stretched passphrase, anti-forensic splitter, digest.

Specification: LUKS On-Disk Format Specification 1.2.3, chapters 3 and 4; Clemens Fruhwirth, TKS1.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError, UsageError
from virtkit.core.units import SECTOR, round_up
from virtkit.disk.cipher.algorithms import HASHES
from virtkit.disk.cipher.header import ACTIVE, DIGEST, SALT, SLOTS, STRIPES, Header, Slot, Volume, slot_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.cipher.algorithms import Algorithms

MAX_STEPS = 200_000_000  # hashes that trying a passphrase may cost: about a minute
LEAST_ITERATIONS = 1000
_SAMPLE = 0.02  # seconds of processor time that say how fast this machine is


class Digest(NamedTuple):
    """By which a master key is recognised."""

    value: bytes
    salt: bytes
    iterations: int

    @classmethod
    def of(cls, header: Header) -> Digest:
        return cls(header.digest, header.digest_salt, header.digest_iterations)

    @classmethod
    def made(cls, algorithms: Algorithms, key: bytes, milliseconds: int) -> Digest:
        """An eighth of what a slot costs, as it is tried for each of the eight."""
        salt, iterations = os.urandom(SALT), iterations_for(algorithms, DIGEST, milliseconds / 8)
        return cls(algorithms.stretch(key, salt, iterations, DIGEST), salt, iterations)

    def knows(self, algorithms: Algorithms, key: bytes) -> bool:
        return algorithms.stretch(key, self.salt, self.iterations, DIGEST) == self.value


def find(volume: Volume, secret: bytes) -> tuple[int, bytes] | None:
    """The first slot that the passphrase opens, and the master key."""
    return next(opening(volume, range(SLOTS), secret), None)


def opening(volume: Volume, indices: Iterable[int], secret: bytes) -> Iterator[tuple[int, bytes]]:
    """Which of these slots the passphrase opens, and the master key."""
    budget = MAX_STEPS
    for index in indices:
        if volume.slots[index].active:
            budget = _spend(volume, index, budget)
            if (key := _opened(volume, volume.slots[index], secret)) is not None:
                yield index, key


def _opened(volume: Volume, slot: Slot, secret: bytes) -> bytes | None:
    """The master key; None where it is another passphrase's slot."""
    algorithms, size = volume.algorithms, volume.header.key_bytes
    cipher = algorithms.cipher_of(algorithms.stretch(secret, slot.salt, slot.iterations, size))
    padded = round_up(volume.material_size, SECTOR)
    stored = volume.file.read(volume.offset + slot.material_offset * SECTOR, padded)
    material = cipher.decrypt(0, stored.ljust(padded, b"\0"))
    key = merge(algorithms, material[: volume.material_size])
    return key if Digest.of(volume.header).knows(algorithms, key) else None


def _spend(volume: Volume, index: int, budget: int) -> int:
    """CorruptImageError where the numbers in the header ask for more work than a user should wait for."""
    slot, digest = volume.slots[index], volume.header.digest_iterations
    budget -= slot.iterations * volume.algorithms.steps(volume.header.key_bytes)
    budget -= digest * volume.algorithms.steps(DIGEST)
    if budget < 0:
        raise CorruptImageError(
            volume.file.name,
            f"iterations of key slot {index}",
            found=f"{slot.iterations}, of the key's digest {digest}",
            expected=f"at most {MAX_STEPS} steps in all",
            offset=volume.offset + slot_at(index) + Slot.offset_of("iterations"),
        )
    return budget


def sealed(algorithms: Algorithms, slot: Slot, secret: bytes, key: bytes, milliseconds: int) -> tuple[Slot, bytes]:
    """The slot that opens to ``secret``, and its key material."""
    salt, iterations = os.urandom(SALT), iterations_for(algorithms, algorithms.key_size, milliseconds)
    cipher = algorithms.cipher_of(algorithms.stretch(secret, salt, iterations, algorithms.key_size))
    material = split(algorithms, key)
    padded = material.ljust(round_up(len(material), SECTOR), b"\0")
    coded = cipher.encrypt(0, padded)[: len(material)]
    return Slot(ACTIVE, iterations, salt, slot.material_offset, slot.stripes), coded


def iterations_for(algorithms: Algorithms, size: int, milliseconds: float) -> int:
    """As many as this machine does in that time, and not more than ``find`` would try."""
    if milliseconds <= 0:
        raise UsageError(f"LUKS: iter-time is {milliseconds:g} ms, expected at least 1")
    count = LEAST_ITERATIONS
    while (taken := _seconds(algorithms, count, size)) < _SAMPLE:
        count *= 2
    most = MAX_STEPS // 4 // algorithms.steps(size)
    return min(max(int(count / taken * milliseconds / 1000), LEAST_ITERATIONS), most)


def _seconds(algorithms: Algorithms, iterations: int, size: int) -> float:
    started = time.thread_time()
    algorithms.stretch(b"passphrase", bytes(SALT), iterations, size)
    return time.thread_time() - started


def split(algorithms: Algorithms, key: bytes) -> bytes:
    """The key spread over STRIPES times its size, all of which are needed to get it back."""
    noise = os.urandom(len(key) * (STRIPES - 1))
    return noise + _xor(key, _folded(algorithms, noise, len(key)))


def merge(algorithms: Algorithms, material: bytes) -> bytes:
    size = len(material) // STRIPES
    return _xor(material[-size:], _folded(algorithms, material[:-size], size))


def _folded(algorithms: Algorithms, stripes: bytes, size: int) -> bytes:
    block = bytes(size)
    for at in range(0, len(stripes), size):
        block = _diffused(algorithms, _xor(block, stripes[at : at + size]))
    return block


def _diffused(algorithms: Algorithms, block: bytes) -> bytes:
    """Each stretch as long as a digest is replaced by its digest, with its number in front."""
    step = HASHES[algorithms.hash]
    pieces = (block[at : at + step] for at in range(0, len(block), step))
    return b"".join(algorithms.digest(n.to_bytes(4, "big") + piece)[: len(piece)] for n, piece in enumerate(pieces))


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
