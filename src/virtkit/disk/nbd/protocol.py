"""The numbers and records of the NBD protocol: doc/proto.md of NetworkBlockDevice/nbd, whose words these are.

All integers are big-endian; offsets and lengths are bytes.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated

from virtkit.core.structs import Struct, array, layout, u16, u32, u64
from virtkit.core.units import MIB

PORT = 10809
LARGEST_PAYLOAD = 32 * MIB  # what every client may ask for where no limit is told
LONGEST_STRING = 4096

GREETING_MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698
STRUCTURED_REPLY_MAGIC = 0x668E33EF


class HandshakeFlag(IntFlag):
    FIXED_NEWSTYLE = 1 << 0
    NO_ZEROES = 1 << 1


class TransmissionFlag(IntFlag):
    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_FLUSH = 1 << 2
    SEND_FUA = 1 << 3
    SEND_TRIM = 1 << 5
    SEND_WRITE_ZEROES = 1 << 6
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8
    SEND_CACHE = 1 << 10
    SEND_FAST_ZERO = 1 << 11


class Option(IntEnum):
    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10


class OptionAnswer(IntEnum):
    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = 1 << 31 | 1
    ERR_INVALID = 1 << 31 | 3
    ERR_UNKNOWN = 1 << 31 | 6
    ERR_TOO_BIG = 1 << 31 | 9


class InfoType(IntEnum):
    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class Command(IntEnum):
    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class CommandFlag(IntFlag):
    FUA = 1 << 0  # reply when it is on stable storage
    NO_HOLE = 1 << 1  # WRITE_ZEROES: the room stays allocated
    DF = 1 << 2  # READ: one chunk
    REQ_ONE = 1 << 3  # BLOCK_STATUS: one extent
    FAST_ZERO = 1 << 4  # WRITE_ZEROES: ENOTSUP where it is no faster than a write


class ChunkFlag(IntFlag):
    DONE = 1 << 0


class ChunkType(IntEnum):
    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    ERROR = 1 << 15 | 1


class Error(IntEnum):
    """The protocol's own numbers, whatever ``errno`` is on this host."""

    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95


class Allocation(IntFlag):
    """Of ``base:allocation``."""

    HOLE = 1 << 0  # takes no room
    ZERO = 1 << 1  # reads as zeros


ALLOCATION, ALLOCATION_ID = "base:allocation", 1  # the number is ours to choose


@layout(">")
class Greeting(Struct):
    magic: Annotated[bytes, array(8)]
    option_magic: Annotated[bytes, array(8)]
    flags: u16  # HandshakeFlag


@layout(">")
class OptionHeader(Struct):
    magic: Annotated[bytes, array(8)]
    option: u32
    length: u32


@layout(">")
class OptionReply(Struct):
    magic: u64
    option: u32
    type: u32
    length: u32


@layout(">")
class InfoExport(Struct):
    type: u16
    size: u64
    flags: u16  # TransmissionFlag


@layout(">")
class InfoBlockSize(Struct):
    type: u16
    minimum: u32
    preferred: u32
    largest_payload: u32


@layout(">")
class ExportName(Struct):
    """The answer to EXPORT_NAME, the only one without a header."""

    size: u64
    flags: u16


@layout(">")
class Request(Struct):
    magic: u32
    flags: u16
    type: u16
    cookie: u64
    offset: u64
    length: u32


@layout(">")
class SimpleReply(Struct):
    magic: u32
    error: u32
    cookie: u64


@layout(">")
class Chunk(Struct):
    magic: u32
    flags: u16
    type: u16
    cookie: u64
    length: u32


@layout(">")
class OffsetHole(Struct):
    offset: u64
    length: u32


@layout(">")
class BlockStatus(Struct):
    length: u32
    flags: u32


@layout(">")
class ErrorHead(Struct):
    error: u32
    message_length: u16


@layout(">")
class U16(Struct):
    value: u16


@layout(">")
class U32(Struct):
    value: u32


@layout(">")
class U64(Struct):
    value: u64
