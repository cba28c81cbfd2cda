"""Pings both families at a steady rate and tells which ones were never answered. The kernel on the other side answers:
no program there can be late.

    python echo.py IPV4 IPV6 PER_SECOND

It says ``ready`` when both answer, goes on until SIGTERM, and then prints what was lost as one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from netns.lab import Lab

ECHO = "!BBHHHI"  # RFC 792, RFC 4443: type, code, checksum, identifier, sequence number; our own number as data
REQUEST4, REPLY4, REQUEST6, REPLY6 = 8, 0, 128, 129
SOL_RAW, ICMP_FILTER, ICMP6_FILTER = 255, 1, 1  # include/uapi/linux/{icmp,icmpv6}.h
SO_RCVBUFFORCE, BUFFER = 33, 1 << 24  # bytes: nothing is lost here while this process waits for a processor
IPV4_HEADER = 20  # bytes, which a raw IPv4 socket shows
AFTERMATH = 0.3  # seconds that the last answers may take


@dataclass
class Pings:
    """Of one family."""

    socket: socket.socket
    request: int
    identifier: int
    skipped: int  # bytes before the answer
    missing: dict[int, float] = field(default_factory=dict)  # the number -> when it was sent
    sent: int = 0
    refused: int = 0  # by this host itself: no route, no carrier

    def send(self) -> None:
        self.missing[self.sent] = time.monotonic()
        head = struct.pack(ECHO, self.request, 0, 0, self.identifier, self.sent & 0xFFFF, self.sent)
        try:
            self.socket.send(head[:2] + struct.pack("!H", _checksum(head)) + head[4:])
        except OSError:
            self.refused += 1
        self.sent += 1

    def receive(self) -> None:
        while True:
            try:
                data = self.socket.recv(200)[self.skipped :]
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about one that was sent
                continue
            if len(data) >= struct.calcsize(ECHO):
                *_, identifier, _, number = struct.unpack_from(ECHO, data)
                if identifier == self.identifier:
                    self.missing.pop(number, None)


class Tally(NamedTuple):
    sent: int
    lost: int
    refused: int  # of the lost ones: this host itself would not send them
    gap: float  # seconds between the two answered ones around the longest loss
    when: list[float]  # seconds since the start, of the first lost ones


def open_pings(address: str) -> Pings:
    six = ":" in address
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    made = socket.socket(family, socket.SOCK_RAW, protocol)
    if six:
        only = [0xFFFFFFFF] * 8
        only[REPLY6 >> 5] &= ~(1 << (REPLY6 & 31))
        made.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *only))
    else:
        made.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << REPLY4)))
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    made.connect((address, 0))
    made.settimeout(0)
    return Pings(made, REQUEST6 if six else REQUEST4, os.getpid() & 0xFFFF, 0 if six else IPV4_HEADER)


def main(addresses: list[str], per_second: float) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    both = [open_pings(address) for address in addresses]
    for pings in both:
        _wait_for_answer(pings)
        pings.missing.clear()
        pings.sent = pings.refused = 0
    _say("ready")
    start = time.monotonic()
    while signal.SIGTERM not in signal.sigpending():
        due = int((time.monotonic() - start) * per_second)
        for pings in both:
            while pings.sent <= due:
                pings.send()
            pings.receive()
        time.sleep(max(0.0, start + (due + 1) / per_second - time.monotonic()))
    time.sleep(AFTERMATH)
    for pings in both:
        pings.receive()
    _say(json.dumps([_tally(pings, start, per_second)._asdict() for pings in both]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _wait_for_answer(pings: Pings) -> None:
    for _ in range(500):
        pings.send()
        time.sleep(0.01)
        pings.receive()
        if len(pings.missing) < pings.sent:
            return
    raise SystemExit("no answer within 5 s")


def _tally(pings: Pings, start: float, per_second: float) -> Tally:
    runs = list(_runs(sorted(pings.missing)))
    longest = max((len(numbers) for numbers in runs), default=0)
    when = [round(pings.missing[numbers[0]] - start, 4) for numbers in runs[:10]]
    gap = (longest + 1) / per_second if longest else 0.0
    return Tally(pings.sent, len(pings.missing), pings.refused, gap, when)


def _runs(numbers: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _checksum(data: bytes) -> int:
    """RFC 1071; the kernel makes that of ICMPv6 itself."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def start(lab: Lab, inside: str, addresses: list[str], per_second: float) -> subprocess.Popen[str]:
    """In the namespace ``inside``, when both families answer."""
    running = lab.start(sys.executable, "-I", __file__, *addresses, str(per_second), inside=inside)
    assert running.stdout
    said = running.stdout.readline()
    assert said == "ready\n", running.communicate()
    return running


def finish(running: subprocess.Popen[str]) -> list[Tally]:
    """IPv4's and IPv6's."""
    running.terminate()
    said, errors = running.communicate(timeout=30)
    assert running.returncode == 0, errors
    return [Tally(**entry) for entry in json.loads(said)]


if __name__ == "__main__":
    main(sys.argv[1:-1], float(sys.argv[-1]))
