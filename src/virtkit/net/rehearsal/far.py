"""The other end of the room's links: a network of its own with a DHCP server that knows one lease (RFC 2131)."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import threading
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NetworkError
from virtkit.net import requests
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.net.rehearsal.scene import Lease, Twin

CLONE_NEWNET = 0x40000000
SERVER_PORT, CLIENT_PORT = 67, 68
BROADCAST = "255.255.255.255"
BOOTREPLY, COOKIE = 2, b"\x63\x82\x53\x63"
FIXED = 236  # bytes before the cookie
DISCOVER, OFFER, REQUEST, ACKNOWLEDGE = 1, 2, 3, 5  # option 53
MASK, ROUTER, LEASE_TIME, KIND, SERVER, CLIENT, END = 1, 3, 51, 53, 54, 61, 255
SHORTEST = 600  # seconds: nothing is renewed during a rehearsal


class Asked(NamedTuple):
    """A client's message, as far as it matters here."""

    kind: int
    transaction: bytes
    flags: bytes
    mac: bytes
    client: bytes


class FarEnd:
    """Runs until the process ends."""

    def __init__(self, twins: Sequence[Twin], lease: Lease | None) -> None:
        self.clients: list[str] = []
        self.namespace = -1  # a file descriptor
        self._count, self._lease = len(twins), lease
        self._made, self._connected = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._made.wait(10)
        if self.namespace < 0:
            raise NetworkError("rehearsal: no network namespace for the other end of the links")

    def link(self, number: int) -> str:
        return f"far{number}"

    def begin(self) -> None:
        """The links are there now."""
        self._connected.set()

    def _run(self) -> None:
        if ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:  # this thread's alone
            self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._made.set()
        self._connected.wait()
        names = [self.link(number) for number in range(self._count)]
        with Kernel() as kernel:
            kernel.transaction([requests.set_up(name) for name in names])
        self._serve([_listening(name) for name in names])

    def _serve(self, sockets: list[socket.socket]) -> None:
        while True:
            for ready in select.select(sockets, (), ())[0]:
                asked = read(ready.recv(2048))
                if asked is None:
                    continue
                who = " ".join(filter(None, [asked.mac.hex(":"), asked.client.hex()]))
                if who not in self.clients:
                    self.clients.append(who)
                if self._lease and asked.kind in (DISCOVER, REQUEST):
                    ready.sendto(reply(asked, self._lease), (ready.getsockname()[0], 0x0800, 0, 0, b"\xff" * 6))


def _listening(name: str) -> socket.socket:
    there = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    there.bind((name, 0x0800))
    return there


def read(packet: bytes) -> Asked | None:
    """None: an IPv4 packet that is not from a DHCP client."""
    start = (packet[0] & 15) * 4 if packet else 0
    bootp = packet[start + 8 :]
    if len(bootp) <= FIXED + 4 or packet[9] != socket.IPPROTO_UDP or bootp[FIXED : FIXED + 4] != COOKIE:
        return None
    if struct.unpack_from("!HH", packet, start) != (CLIENT_PORT, SERVER_PORT):
        return None
    options = _options(bootp[FIXED + 4 :])
    kind = options.get(KIND, b"\0")
    return Asked(kind[0] if kind else 0, bootp[4:8], bootp[10:12], bootp[28:34], options.get(CLIENT, b""))


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == 0:  # padding has no length
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        found.setdefault(data[at], data[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def reply(asked: Asked, lease: Lease) -> bytes:
    """The IPv4 packet that offers, or grants, the lease."""
    network = IPv4Interface(f"{lease.address}/{lease.prefix_length}")
    server = lease.router or str(next(network.network.hosts()))
    options = {
        KIND: bytes([OFFER if asked.kind == DISCOVER else ACKNOWLEDGE]),
        SERVER: socket.inet_aton(server),
        LEASE_TIME: struct.pack("!I", max(lease.seconds, SHORTEST)),
        MASK: network.netmask.packed,
        **({ROUTER: socket.inet_aton(lease.router)} if lease.router else {}),
    }
    coded = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    head = struct.pack("!BBBB4sH2s", BOOTREPLY, 1, 6, 0, asked.transaction, 0, asked.flags)
    places = struct.pack("!4s4s4s4s16s", b"", network.ip.packed, b"", b"", asked.mac)
    bootp = (head + places).ljust(FIXED, b"\0") + COOKIE + coded + bytes([END])
    udp = struct.pack("!HHHH", SERVER_PORT, CLIENT_PORT, 8 + len(bootp), 0) + bootp
    return _ipv4_header(server, len(udp)) + udp


def _ipv4_header(source: str, size: int) -> bytes:
    ends = socket.inet_aton(source), socket.inet_aton(BROADCAST)
    fields = [0x45, 0, 20 + size, 0, 0, 64, socket.IPPROTO_UDP, 0, *ends]
    packed = struct.pack("!BBHHHBBH4s4s", *fields)
    total = sum(struct.unpack("!10H", packed))
    fields[7] = ~(total + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHHBBH4s4s", *fields)
