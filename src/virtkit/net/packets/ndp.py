"""Neighbour discovery of IPv6 over Ethernet: solicitations and advertisements (RFC 4861, 4.3, 4.4; RFC 2464)."""

from __future__ import annotations

import struct
from typing import Annotated

from virtkit.core.structs import Struct, array, layout, u8, u16, u32
from virtkit.net.packets import ethernet
from virtkit.net.packets.claim import Claim

ICMPV6 = 58  # next header
HOP_LIMIT = 255  # what a router forwarded has less, and is no neighbour's
SOLICITATION, ADVERTISEMENT = 135, 136
SOURCE_MAC, TARGET_MAC = 1, 2  # options, in units of 8 bytes
ROUTER, OVERRIDE = 0x80000000, 0x20000000  # flags of an advertisement
UNSPECIFIED = bytes(16)
ALL_NODES = bytes.fromhex("ff02" + "00" * 13 + "01")
SOLICITED_NODE = bytes.fromhex("ff02" + "00" * 9 + "01ff")  # and the last three bytes of the address (RFC 4291, 2.7.1)


@layout(">")
class Ipv6Header(Struct):
    version: u32  # 6 in the upper four bits; traffic class and flow label are 0
    payload_size: u16
    next_header: u8
    hop_limit: u8
    source: Annotated[bytes, array(16)]
    destination: Annotated[bytes, array(16)]


@layout(">")
class Packet(Struct):
    """Both kinds, without options."""

    type: u8
    code: u8
    checksum: u16
    flags: u32
    target: Annotated[bytes, array(16)]


def solicitation(mac: bytes, sender: bytes, target: bytes) -> bytes:
    """A frame to those who may have ``target``.

    From ``UNSPECIFIED`` it asks as duplicate detection does, and names no MAC (RFC 4861, 4.3); the answer then goes
    to all nodes.
    """
    group = SOLICITED_NODE + target[-3:]
    option = b"" if sender == UNSPECIFIED else bytes([SOURCE_MAC, 1]) + mac
    return _frame(mac, sender, group, Packet(SOLICITATION, 0, 0, 0, target), option)


def advertisement(mac: bytes, address: bytes, *, router: bool) -> bytes:
    """A frame to all: ``address`` is mine, forget what you knew (RFC 4861, 7.2.6).

    A router that does not say that it is one is dropped from its neighbours' lists of routers.
    """
    flags = OVERRIDE | (ROUTER if router else 0)
    option = bytes([TARGET_MAC, 1]) + mac
    return _frame(mac, address, ALL_NODES, Packet(ADVERTISEMENT, 0, 0, flags, address), option)


def parse(frame: bytes) -> Claim | None:
    """Whose an advertisement says its target is; without a MAC among its options it is the frame's sender's."""
    outer = ethernet.parse(frame)
    if outer is None or outer.type != ethernet.IPV6 or len(outer.payload) < Ipv6Header.SIZE:
        return None
    header = Ipv6Header.parse(outer.payload)
    body = outer.payload[Ipv6Header.SIZE : Ipv6Header.SIZE + header.payload_size]
    if (header.version >> 28, header.next_header, header.hop_limit) != (6, ICMPV6, HOP_LIMIT):
        return None
    if len(body) < max(Packet.SIZE, header.payload_size) or _checksum(header, body):
        return None
    packet = Packet.parse(body)
    if packet.type != ADVERTISEMENT or packet.code:
        return None
    return Claim(packet.target, _option(body[Packet.SIZE :], TARGET_MAC) or outer.source)


def _option(options: bytes, wanted: int) -> bytes:
    """The MAC in option ``wanted``; empty where there is none, or an option has no length (RFC 4861, 4.6)."""
    while len(options) >= 8 and options[1]:  # noqa: PLR2004  one unit
        kind, size = options[0], options[1] * 8
        if kind == wanted and size == 8:  # noqa: PLR2004  an Ethernet address fills one unit
            return options[2:8]
        options = options[size:]
    return b""


def _frame(mac: bytes, source: bytes, group: bytes, packet: Packet, option: bytes) -> bytes:
    size = Packet.SIZE + len(option)
    header = Ipv6Header(6 << 28, size, ICMPV6, HOP_LIMIT, source, group)
    checksum = _checksum(header, packet.pack() + option)
    whole = Packet(packet.type, packet.code, checksum, packet.flags, packet.target).pack() + option
    multicast = b"\x33\x33" + group[-4:]  # RFC 2464, 7
    return ethernet.frame(multicast, mac, ethernet.IPV6, header.pack() + whole)


def _checksum(header: Ipv6Header, body: bytes) -> int:
    """To be sent; 0 over a packet that has it (RFC 8200, 8.1; RFC 1071)."""
    pseudo = header.source + header.destination + struct.pack(">II", len(body), header.next_header)
    data = pseudo + body + bytes(len(body) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
