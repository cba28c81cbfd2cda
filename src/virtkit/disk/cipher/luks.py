"""LUKS version 1: open a volume, make one, give keys to it and take them away.

A header lies at the start of a plain LUKS image; in qcow2 it has clusters of its own. The master key, which encrypts
the data, is kept in up to eight slots, each of which another passphrase opens.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError, WrongKeyError
from virtkit.core.units import SECTOR
from virtkit.disk.cipher import header, keys
from virtkit.disk.cipher.algorithms import HASHES, Algorithms
from virtkit.disk.cipher.header import INACTIVE, SALT, SLOTS, Slot, Volume

if TYPE_CHECKING:
    from virtkit.disk.cipher.sectors import Cipher
    from virtkit.disk.file import File

ITER_TIME = 2000  # milliseconds that trying a passphrase takes on the machine that made the slot
_DEFAULT_ESSIV_HASH = "sha256"
_NOTHING_OPENED = "it opens none of the key slots"


def open_luks(file: File, offset: int, length: int, secret: bytes) -> Cipher:
    """The header and its key material are the ``length`` bytes at ``offset``.

    WrongKeyError, CorruptImageError, NotSupportedError.
    """
    volume = header.read(file, offset, length)
    return volume.algorithms.cipher_of(_unlocked(volume, secret)[1])


def create_luks(
    secret: bytes,
    *,
    cipher_alg: str = "aes-256",
    cipher_mode: str = "xts",
    ivgen_alg: str = "plain64",
    ivgen_hash_alg: str | None = None,
    hash_alg: str = "sha256",
    iter_time: int = ITER_TIME,
) -> tuple[bytes, Cipher]:
    """All bytes in front of the data, with a new master key in slot 0. The names are QEMU's; iter_time in ms.

    UsageError, NotSupportedError.
    """
    from dataclasses import replace

    algorithms = _chosen(cipher_alg, cipher_mode, ivgen_alg, ivgen_hash_alg, hash_alg)
    key = os.urandom(algorithms.key_size)
    empty, slots = header.blank(algorithms)
    digest = keys.Digest.made(algorithms, key, iter_time)
    first, material = keys.sealed(algorithms, slots[0], secret, key, iter_time)
    filled = replace(
        empty,
        digest=digest.value,
        digest_salt=digest.salt,
        digest_iterations=digest.iterations,
        slots=b"".join(slot.pack() for slot in (first, *slots[1:])),
    )
    made = bytearray(empty.payload_offset * SECTOR)
    made[: filled.SIZE] = filled.pack()
    at = first.material_offset * SECTOR
    made[at : at + len(material)] = material
    return bytes(made), algorithms.cipher_of(key)


def header_size(cipher_alg: str = "aes-256", cipher_mode: str = "xts") -> int:
    """Bytes that ``create_luks`` makes; UsageError, NotSupportedError."""
    empty, _ = header.blank(_chosen(cipher_alg, cipher_mode, "plain64", None, "sha256"))
    return empty.payload_offset * SECTOR


def payload_offset(file: File, offset: int) -> int:
    """Bytes from the header to the data, where these follow it."""
    return header.read(file, offset, file.size - offset).header.payload_offset * SECTOR


def add_key(
    file: File,
    offset: int,
    old_secret: bytes,
    new_secret: bytes,
    *,
    slot: int | None = None,
    iter_time: int = ITER_TIME,
) -> int:
    """Let another passphrase open the volume; returns the slot that was taken, the first free one if none is said.

    WrongKeyError; UsageError where the slot is in use. The slot is active when its key material is on stable storage.
    """
    volume = header.read(file, offset, file.size - offset)
    index = _free_slot(volume) if slot is None else _slot(volume, slot)
    if volume.slots[index].active:
        hint = f"virtkit disk amend -o encrypt.state=inactive,encrypt.keyslot={index} {file.name}"
        raise UsageError(f"{file.name}: key slot {index} is in use", hint=hint)
    _, key = _unlocked(volume, old_secret)
    filled, material = keys.sealed(volume.algorithms, volume.slots[index], new_secret, key, iter_time)
    file.write(offset + filled.material_offset * SECTOR, material)
    file.sync_data()
    _store(volume, index, filled)
    return index


def remove_key(
    file: File, offset: int, secret: bytes | None = None, slot: int | None = None, *, force: bool = False
) -> None:
    """Empty the slots that ``secret`` opens, or ``slot`` (which has to be that of ``secret``, if it is given too).

    UsageError where no key would be left: the data would be lost for ever; ``force`` does it. WrongKeyError.
    """
    volume = header.read(file, offset, file.size - offset)
    doomed = _doomed(volume, secret, slot)
    left = [index for index, kept in enumerate(volume.slots) if kept.active and index not in doomed]
    if not left and not force:
        raise UsageError(f"{file.name}: no key would be left to open it with, and all data would be lost")
    for index in doomed:
        _erase(volume, index)


def facts(file: File, offset: int) -> dict[str, object]:
    """What ``qemu-img info`` shows of an encrypted image, by its keys. Needs no passphrase."""
    volume = header.read(file, offset, file.size - offset)
    algorithms = volume.algorithms
    shown: dict[str, object] = {
        "ivgen-alg": algorithms.generator,
        "hash-alg": algorithms.hash,
        "cipher-alg": algorithms.cipher_alg,
        "uuid": volume.header.uuid.partition(b"\0")[0].decode(errors="replace"),
        "cipher-mode": algorithms.mode,
        "slots": [_slot_facts(slot) for slot in volume.slots],
        "payload-offset": volume.header.payload_offset * SECTOR,
        "master-key-iters": volume.header.digest_iterations,
    }
    if algorithms.generator == "essiv":
        shown["ivgen-hash-alg"] = algorithms.generator_hash
    return shown


def _slot_facts(slot: Slot) -> dict[str, object]:
    place: dict[str, object] = {"active": slot.active, "key-offset": slot.material_offset * SECTOR}
    return {**place, "iters": slot.iterations, "stripes": slot.stripes} if slot.active else place


def _chosen(cipher_alg: str, mode: str, generator: str, generator_hash: str | None, hash_name: str) -> Algorithms:
    name, _, bits = cipher_alg.rpartition("-")
    if not name or not bits.isdecimal():
        raise UsageError(f"LUKS: cipher-alg is {cipher_alg}, expected aes-128, aes-192 or aes-256")
    if generator == "essiv":
        generator_hash = generator_hash or _DEFAULT_ESSIV_HASH
    size = int(bits) // 8 * (2 if mode == "xts" else 1)
    chosen = Algorithms(name, size, mode, generator, generator_hash, hash_name)
    chosen.require("LUKS")
    if generator_hash and generator_hash not in HASHES:
        raise UsageError(f"LUKS: ivgen-hash-alg is {generator_hash}, expected one of {', '.join(HASHES)}")
    return chosen


def _unlocked(volume: Volume, secret: bytes) -> tuple[int, bytes]:
    found = keys.find(volume, secret)
    if found is None:
        raise _wrong(volume, _NOTHING_OPENED)
    return found


def _wrong(volume: Volume, why: str) -> WrongKeyError:
    return WrongKeyError(f"{volume.file.name}: the passphrase is wrong: {why}", hint="--key-file FILE")


def _slot(volume: Volume, index: int) -> int:
    if not 0 <= index < SLOTS:
        raise UsageError(f"{volume.file.name}: key slot is {index}, expected 0 to {SLOTS - 1}")
    return index


def _free_slot(volume: Volume) -> int:
    for index, slot in enumerate(volume.slots):
        if not slot.active:
            return index
    raise UsageError(f"{volume.file.name}: all {SLOTS} key slots are in use")


def _doomed(volume: Volume, secret: bytes | None, index: int | None) -> list[int]:
    if index is None and secret is None:
        raise UsageError(f"{volume.file.name}: which key shall go is not said, expected its slot or its passphrase")
    asked = range(SLOTS) if index is None else [_slot(volume, index)]
    doomed = [index for index in asked if volume.slots[index].active]
    if not doomed:
        raise UsageError(f"{volume.file.name}: key slot {index} is empty already")
    if secret is not None:
        doomed = [index for index, _ in keys.opening(volume, doomed, secret)]
    if not doomed:
        raise _wrong(
            volume, "it opens none of the key slots" if index is None else f"it does not open key slot {index}"
        )
    return doomed


def _erase(volume: Volume, index: int) -> None:
    """The slot first: without its key material it would only waste the time of who tries a passphrase on it."""
    slot = volume.slots[index]
    _store(volume, index, Slot(INACTIVE, 0, bytes(SALT), slot.material_offset, slot.stripes))
    volume.file.write(volume.offset + slot.material_offset * SECTOR, os.urandom(volume.material_size))
    volume.file.sync_data()


def _store(volume: Volume, index: int, slot: Slot) -> None:
    volume.file.write(volume.offset + header.slot_at(index), slot.pack())
    volume.file.sync_data()
