"""The bytes of rtnetlink: headers and attributes, in the kernel's own order and sizes.

include/uapi/linux/{netlink,rtnetlink,if_link,if_addr,neighbour,fib_rules}.h; everything is in the host's byte order,
records and attributes start at multiples of four. Nothing here opens a socket.
"""

from __future__ import annotations

import struct
import sys
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar

from virtkit.core.errors import NetworkError
from virtkit.core.structs import Struct, array, layout, u8, u16, u32
from virtkit.core.units import round_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HOST: Literal["<", ">"] = "<" if sys.byteorder == "little" else ">"
ALIGN = 4
i32 = Annotated[int, "i"]

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, GETNEIGH = 28, 30
NEWRULE, DELRULE, GETRULE = 32, 33, 34
GETNETCONF = 82
NEWNEXTHOP, GETNEXTHOP = 104, 106

NLA_NESTED = 0x8000  # "the value is attributes"; some kernel dumps set it, some do not
NLA_TYPE = 0x3FFF


@layout(HOST)
class MessageHeader(Struct):
    """nlmsghdr."""

    length: u32  # bytes, with this header, without the padding after it
    type: u16
    flags: u16
    sequence: u32
    port: u32  # 0: from or to the kernel


@layout(HOST)
class AttributeHeader(Struct):
    """rtattr."""

    length: u16  # bytes, with this header
    type: u16


@layout(HOST)
class LinkHeader(Struct):
    """ifinfomsg."""

    family: u8 = 0
    pad: u8 = 0
    type: u16 = 0  # ARPHRD_*
    index: i32 = 0
    flags: u32 = 0  # IFF_*
    change: u32 = 0  # which of the flags a request is about


@layout(HOST)
class AddressHeader(Struct):
    """ifaddrmsg."""

    family: u8 = 0
    prefix_length: u8 = 0
    flags: u8 = 0  # the low byte of IFA_FLAGS
    scope: u8 = 0
    index: u32 = 0


@layout(HOST)
class RouteHeader(Struct):
    """rtmsg."""

    family: u8
    destination_length: u8 = 0
    source_length: u8 = 0
    tos: u8 = 0
    table: u8 = 0  # 252 where the number is in RTA_TABLE alone
    protocol: u8 = 0
    scope: u8 = 0
    type: u8 = 0  # RTN_*
    flags: u32 = 0  # RTM_F_* and RTNH_F_*


@layout(HOST)
class NexthopHeader(Struct):
    """rtnexthop: one way of a multipath route."""

    length: u16  # bytes, with this header and the attributes after it
    flags: u8
    hops: u8  # weight - 1
    index: i32


@layout(HOST)
class NeighbourHeader(Struct):
    """ndmsg."""

    family: u8 = 0
    pad1: u8 = 0
    pad2: u16 = 0
    index: i32 = 0
    state: u16 = 0  # NUD_*
    flags: u8 = 0  # NTF_*
    type: u8 = 0


@layout(HOST)
class NexthopObjectHeader(Struct):
    """nhmsg."""

    family: u8 = 0
    scope: u8 = 0
    protocol: u8 = 0
    reserved: u8 = 0
    flags: u32 = 0  # RTNH_F_*


@layout(HOST)
class SettingsHeader(Struct):
    """netconfmsg."""

    family: u8


@layout(HOST)
class RuleHeader(Struct):
    """fib_rule_hdr."""

    family: u8 = 0
    destination_length: u8 = 0
    source_length: u8 = 0
    tos: u8 = 0
    table: u8 = 0
    reserved: Annotated[bytes, array(2)] = b"\0\0"
    action: u8 = 0
    flags: u32 = 0


@layout(HOST)
class AddressLifetimes(Struct):
    """ifa_cacheinfo; seconds, FOREVER for ever. The stamps are hundredths of a second since boot."""

    preferred: u32
    valid: u32
    created: u32 = 0
    updated: u32 = 0


@layout(HOST)
class RouteCache(Struct):
    """rta_cacheinfo, as far as it is of use."""

    references: u32
    last_use: u32
    expires: i32  # in hundredths of a second (USER_HZ); 0: never


R = TypeVar("R", bound=Struct)


def head(kind: type[R], data: bytes, at: int = 0) -> R:
    """The record at ``at``; NetworkError where the data ends before it does."""
    if len(data) - at < kind.SIZE:
        raise NetworkError(f"netlink: {kind.__name__} has {len(data) - at} bytes, expected {kind.SIZE}")
    return kind.parse(data, at)


