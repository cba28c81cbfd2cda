"""The only door to netlink: read everything, change many things at once, hear what others change, look at a connection.

The replies are the kernel's (sender 0) and are still checked byte by byte. A socket belongs to the network
namespace of the process that opened it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Self

from virtkit.core.errors import NetworkError, NotSupportedError
from virtkit.core.units import round_up
from virtkit.net import decode, diag, traffic
from virtkit.net.model import IPV4, IPV6, Network
from virtkit.net.wire import (
    GETADDR,
    GETLINK,
    GETNEIGH,
    GETNETCONF,
    GETNEXTHOP,
    GETROUTE,
    GETRULE,
    AddressHeader,
    Attributes,
    LinkHeader,
    Message,
    MessageHeader,
    NeighbourHeader,
    NexthopObjectHeader,
    RouteHeader,
    RuleHeader,
    SettingsHeader,
    head,
    messages,
    u32_attribute,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from virtkit.net.diag import Connection, Endpoint
    from virtkit.net.model import Link
    from virtkit.net.nft import Part
    from virtkit.net.requests import Request

REQUEST, ACK, DUMP, INTERRUPTED = 1, 4, 0x300, 0x10  # NLM_F_*
CAPPED, EXTENDED = 0x100, 0x200  # NLM_F_CAPPED, NLM_F_ACK_TLVS: the forms of an acknowledgement
ERROR, DONE, OVERRUN = 2, 3, 4  # NLMSG_*
SOL_NETLINK, CAP_ACK, EXT_ACK = 270, 10, 11
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h; Python does not name them
EXTENDED_ACK_MESSAGE = 1  # NLMSGERR_ATTR_MSG
LINKS, IPV4_ADDRESSES, IPV4_ROUTES, IPV6_ADDRESSES, IPV6_ROUTES = 0x1, 0x10, 0x40, 0x100, 0x400  # RTMGRP_*
NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 4, 12
IFLA_EXT_MASK, SKIP_STATISTICS = 29, 8  # RTEXT_FILTER_SKIP_STATS

BUFFER = (
    16 << 20
)  # bytes; every acknowledgement of a transaction waits here, about 1 KiB each with the kernel's overhead
MOST_REQUESTS = 8192  # in one transaction: half of what the buffer holds
DATAGRAM = 1 << 18  # bytes; the kernel's largest is 32 KiB, or a page, or one big message
PATIENCE = 10  # seconds for one reply, and for one reading that nobody changes anything in


class _Socket:
    """Not for several threads at once."""

    protocol: ClassVar[int] = socket.NETLINK_ROUTE
    groups: ClassVar[int] = 0  # of whose messages everybody who asks gets a copy

    def __init__(self) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self.protocol)
            self._configure()
        except OSError as error:
            raise NetworkError(f"netlink: {_words(error.errno or 0)}") from error
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _configure(self) -> None:
        self._socket.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)  # an acknowledgement does not repeat the request
        for option in (SO_SNDBUFFORCE, SO_RCVBUFFORCE):
            with suppress(PermissionError):  # only root may; reading works without
                self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        self._socket.settimeout(PATIENCE)
        self._socket.bind((0, self.groups))

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        length = MessageHeader.SIZE + len(body)
        start = MessageHeader(length, kind, flags | REQUEST, self._sequence, 0).pack()
        return start + body + bytes(round_up(length, 4) - length)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            raise NetworkError(f"netlink: send {len(data)} bytes: {_words(error.errno or 0)}") from error

    def _receive(self) -> Iterator[Message]:
        """The messages of the next datagram from the kernel."""
        while True:
            try:
                data, _, flags, sender = self._socket.recvmsg(DATAGRAM)
            except TimeoutError as error:
                raise NetworkError(f"netlink: no reply within {PATIENCE} s") from error
            except OSError as error:
                raise NetworkError(f"netlink: receive: {_words(error.errno or 0)}") from error
            if flags & socket.MSG_TRUNC:
                raise NetworkError(f"netlink: reply is cut short, expected at most {DATAGRAM} bytes")
            if sender[0] == 0:  # any process may send to this socket; only the kernel is listened to
                return messages(data)

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        """Again while others change what is being read: with many of them few readings in a row are left alone."""
        deadline = time.monotonic() + PATIENCE
        while (found := self._try_dump(kind, body)) is None:
            if time.monotonic() > deadline:
                raise NetworkError(f"netlink: table {kind} changed during each reading for {PATIENCE} s")
        return found

    def _try_dump(self, kind: int, body: bytes) -> list[bytes] | None:
        """None where somebody changed the table meanwhile (NLM_F_DUMP_INTR): entries may be missing or doubled."""
        self._send(self._message(kind, DUMP, body))
        found: list[bytes] = []
        whole = True
        while True:
            for message in self._receive():
                if message.sequence != self._sequence:
                    continue
                whole = whole and not message.flags & INTERRUPTED
                if message.type in (ERROR, DONE):
                    if _refusal(message)[0] == errno.EOPNOTSUPP:  # a kernel of before such tables
                        return []
                    _raise_refusal(f"read table {kind}", message)
                    return found if whole else None
                if message.type == OVERRUN:
                    raise NetworkError(f"netlink: read table {kind}: replies were lost")
                found.append(message.body)


class Kernel(_Socket):
    """Links, addresses, routes: read and changed."""

    def links(self) -> tuple[Link, ...]:
        no_statistics = LinkHeader().pack() + u32_attribute(IFLA_EXT_MASK, SKIP_STATISTICS).pack()
        return tuple(map(decode.link, self._dump(GETLINK, no_statistics)))

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links() if link.name == name), None)

    def network(self) -> Network:
        """Everything that the model holds."""
        routes = [body for family in (IPV4, IPV6) for body in self._dump(GETROUTE, RouteHeader(family).pack())]
        neighbours = map(decode.neighbour, self._dump(GETNEIGH, NeighbourHeader().pack()))
        settings = self._dump(GETNETCONF, SettingsHeader(IPV4).pack())
        return Network(
            links=self.links(),
            addresses=tuple(map(decode.address, self._dump(GETADDR, AddressHeader().pack()))),
            routes=tuple(map(decode.route, routes)),
            rules=tuple(map(decode.rule, self._dump(GETRULE, RuleHeader().pack()))),
            neighbours=tuple(found for found in neighbours if found),
            nexthops=tuple(map(decode.nexthop_object, self._dump(GETNEXTHOP, NexthopObjectHeader().pack()))),
            queues=tuple(map(traffic.queue, self._dump(traffic.GETQDISC, traffic.TrafficHeader().pack()))),
            source_checks=dict(map(decode.source_check, settings)),
        )

    def transaction(self, requests: Sequence[Request]) -> None:
        """All ``requests`` in one call into the kernel, which works them off before it returns to anybody.

        A refused request does not stop the ones after it. NetworkError names the first one that was refused.
        """
        if not requests:
            return
        if len(requests) > MOST_REQUESTS:
            raise NotSupportedError(f"network: change has {len(requests)} steps, expected at most {MOST_REQUESTS}")
        first = self._sequence + 1
        self._send(b"".join(self._message(request.type, request.flags | ACK, request.body) for request in requests))
        refused = self._acknowledgements(first, len(requests))
        for request, (number, why) in zip(requests, refused, strict=True):
            if number and number not in request.fine:
                raise NetworkError(f"{request.what}: {_words(number)}" + (f" ({why})" if why else ""))

    def _acknowledgements(self, first: int, count: int) -> list[tuple[int, str]]:
        """Per request the errno (0: done) and the kernel's words."""
        found: dict[int, tuple[int, str]] = {}
        while len(found) < count:
            for message in self._receive():
                if message.type == ERROR and first <= message.sequence < first + count:
                    found[message.sequence - first] = _refusal(message)
        return [found[index] for index in range(count)]


