"""The header of a LUKS volume, version 1.

Specification: LUKS On-Disk Format Specification 1.2.3 (cryptsetup, docs/on-disk-format.pdf), chapter 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u16, u32
from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.cipher.algorithms import Algorithms

if TYPE_CHECKING:
    from virtkit.disk.file import File

MAGIC = b"LUKS\xba\xbe"
SLOTS = 8
STRIPES = 4000  # of the key material; the specification has no other number
ACTIVE, INACTIVE = 0x00AC_71F3, 0x0000_DEAD
SALT, DIGEST = 32, 20  # bytes
MATERIAL_AT = 4096  # bytes; where the first slot's key material is, and what it is aligned to


@layout(">")
class Header(Struct):
    magic: Annotated[bytes, array(6)]
    version: u16
    cipher_name: Annotated[bytes, array(32)]  # texts end with a zero
    cipher_mode: Annotated[bytes, array(32)]
    hash_spec: Annotated[bytes, array(32)]
    payload_offset: u32  # sectors
    key_bytes: u32  # of the master key
    digest: Annotated[bytes, array(DIGEST)]  # of the master key
    digest_salt: Annotated[bytes, array(SALT)]
    digest_iterations: u32
    uuid: Annotated[bytes, array(40)]
    slots: Annotated[bytes, array(48 * SLOTS)]


@layout(">")
class Slot(Struct):
    state: u32  # ACTIVE or INACTIVE
    iterations: u32
    salt: Annotated[bytes, array(SALT)]
    material_offset: u32  # sectors from the header on
    stripes: u32

    @property
    def active(self) -> bool:
        return self.state == ACTIVE


class Volume(NamedTuple):
    """A header that was checked, and where it is."""

    file: File
    offset: int  # bytes; offsets in the header count from here
    header: Header
    slots: tuple[Slot, ...]
    algorithms: Algorithms

    @property
    def material_size(self) -> int:
        """Bytes of a slot's key material."""
        return self.header.key_bytes * STRIPES


def slot_at(index: int) -> int:
    """Bytes from the header's start."""
    return Header.offset_of("slots") + Slot.SIZE * index


def read(file: File, offset: int, length: int) -> Volume:
    """The header at byte ``offset``; it and all key material lie within ``length`` bytes from there.

    CorruptImageError, NotSupportedError. What is checked is what QEMU checks, and that the sizes are small.
    """
    header = Header.parse(file.read(offset, Header.SIZE), source=file.name)
    fields = _Fields(file.name, offset, header)
    fields.require("magic", header.magic == MAGIC, f"{MAGIC!r}")
    if header.version != 1:
        raise NotSupportedError(f"{file.name}: LUKS version is {header.version}, expected 1")
    names = [fields.text(field) for field in ("cipher_name", "cipher_mode", "hash_spec")]
    algorithms = Algorithms.written(*names, key_size=header.key_bytes)
    algorithms.require(file.name)
    fields.require("digest_iterations", header.digest_iterations > 0, "at least 1")
    slots = tuple(Slot.parse(header.slots, at) for at in range(0, len(header.slots), Slot.SIZE))
    volume = Volume(file, offset, header, slots, algorithms)
    fields.check_slots(volume, length)
    return volume


class _Fields(NamedTuple):
    """A header and where it is, for what its errors say."""

    name: str
    offset: int
    header: Header

    def check_slots(self, volume: Volume, length: int) -> None:
        """Key material is behind the header, each slot's apart from the others', in front of the data."""
        end = divide_up(Header.SIZE, SECTOR)
        sectors = divide_up(volume.material_size, SECTOR)
        for index in sorted(range(SLOTS), key=lambda index: volume.slots[index].material_offset):
            slot = volume.slots[index]
            self._require_slot(index, slot, "state", slot.state in {ACTIVE, INACTIVE}, f"{ACTIVE} or {INACTIVE}")
            self._require_slot(index, slot, "stripes", slot.stripes == STRIPES, f"{STRIPES}")
            self._require_slot(index, slot, "iterations", not slot.active or slot.iterations > 0, "at least 1")
            free = slot.material_offset >= end
            self._require_slot(index, slot, "material_offset", free, f"at least {end}, behind what is in front")
            end = slot.material_offset + sectors
            fits = end * SECTOR <= round_up(length, SECTOR)
            self._require_slot(index, slot, "material_offset", fits, f"all of it within {length} bytes")
        self.require("payload_offset", self.header.payload_offset >= end, f"at least {end}, behind all keys")

    def text(self, field: str) -> str:
        value: bytes = getattr(self.header, field)
        text, end, _ = value.partition(b"\0")
        self.require(field, bool(end) and text.isascii(), "a text that ends with a zero")
        return text.decode("ascii")

    def require(self, field: str, ok: bool, expected: str) -> None:  # noqa: FBT001  reads as a sentence
        if not ok:
            at, name = self.offset + Header.offset_of(field), f"LUKS {field.replace('_', ' ')}"
            raise CorruptImageError(self.name, name, found=getattr(self.header, field), expected=expected, offset=at)

    def _require_slot(self, index: int, slot: Slot, field: str, ok: bool, expected: str) -> None:  # noqa: FBT001  as above
        if not ok:
            name = f"LUKS {field.replace('_', ' ')} of key slot {index}"
            at = self.offset + slot_at(index) + Slot.offset_of(field)
            raise CorruptImageError(self.name, name, found=getattr(slot, field), expected=expected, offset=at)


def blank(algorithms: Algorithms) -> tuple[Header, tuple[Slot, ...]]:
    """A header without a key, laid out as QEMU and cryptsetup do."""
    import uuid

    size = round_up(algorithms.key_size * STRIPES, MATERIAL_AT) // SECTOR
    first = MATERIAL_AT // SECTOR
    slots = tuple(Slot(INACTIVE, 0, bytes(SALT), first + size * index, STRIPES) for index in range(SLOTS))
    header = Header(
        magic=MAGIC,
        version=1,
        cipher_name=algorithms.cipher.encode(),
        cipher_mode=algorithms.cipher_mode.encode(),
        hash_spec=algorithms.hash.encode(),
        payload_offset=first + size * SLOTS,
        key_bytes=algorithms.key_size,
        digest=bytes(DIGEST),
        digest_salt=bytes(SALT),
        digest_iterations=0,
        uuid=str(uuid.uuid4()).encode(),
        slots=b"".join(slot.pack() for slot in slots),
    )
    return header, slots