class Message(NamedTuple):
    type: int
    flags: int
    sequence: int
    body: bytes
    port: int = 0  # whose request it comes of: the netlink port of a process; 0: the kernel's own doing


class Attribute(NamedTuple):
    type: int
    value: bytes
    nested: bool = False

    def pack(self) -> bytes:
        size = AttributeHeader.SIZE + len(self.value)
        start = AttributeHeader(size, self.type | (NLA_NESTED if self.nested else 0)).pack()
        return start + self.value + bytes(-size % ALIGN)


class Attributes(tuple[Attribute, ...]):
    """The attributes of one message, in order. A getter's default stands for an absent attribute."""

    __slots__ = ()

    @classmethod
    def parse(cls, data: bytes, start: int = 0) -> Attributes:
        """NetworkError where a length does not fit; the kernel never sends that, so nothing is guessed."""
        return cls(_attributes(data, start))

    def raw(self, kind: int) -> bytes | None:
        return next((a.value for a in self if a.type == kind), None)

    def number(self, kind: int, default: int = 0) -> int:
        """An unsigned number of 1, 2, 4 or 8 bytes."""
        value = self.raw(kind)
        if value is None:
            return default
        if len(value) not in (1, 2, 4, 8):
            raise NetworkError(f"netlink: attribute {kind} has {len(value)} bytes, expected 1, 2, 4 or 8")
        return int.from_bytes(value, sys.byteorder)

    def text(self, kind: int, default: str = "") -> str:
        value = self.raw(kind)
        return default if value is None else value.split(b"\0")[0].decode(errors="surrogateescape")

    def nested(self, kind: int) -> Attributes:
        return Attributes.parse(self.raw(kind) or b"")

    def pack(self) -> bytes:
        return b"".join(attribute.pack() for attribute in self)


def u8_attribute(kind: int, value: int) -> Attribute:
    return Attribute(kind, struct.pack("=B", value))


def u32_attribute(kind: int, value: int) -> Attribute:
    return Attribute(kind, struct.pack("=I", value))


def text_attribute(kind: int, value: str) -> Attribute:
    return Attribute(kind, value.encode(errors="surrogateescape") + b"\0")


def nest(kind: int, inner: Iterable[Attribute]) -> Attribute:
    return Attribute(kind, Attributes(inner).pack(), nested=True)


def messages(data: bytes) -> Iterator[Message]:
    """The messages of one datagram; NetworkError where a length does not fit."""
    at = 0
    while len(data) - at >= MessageHeader.SIZE:
        start = MessageHeader.parse(data, at)
        _check("message", start.length, MessageHeader.SIZE, len(data) - at)
        body = data[at + MessageHeader.SIZE : at + start.length]
        yield Message(start.type, start.flags, start.sequence, body, start.port)
        at += round_up(start.length, ALIGN)
    if at < len(data):
        raise NetworkError(f"netlink: {len(data) - at} bytes after the last message, expected none")


def nexthops(data: bytes) -> Iterator[tuple[NexthopHeader, Attributes]]:
    """The ways of RTA_MULTIPATH."""
    at = 0
    while len(data) - at >= NexthopHeader.SIZE:
        start = NexthopHeader.parse(data, at)
        _check("nexthop", start.length, NexthopHeader.SIZE, len(data) - at)
        yield start, Attributes.parse(data[: at + start.length], at + NexthopHeader.SIZE)
        at += round_up(start.length, ALIGN)
    if at < len(data):
        raise NetworkError(f"netlink: {len(data) - at} bytes after the last nexthop, expected none")


def _attributes(data: bytes, at: int) -> Iterator[Attribute]:
    while len(data) - at >= AttributeHeader.SIZE:
        start = AttributeHeader.parse(data, at)
        _check("attribute", start.length, AttributeHeader.SIZE, len(data) - at)
        value = data[at + AttributeHeader.SIZE : at + start.length]
        yield Attribute(start.type & NLA_TYPE, value, nested=bool(start.type & NLA_NESTED))
        at += round_up(start.length, ALIGN)
    if at < len(data):
        raise NetworkError(f"netlink: {len(data) - at} bytes after the last attribute, expected none")


def _check(what: str, length: int, least: int, most: int) -> None:
    if not least <= length <= most:
        raise NetworkError(f"netlink: {what} length is {length}, expected {least} to {most}")
