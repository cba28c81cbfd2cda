"""What the gateway and the host send each other while something happens, and how much of it is lost."""

from __future__ import annotations

import re
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netns.lab import GATEWAY4, GATEWAY6

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from netns.lab import Lab

PER_SECOND = 200
# The kernel itself drops what comes in while it takes a port in or out (test_bridge.py); one more is under way when
# ping is told to stop.
MOST_LOST = 5


@contextmanager
def lossless(lab: Lab, hosts: Sequence[str]) -> Iterator[None]:
    with counted(lab, hosts) as lost:
        yield
    assert max(lost.values()) <= MOST_LOST, lost


@contextmanager
def counted(lab: Lab, hosts: Sequence[str]) -> Iterator[dict[str, int]]:
    """Both directions: the gateway asks each address of the host, the host asks the gateway. The kernels answer.

    Yields what is lost by address asked; filled in at the end.
    """
    lost: dict[str, int] = {}
    six = any(":" in host for host in hosts)
    ways = [(host, lab.gateway) for host in hosts]
    ways += [(GATEWAY4, lab.host), *([(GATEWAY6, lab.host)] if six else [])]
    pings = {to: lab.start("ping", "-q", "-i", str(1 / PER_SECOND), to, inside=inside) for to, inside in ways}
    time.sleep(0.1)
    try:
        yield lost
        time.sleep(0.1)
    finally:
        for ping in pings.values():
            ping.send_signal(signal.SIGINT)
        said = {to: ping.communicate(timeout=20)[0] for to, ping in pings.items()}
    lost |= {to: _lost(text) for to, text in said.items()}


def _lost(said: str) -> int:
    found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    assert found, said
    assert int(found[1]) >= PER_SECOND // 10, said
    return int(found[1]) - int(found[2])
