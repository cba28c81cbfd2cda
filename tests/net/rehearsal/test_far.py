"""The room's DHCP server, held against the packets that dnsmasq and systemd-networkd sent each other."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from virtkit.net.rehearsal import far
from virtkit.net.rehearsal.scene import Lease

MAC = bytes.fromhex("525400aa0011")
LEASE = Lease("10.9.0.50", 24, "10.9.0.1", 120)


def _packet(kind: int, client: bytes = b"\x01" + MAC, ports: tuple[int, int] = (68, 67)) -> bytes:
    """RFC 2131, 2: as clients send it."""
    options = bytes([53, 1, kind, 61, len(client), *client, 55, 1, 3, 255])
    bootp = (
        (bytes([1, 1, 6, 0]) + b"\x12\x34\x56\x78" + bytes(20) + MAC).ljust(236, b"\0") + b"\x63\x82\x53\x63" + options
    )
    udp = struct.pack("!HHHH", *ports, 8 + len(bootp), 0) + bootp
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4) + udp


def test_client_and_its_identifier_are_read() -> None:
    asked = far.read(_packet(1))
    assert asked
    assert (asked.kind, asked.transaction, asked.mac, asked.client) == (1, b"\x12\x34\x56\x78", MAC, b"\x01" + MAC)


def test_everything_else_is_left_alone() -> None:
    assert far.read(_packet(1, ports=(53, 67))) is None
    assert far.read(b"") is None


@given(st.binary(max_size=400))
def test_no_packet_makes_it_fall(data: bytes) -> None:
    far.read(data)
    far.read(_packet(1)[:200] + data)


def test_answer_is_an_offer_then_an_acknowledgement_of_the_lease() -> None:
    for kind, answer in ((1, 2), (3, 5)):
        asked = far.read(_packet(kind))
        assert asked
        packet = far.reply(asked, LEASE)
        head, bootp = packet[:20], packet[28:]
        total = sum(struct.unpack("!10H", head))
        assert (total & 0xFFFF) + (total >> 16) == 0xFFFF
        assert struct.unpack("!H", head[2:4])[0] == len(packet)
        assert (bootp[4:8], str(IPv4Address(bootp[16:20])), bootp[28:34]) == (b"\x12\x34\x56\x78", "10.9.0.50", MAC)
        options = far._options(bootp[240:])
        assert (options[53], options[1], options[3]) == (bytes([answer]), b"\xff\xff\xff\0", bytes([10, 9, 0, 1]))
