"""ARP for IPv4 over Ethernet (RFC 826), with the probes and announcements of RFC 5227."""

from __future__ import annotations

from typing import Annotated

from virtkit.core.structs import Struct, array, layout, u8, u16
from virtkit.net.packets import ethernet
from virtkit.net.packets.claim import Claim

ETHERNET, IPV4 = 1, 0x0800
REQUEST, REPLY = 1, 2
NOBODY = bytes(4)  # the sender of a probe: it claims no address yet
UNKNOWN = bytes(6)  # the MAC that a request asks for


@layout(">")
class Packet(Struct):
    hardware: u16
    protocol: u16
    hardware_size: u8
    protocol_size: u8
    operation: u16
    sender_mac: Annotated[bytes, array(6)]
    sender: Annotated[bytes, array(4)]
    target_mac: Annotated[bytes, array(6)]
    target: Annotated[bytes, array(4)]


def request(mac: bytes, sender: bytes, target: bytes) -> bytes:
    """A frame to all: who has ``target``? With ``NOBODY`` as sender it is a probe (RFC 5227, 2.1.1)."""
    packet = Packet(ETHERNET, IPV4, 6, 4, REQUEST, mac, sender, UNKNOWN, target)
    return ethernet.frame(ethernet.BROADCAST, mac, ethernet.ARP, packet.pack())


def announcement(mac: bytes, address: bytes) -> bytes:
    """A frame to all: ``address`` is mine (RFC 5227, 2.3: a request for the sender's own address)."""
    return request(mac, address, address)


def parse(frame: bytes) -> Claim | None:
    """The sender of a reply, or of an announcement: both say whose the sender's address is."""
    outer = ethernet.parse(frame)
    if outer is None or outer.type != ethernet.ARP or len(outer.payload) < Packet.SIZE:
        return None
    packet = Packet.parse(outer.payload)
    kind = (packet.hardware, packet.protocol, packet.hardware_size, packet.protocol_size)
    if kind != (ETHERNET, IPV4, 6, 4) or packet.sender == NOBODY:
        return None
    announced = packet.operation == REQUEST and packet.sender == packet.target
    if packet.operation != REPLY and not announced:
        return None
    return Claim(packet.sender, packet.sender_mac)
