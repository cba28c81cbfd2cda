from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.net.packets import arp, dns, ethernet, ndp

mac = st.binary(min_size=6, max_size=6)
ipv4 = st.binary(min_size=4, max_size=4).filter(any)
ipv6 = st.binary(min_size=16, max_size=16)
US, THEM = bytes.fromhex("525400aa0011"), bytes.fromhex("525400aa0001")


def _reply(sender_mac: bytes, sender: bytes, *, operation: int = 2) -> bytes:
    """As RFC 826 draws it, by hand."""
    body = struct.pack("!HHBBH", 1, 0x800, 6, 4, operation) + sender_mac + sender + US + bytes([10, 9, 0, 11])
    return US + sender_mac + b"\x08\x06" + body


def _advertised(target: bytes, options: bytes, *, hops: int = 255, source: bytes = b"\xfe\x80" + bytes(14)) -> bytes:
    """As RFC 4861, 4.4 draws it, by hand; its checksum by the definition of RFC 1071: the sum with it is all ones."""
    body = struct.pack("!BBHI", 136, 0, 0, 0x60000000) + target + options
    pseudo = source + source + struct.pack("!II", len(body), 58)
    total = sum(struct.unpack(f"!{len(pseudo + body) // 2}H", pseudo + body)) % 0xFFFF
    body = body[:2] + struct.pack("!H", 0xFFFF - total) + body[4:]
    return US + THEM + b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(body), 58, hops) + source + source + body


@given(mac, ipv4)
def test_arp_reply_and_announcement_claim_the_senders_address(owner: bytes, address: bytes) -> None:
    assert arp.parse(_reply(owner, address)) == (address, owner)
    assert arp.parse(_reply(owner, address) + bytes(18)) == (address, owner)  # padded to 60 bytes
    assert arp.parse(arp.announcement(owner, address)) == (address, owner)


@given(mac, ipv4, ipv4)
def test_arp_question_claims_nothing(owner: bytes, sender: bytes, target: bytes) -> None:
    if sender != target:
        assert arp.parse(arp.request(owner, sender, target)) is None
    assert arp.parse(arp.request(owner, arp.NOBODY, target)) is None


@pytest.mark.parametrize(("at", "value"), [(12, 9), (14, 7), (16, 9), (18, 8), (19, 16), (21, 9)])
def test_arp_of_another_kind_is_no_claim(at: int, value: int) -> None:
    frame = bytearray(_reply(THEM, bytes([10, 9, 0, 1])))
    frame[at] = value
    assert arp.parse(bytes(frame)) is None


@given(st.integers(0, 41))
def test_arp_cut_short_is_no_claim(size: int) -> None:
    assert arp.parse(_reply(THEM, bytes([10, 9, 0, 1]))[:size]) is None


@given(ipv6, mac)
def test_advertisement_claims_its_target(target: bytes, owner: bytes) -> None:
    assert ndp.parse(_advertised(target, b"\x02\x01" + owner)) == (target, owner)
    assert ndp.parse(_advertised(target, b"\x0e\x02" + bytes(14) + b"\x02\x01" + owner)) == (target, owner)
    assert ndp.parse(_advertised(target, b"")) == (target, THEM)
    assert ndp.parse(_advertised(target, b"\x02\x00" + owner)) == (target, THEM)  # an option without a length
    assert ndp.parse(ndp.advertisement(owner, target, router=False)) == (target, owner)


@given(ipv6, st.integers(0, 254))
def test_advertisement_from_beyond_a_router_is_no_claim(target: bytes, hops: int) -> None:
    assert ndp.parse(_advertised(target, b"", hops=hops)) is None


@given(ipv6, st.integers(14, 85), st.integers(1, 255))
def test_advertisement_with_a_changed_byte_claims_nothing_for_others(target: bytes, at: int, change: int) -> None:
    """All but the fields that the checksum does not cover, and those that add up to the same."""
    frame = bytearray(_advertised(target, b"\x02\x01" + THEM))
    frame[at] ^= change
    found = ndp.parse(bytes(frame))
    assert found is None or 14 <= at < 18  # traffic class and flow label say nothing


@given(mac, ipv6, ipv6)
def test_solicitation_is_whole_and_names_the_asker(owner: bytes, sender: bytes, target: bytes) -> None:
    frame = ndp.solicitation(owner, sender, target)
    assert ndp.parse(frame) is None
    assert frame[:6] == b"\x33\x33\xff" + target[-3:]
    assert (frame[20], frame[21], frame[54], frame[62:78]) == (58, 255, 135, target)
    assert frame[78:] == (b"\x01\x01" + owner if any(sender) else b"")
    pseudo = frame[22:54] + struct.pack("!II", len(frame) - 54, 58) + frame[54:]
    assert sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo)) % 0xFFFF == 0


@given(st.booleans())
def test_a_router_says_that_it_is_one(router: bool) -> None:  # noqa: FBT001  hypothesis
    frame = ndp.advertisement(US, socket.inet_pton(socket.AF_INET6, "2001:db8::1"), router=router)
    assert bool(frame[58] & 0x80) == router
    assert frame[58] & 0x60 == 0x20  # override, and nobody asked


@given(st.binary(max_size=120))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    outer = ethernet.parse(data)
    assert (outer is None) == (len(data) < 14)
    for parse in (arp.parse, ndp.parse):
        found = parse(data)
        assert found is None or len(found.mac) == 6
    assert dns.answer(data, 7) is None or data[:2] == b"\0\7"


@given(st.integers(0, 0xFFFF), st.integers(0, 15), st.binary(max_size=40))
def test_any_answer_of_a_name_server_counts(number: int, code: int, rest: bytes) -> None:
    said = dns.answer(struct.pack("!HHHHHH", number, 0x8180 & ~15 | code, 1, 0, 0, 0) + rest, number)
    assert said is not None
    assert said.startswith("answers")
    assert dns.answer(dns.query(number), number) is None
    assert dns.answer(struct.pack("!HHHHHH", number ^ 1, 0x8180, 1, 0, 0, 0) + rest, number) is None
    assert dns.answer(struct.pack("!HHHHHH", number, 0xA180, 1, 0, 0, 0) + rest, number) is None


def test_question_is_the_roots_name_servers() -> None:
    assert dns.query(0x1234) == bytes.fromhex("1234 0100 0001 0000 0000 0000 00 0002 0001")
