"""What the kernel tells of one TCP connection: whether the other end still acknowledges what is sent to it.

include/uapi/linux/{inet_diag,tcp}.h; the host's byte order, ports and addresses in the network's.
"""

from __future__ import annotations

import socket
import sys
from typing import Annotated, NamedTuple

from virtkit.core.structs import Struct, array, layout, u8, u32
from virtkit.net.model import IPV4, IPV6
from virtkit.net.wire import HOST, Attributes, head

BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
INFO = 2  # INET_DIAG_INFO: struct tcp_info
ANY_COOKIE = 0xFFFFFFFF  # INET_DIAG_NOCOOKIE
ALL_STATES = 0xFFFFFFFF
BOUND_AT = 36  # in the identity: after the ports and two addresses
ESTABLISHED, CLOSE_WAIT = 1, 8  # TCP_*: the states in which this end may still send


class Endpoint(NamedTuple):
    address: str  # without a scope
    port: int


@layout(HOST)
class Request(Struct):
    """inet_diag_req_v2."""

    family: u8
    protocol: u8
    extensions: u8 = 0
    pad: u8 = 0
    states: u32 = ALL_STATES
    near_port: Annotated[bytes, array(2)] = b""
    far_port: Annotated[bytes, array(2)] = b""
    near: Annotated[bytes, array(16)] = b""
    far: Annotated[bytes, array(16)] = b""
    link: u32 = 0
    cookie_low: u32 = ANY_COOKIE
    cookie_high: u32 = ANY_COOKIE


@layout(HOST)
class Reply(Struct):
    """inet_diag_msg, without what says again what was asked."""

    family: u8
    state: u8
    timer: u8
    retransmits: u8
    identity: Annotated[bytes, array(48)]
    expires: u32
    receive_queue: u32
    send_queue: u32
    user: u32
    inode: u32


@layout(HOST)
class Info(Struct):
    """The head of tcp_info; times in milliseconds, except where another unit stands."""

    state: u8
    congestion_state: u8
    retransmits: u8
    probes: u8
    backoff: u8
    options: u8
    window_scales: u8
    rates: u8
    timeout: u32  # microseconds
    delayed_ack: u32  # microseconds
    send_segment: u32  # bytes
    receive_segment: u32  # bytes
    unacknowledged: u32  # segments
    selectively_acknowledged: u32
    lost: u32
    retransmitted: u32
    forward: u32
    since_sent: u32
    since_acknowledging: u32  # always 0
    since_received: u32
    since_acknowledged: u32


class Connection(NamedTuple):
    unacknowledged: int  # segments that were sent and not acknowledged yet
    timeouts: int  # in a row: the same segment was sent again that often; a closed window's probes do not count
    heard: int  # milliseconds since the other end sent data or acknowledged some


def request(near: Endpoint, far: Endpoint) -> bytes:
    family = IPV6 if ":" in near.address else IPV4
    near_address, far_address = (socket.inet_pton(family, end.address).ljust(16, b"\0") for end in (near, far))
    return Request(
        family,
        socket.IPPROTO_TCP,
        extensions=1 << (INFO - 1),
        near_port=near.port.to_bytes(2, "big"),
        far_port=far.port.to_bytes(2, "big"),
        near=near_address,
        far=far_address,
    ).pack()


def connection(body: bytes) -> Connection | None:
    """None: this end can no longer send."""
    reply = head(Reply, body)
    told = Attributes.parse(body, Reply.SIZE).raw(INFO)
    if told is None or reply.state not in (ESTABLISHED, CLOSE_WAIT):
        return None
    info = head(Info, told)
    heard = min(info.since_received, info.since_acknowledged)
    return Connection(info.unacknowledged, info.retransmits, heard)


def bound(body: bytes) -> tuple[int, int]:
    """A socket's inode (0: no process has it any more), and the link that it is bound to (0: none)."""
    reply = head(Reply, body)
    return reply.inode, int.from_bytes(reply.identity[BOUND_AT : BOUND_AT + 4], sys.byteorder)