class Monitor(_Socket):
    """Hears of every change of links, addresses and routes since it was opened, whoever made it."""

    groups = LINKS | IPV4_ADDRESSES | IPV6_ADDRESSES | IPV4_ROUTES | IPV6_ROUTES

    def __init__(self) -> None:
        super().__init__()
        self._socket.settimeout(0)
        weakref.finalize(self, self._socket.close)  # who only listens has no end to tell

    def heard(self) -> list[Message]:
        """What came since the last call, oldest first; without waiting. What did not fit the buffer is missing."""
        found: list[Message] = []
        while True:
            try:
                data, _, flags, sender = self._socket.recvmsg(DATAGRAM)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise NetworkError(f"netlink: receive: {_words(error.errno or 0)}") from error
                continue
            if sender[0] == 0 and not flags & socket.MSG_TRUNC:
                found += messages(data)


class Connections(_Socket):
    """TCP connections of this host, as the kernel's accounts show them (sock_diag(7))."""

    protocol = NETLINK_SOCK_DIAG

    def find(self, near: Endpoint, far: Endpoint) -> Connection | None:
        """The one between these two; None: there is none (any more)."""
        self._send(self._message(diag.BY_FAMILY, 0, diag.request(near, far)))
        while True:
            for message in self._receive():
                if message.sequence != self._sequence:
                    continue
                if message.type != ERROR:
                    return diag.connection(message.body)
                if _refusal(message)[0] not in (errno.ENOENT, errno.ESTALE):
                    _raise_refusal("look for a connection", message)
                return None

    def bound_to(self, index: int) -> set[str]:
        """The inodes of the sockets, of TCP and UDP, that hear link ``index`` alone."""
        replies: list[tuple[int, int]] = []
        for family in (IPV4, IPV6):
            for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
                with suppress(NetworkError):  # a kernel without the accounts of this one
                    bodies = self._dump(diag.BY_FAMILY, diag.Request(family, protocol).pack())
                    replies += map(diag.bound, bodies)
        return {str(inode) for inode, link in replies if link == index and inode}


