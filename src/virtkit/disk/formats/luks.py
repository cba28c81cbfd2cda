"""luks: a raw disk that is encrypted, behind a LUKS header, version 1. cryptsetup and QEMU read it.

Specification: LUKS On-Disk Format Specification 1.2.3. Sectors are numbered from the start of the data.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError, UsageError
from virtkit.core.progress import Note
from virtkit.core.units import KIB, MIB, SECTOR, round_down, round_up
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Blank, Extent, Facts, Image, Kind, Measured, Option, Place, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from virtkit.core.progress import Sink
    from virtkit.disk.cipher import Cipher
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer

MAGIC = b"LUKS\xba\xbe"
_STEP = MIB  # bytes that are decrypted, or encrypted zeros, at once

OPTIONS = (
    Option("cipher-alg", "aes-128, aes-192 or aes-256", "aes-256"),
    Option("cipher-mode", "xts, cbc or ecb", "xts"),
    Option("ivgen-alg", "initialisation vectors: plain, plain64 or essiv", "plain64"),
    Option("ivgen-hash-alg", "of essiv: a hash as long as a key", "sha256"),
    Option("hash-alg", "of the key derivation: sha1, sha224, sha256, sha384, sha512 or ripemd160", "sha256"),
    Option("iter-time", "milliseconds that trying a passphrase takes", "2000"),
)


class LuksImage:
    """Everything but its bytes is known without the passphrase."""

    backing: Reference | None = None

    def __init__(self, file: File, access: Access) -> None:
        from virtkit.disk import cipher

        self.file = file
        self.files = (file,)
        self.secret = access.secret
        self.payload = cipher.payload_offset(file, 0)
        self.size = round_down(file.size - self.payload, SECTOR)
        if self.size < 0:
            found, expected = f"at {self.payload:#x}", f"within the file's {file.size} bytes"
            raise CorruptImageError(file.name, "LUKS payload", found=found, expected=expected, offset=0)

    @property
    def facts(self) -> Facts:
        from virtkit.disk import cipher

        return Facts(encrypted=True, specific=cipher.facts(self.file, 0))

    @cached_property
    def cipher(self) -> Cipher:
        from virtkit.disk import cipher

        secret = cipher.require_secret(self.file, "LUKS", self.secret)
        return cipher.open_luks(self.file, 0, self.payload, secret)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end = start + length
        while start < end:
            stop = min(round_down(start, _STEP) + _STEP, end)
            first = round_down(start, SECTOR)
            at, stored = self.payload + first, round_up(stop, SECTOR) - first
            yield Extent(start, stop - start, Kind.CODED, self.file, at, stored, start - first, self.decrypt)
            start = stop

    def decrypt(self, extent: Extent, stored: Buffer) -> Buffer:
        if len(stored) < extent.stored:  # the file has become shorter
            found, expected = f"{len(stored)} bytes long", f"{extent.stored} bytes"
            raise CorruptImageError(self.file.name, "data", found=found, expected=expected, offset=extent.at)
        return self.cipher.decrypt((extent.at - self.payload) // SECTOR, stored)

    def close(self) -> None:
        self.file.close()


class LiveLuks(LuksImage):
    """Every sector has its place, and nothing but encrypted zeros reads as zeros."""

    unit = SECTOR

    def write(self, start: int, data: Buffer) -> None:
        self.file.write(self.payload + start, self.cipher.encrypt(start // SECTOR, data))

    def zero(self, start: int, length: int) -> None:
        for at in range(start, start + length, _STEP):
            self.write(at, bytes(min(_STEP, start + length - at)))

    def discard(self, start: int, length: int) -> None:
        """It stays as it is: what is not stored would read as noise, and tell where nothing is."""

    def forget(self, start: int, length: int) -> None:
        self.zero(start, length)

    def resize(self, size: int) -> None:
        if self.file.is_device:
            raise NotSupportedError(f"{self.file.name}: is a block device, whose size virtkit does not change")
        before, self.size = self.size, size
        if size > before:
            self.zero(before, size - before)
        self.file.resize(self.payload + size)

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        if backing:
            raise NotSupportedError(f"{self.file.name}: a LUKS image has no backing file")

    def flush(self) -> None:
        self.file.sync()


class LuksWriter:
    """The header goes in last. What was never placed is filled with encrypted zeros."""

    unit = 4 * KIB

    def __init__(self, file: File, blank: Blank) -> None:
        from threading import Lock

        from virtkit.disk import cipher

        if blank.backing:
            raise UsageError("luks: a LUKS image has no backing file", hint="-O qcow2 -o encrypt.format=luks")
        if blank.secret is None:
            raise UsageError("luks: the passphrase of the new image is missing", hint="--new-key-file FILE")
        self._file, self._size = file, blank.size
        self._head, self._cipher = cipher.create_luks(blank.secret, **_chosen(blank.options)._asdict())
        self._placed: list[tuple[int, int]] = []  # [from, to) of the guest's disk
        self._lock = Lock()
        _require_room(file, len(self._head) + blank.size)

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            self._placed.append((start, start + length))
        return [Place(self._file, len(self._head) + start, length, self._seal)]

    def blank(self, start: int, length: int) -> None:
        """A LUKS image is on nothing: what is not placed reads as zeros."""

    def store(self, start: int, coded: Buffer) -> None:
        raise NotSupportedError("luks: cannot be compressed", hint="-O qcow2")

    def finish(self) -> None:
        end = 0
        for start, stop in [*sorted(self._placed), (self._size, self._size)]:
            for at in range(end, start, _STEP):
                zeros, where = bytes(min(_STEP, start - at)), len(self._head) + at
                self._file.write(where, self._seal(where, zeros))
            end = max(end, stop)
        if not self._file.is_device:
            self._file.resize(len(self._head) + self._size)
        self._file.write(0, self._head)

    def _seal(self, at: int, data: Buffer) -> Buffer:
        return self._cipher.encrypt((at - len(self._head)) // SECTOR, data)


class _Chosen(NamedTuple):
    """What ``cipher.create_luks`` is told."""

    cipher_alg: str
    cipher_mode: str
    ivgen_alg: str
    ivgen_hash_alg: str | None
    hash_alg: str
    iter_time: int


def _chosen(given: Mapping[str, str]) -> _Chosen:
    options = {option.name: option.default for option in OPTIONS} | dict(given)
    if not options["iter-time"].isdecimal():
        raise UsageError(f"luks: iter-time is {options['iter-time']}, expected milliseconds")
    return _Chosen(
        options["cipher-alg"],
        options["cipher-mode"],
        options["ivgen-alg"],
        given.get("ivgen-hash-alg"),
        options["hash-alg"],
        int(options["iter-time"]),
    )


def _require_room(file: File, size: int) -> None:
    if file.is_device and file.size < size:
        raise UsageError(f"{file.name}: size is {file.size} bytes, expected at least {size}")


class Luks:
    title = "LUKS encrypted raw disk"
    suffixes = (".luks",)
    options = OPTIONS

    amendable = (
        Option("state", "active adds --new-key-file, inactive empties --old-key-file's slots or keyslot"),
        Option("keyslot", "the slot that is filled or emptied, 0 to 7"),
        Option("iter-time", "milliseconds that trying the new passphrase takes", "2000"),
    )

    def probe(self, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def open(self, file: File, access: Access = READ_ONLY) -> LuksImage:
        return LiveLuks(file, access) if access.writable else LuksImage(file, access)

    def writer(self, file: File, blank: Blank) -> LuksWriter:
        return LuksWriter(file, blank)

    def unit(self, options: Mapping[str, str]) -> int:
        return LuksWriter.unit

    def measure(self, blank: Blank) -> Measured:
        """Zeros are encrypted too: the file is as long as the disk, and takes as much."""
        from virtkit.disk import cipher

        chosen = _chosen(blank.options)
        size = round_up(blank.size, SECTOR) + cipher.header_size(chosen.cipher_alg, chosen.cipher_mode)
        return Measured(size, size)

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        return None

    def amend(self, image: Image, options: Mapping[str, str], report: Sink) -> None:
        if not isinstance(image, LiveLuks):
            raise TypeError(f"{image.file.name} was not opened as LUKS, for writing")
        report(Note(f"amend {image.file.name}", _amended(image, options)))


def _amended(image: LiveLuks, options: Mapping[str, str]) -> str:
    """What was done."""
    from virtkit.disk import cipher

    name, slot, state = image.file.name, _number(options, "keyslot"), options.get("state")
    old, new = (_passphrase(options, key) for key in ("encrypt.old-secret", "encrypt.new-secret"))
    if state == "active":
        if new is None:
            raise UsageError(f"{name}: the new passphrase is not given", hint="--new-key-file FILE")
        known = cipher.require_secret(image.file, "LUKS", old or image.secret)
        time = _number(options, "iter-time") or int(OPTIONS[-1].default)
        return f"key slot {cipher.add_key(image.file, 0, known, new, slot=slot, iter_time=time)}: filled"
    if state == "inactive":
        cipher.remove_key(image.file, 0, old, slot)
        return "key slots of that passphrase: emptied" if slot is None else f"key slot {slot}: emptied"
    raise UsageError(f"{name}: state is {state}, expected active or inactive", hint="-o state=active")


def _number(options: Mapping[str, str], name: str) -> int | None:
    if name in options and not options[name].isdecimal():
        raise UsageError(f"luks: {name} is {options[name]}, expected a number")
    return int(options[name]) if name in options else None


def _passphrase(options: Mapping[str, str], name: str) -> bytes | None:
    return options[name].encode(errors="surrogateescape") if name in options else None


FORMAT = Luks()
