"""Frames of IEEE 802.3, without VLAN tags: a socket of a link never sees its VLANs' (packet(7))."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from virtkit.core.structs import Struct, array, layout, u16

BROADCAST = b"\xff" * 6
ARP, IPV6 = 0x0806, 0x86DD  # EtherType


@layout(">")
class Header(Struct):
    destination: Annotated[bytes, array(6)]
    source: Annotated[bytes, array(6)]
    type: u16


class Frame(NamedTuple):
    source: bytes  # MAC
    type: int
    payload: bytes  # with the padding of short frames


def parse(data: bytes) -> Frame | None:
    if len(data) < Header.SIZE:
        return None
    header = Header.parse(data)
    return Frame(header.source, header.type, data[Header.SIZE :])


def frame(destination: bytes, source: bytes, kind: int, payload: bytes) -> bytes:
    """Short ones are padded by the driver."""
    return Header(destination, source, kind).pack() + payload
