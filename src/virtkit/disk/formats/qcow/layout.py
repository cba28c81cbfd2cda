"""The header of a qcow image (version 1), and what an entry of its tables says.

There is no specification but QEMU's block/qcow.c; the limits are its. All numbers are big-endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError, UsageError
from virtkit.core.structs import Struct, array, layout, u8, u16, u32, u64
from virtkit.core.units import SECTOR, divide_up, format_size, round_down, round_up
from virtkit.disk.formats.qcow.signature import MAGIC, VERSION

if TYPE_CHECKING:
    from virtkit.disk.file import File

AES = 1  # of ``crypt_method``; 0: none
ENTRY = 8  # bytes of an entry of any table
COMPRESSED = 1 << 63  # an L2 entry; then come ``cluster_bits`` bits of length in bytes, then the offset
MIN_CLUSTER_BITS, MAX_CLUSTER_BITS = 9, 16
MIN_L2_BITS, MAX_L2_BITS = 6, 13
MAX_L1 = (1 << 31) // ENTRY - 1  # entries
MAX_BACKING_NAME = 1023  # bytes


@layout(">")
class Header(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32
    backing_offset: u64  # bytes; 0: no backing image
    backing_size: u32  # bytes of the name, which is not terminated
    mtime: u32  # seconds since the epoch; QEMU writes 0
    size: u64  # bytes that the guest sees
    cluster_bits: u8
    l2_bits: u8  # an L2 table has 1 << l2_bits entries
    padding: u16
    crypt_method: u32
    l1_offset: u64  # bytes


class Head(NamedTuple):
    header: Header
    backing: str | None

    @property
    def size(self) -> int:
        """Bytes; a last part of a sector is not seen, as in QEMU."""
        return round_down(self.header.size, SECTOR)

    @property
    def cluster(self) -> int:
        return 1 << self.header.cluster_bits

    @property
    def l2_entries(self) -> int:
        return 1 << self.header.l2_bits

    @property
    def span(self) -> int:
        """Bytes of the guest's disk that an L2 table describes."""
        return self.cluster << self.header.l2_bits

    @property
    def l1_entries(self) -> int:
        return divide_up(self.header.size, self.span)

    @property
    def l1_end(self) -> int:
        return self.header.l1_offset + ENTRY * self.l1_entries

    @property
    def front(self) -> int:
        """Bytes in front of the first cluster of an image that QEMU has made: it writes its L1 table in sectors."""
        return self.header.l1_offset + round_up(ENTRY * self.l1_entries, SECTOR)

    def compressed_place(self, entry: int) -> tuple[int, int]:
        """Offset and length in bytes of a compressed cluster."""
        shift = 63 - self.header.cluster_bits
        return entry & (1 << shift) - 1, entry >> shift & self.cluster - 1

    def compressed_entry(self, at: int, length: int) -> int:
        return COMPRESSED | length << 63 - self.header.cluster_bits | at


def new_header(size: int, backing: bytes | None, *, encrypted: bool) -> Header:
    """As QEMU has it: small clusters on a backing image, so that less of it is copied."""
    cluster_bits, l2_bits = (12, 9) if backing is None else (9, 12)
    header = Header(
        magic=MAGIC,
        version=VERSION,
        backing_offset=Header.SIZE if backing else 0,
        backing_size=len(backing or b""),
        mtime=0,
        size=size,
        cluster_bits=cluster_bits,
        l2_bits=l2_bits,
        padding=0,
        crypt_method=AES if encrypted else 0,
        l1_offset=round_up(Header.SIZE + len(backing or b""), ENTRY),
    )
    require_size("qcow", Head(header, None))
    return header


def require_size(name: str, head: Head) -> None:
    """NotSupportedError where the L1 table would be longer than QEMU reads."""
    if head.l1_entries > MAX_L1:
        most = format_size(MAX_L1 * head.span)
        raise NotSupportedError(f"{name}: disk size is {format_size(head.header.size)}, expected at most {most}")


def backing_name(name: str) -> bytes:
    """UsageError."""
    encoded = name.encode(errors="surrogateescape")
    if not 0 < len(encoded) <= MAX_BACKING_NAME:
        raise UsageError(f"qcow: name of the backing file has {len(encoded)} bytes, expected 1 to {MAX_BACKING_NAME}")
    return encoded


def read_head(file: File) -> Head:
    """CorruptImageError, NotSupportedError."""
    header = Header.parse(file.read(0, Header.SIZE), source=file.name)
    _require(header.magic == MAGIC, file, header, "magic", f"{MAGIC!r}")
    if header.version != VERSION:
        raise NotSupportedError(f"{file.name}: qcow version is {header.version}, expected {VERSION}", hint="-f qcow2")
    fits = MIN_CLUSTER_BITS <= header.cluster_bits <= MAX_CLUSTER_BITS
    _require(fits, file, header, "cluster_bits", f"{MIN_CLUSTER_BITS} to {MAX_CLUSTER_BITS}")
    fits = MIN_L2_BITS <= header.l2_bits <= MAX_L2_BITS
    _require(fits, file, header, "l2_bits", f"{MIN_L2_BITS} to {MAX_L2_BITS}")
    _require(header.crypt_method in {0, AES}, file, header, "crypt_method", f"0 or {AES}")
    head = Head(header, _backing(file, header))
    _require(head.l1_entries <= MAX_L1, file, header, "size", f"at most {MAX_L1 * head.span} bytes")
    _require(header.l1_offset >= Header.SIZE, file, header, "l1_offset", f"at least {Header.SIZE}")
    expected = f"a table of {head.l1_entries} entries within {file.size:#x} bytes"
    _require(head.l1_end <= file.size, file, header, "l1_offset", expected)
    return head


def _backing(file: File, header: Header) -> str | None:
    if not header.backing_offset or not header.backing_size:
        return None
    fits = header.backing_size <= MAX_BACKING_NAME
    _require(fits, file, header, "backing_size", f"at most {MAX_BACKING_NAME} bytes")
    fits = header.backing_offset < 1 << 62
    name = file.read(header.backing_offset, header.backing_size) if fits else b""
    whole = len(name) == header.backing_size
    _require(whole, file, header, "backing_offset", f"a name within the file's {file.size} bytes")
    return name.decode(errors="surrogateescape")


def _require(ok: bool, file: File, header: Header, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
    if not ok:
        found, offset = getattr(header, field), Header.offset_of(field)
        raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)