class PacketFilter(_Socket):
    """Rules of nftables that end with this socket."""

    protocol = NETLINK_NETFILTER

    def add(self, batch: Sequence[Part]) -> None:
        """All or nothing; NetworkError with the first refusal."""
        first, *parts, last = batch
        edged = [self._message(first.type, first.flags, first.body)]
        waiting = set(range(self._sequence + 1, self._sequence + 1 + len(parts)))
        edged += [self._message(part.type, part.flags | ACK, part.body) for part in parts]
        self._send(b"".join([*edged, self._message(last.type, last.flags, last.body)]))
        while waiting:
            for message in self._receive():
                if message.type == ERROR:
                    _raise_refusal("add rules", message)
                    waiting.discard(message.sequence)


def _refusal(message: Message) -> tuple[int, str]:
    """nlmsgerr: the negative errno, the request's header (and unless CAPPED its body), then attributes."""
    if len(message.body) < 4:  # noqa: PLR2004  the errno alone
        raise NetworkError(f"netlink: acknowledgement has {len(message.body)} bytes, expected at least 4")
    number = -struct.unpack_from("=i", message.body)[0]
    if not message.flags & EXTENDED:
        return number, ""
    at = 4
    if message.type == ERROR:
        request = head(MessageHeader, message.body, at)
        at += MessageHeader.SIZE if message.flags & CAPPED else round_up(request.length, 4)
    return number, Attributes.parse(message.body, at).text(EXTENDED_ACK_MESSAGE)


def _raise_refusal(doing: str, message: Message) -> None:
    number, why = _refusal(message)
    if number:
        raise NetworkError(f"netlink: {doing}: {_words(number)}" + (f" ({why})" if why else ""))


def _words(number: int) -> str:
    return os.strerror(number).lower() if number in errno.errorcode else f"error {number}"
