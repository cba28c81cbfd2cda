"""A profile is applied to a link in use, and what the link holds stays there meanwhile.

Before 1.56 NetworkManager switches IPv6 off and on again whenever it reapplies anything (its commit 9bbb113987). All
IPv6 addresses and routes are gone then; it adds those of the profile again, which answer only after the detection of
duplicates, 1 to 2 s later, and others never. So there is no detection on the link for that moment (it is the same
host that had them a moment ago), and what is missing is put back from what the kernel showed before. Its neighbours,
too: a first solicitation that is lost in that moment is sent again only after a second (RFC 4861, RETRANS_TIMER).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.net import diff, standing
from virtkit.net.kernel import Kernel
from virtkit.net.networkmanager import daemon
from virtkit.net.requests import copy_neighbour

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.model import Neighbour
    from virtkit.net.networkmanager.daemon import Device
    from virtkit.net.standing import Side

DETECTION = "/proc/sys/net/ipv6/conf/{}/accept_dad"  # ip-sysctl.rst: 0 is none, and at once; 1 the kernel's default
SETTLED = 0.5  # seconds after which NetworkManager has done what it does at once
POLL = 0.005  # seconds


def reapply(system: System, device: Device, link: str) -> None:
    with Kernel() as kernel:
        network = kernel.network()
        held = standing.side_of(network, link)
        near = [found for found in network.neighbours if found.index == network.by_name[link].index]
        daemon.reapply(system, device)
        deadline = time.monotonic() + SETTLED
        while refused := _filled(kernel, link, held, near) or time.monotonic() < deadline:
            if isinstance(refused, NetworkError) and time.monotonic() > deadline:
                raise refused
            time.sleep(POLL)


def _filled(kernel: Kernel, link: str, held: Side, near: Sequence[Neighbour]) -> NetworkError | None:
    """What the kernel refuses while IPv6 is off, it takes a moment later."""
    network = kernel.network()
    known = {(found.index, found.address) for found in network.neighbours}
    lost = [copy_neighbour(found, found.index) for found in near if (found.index, found.address) not in known]
    try:
        kernel.transaction(diff.filled(network, standing.side_of(network, link), held))
        kernel.transaction(lost)
    except NetworkError as error:
        return error
    return None


@contextmanager
def without_detection(system: System, link: str) -> Iterator[None]:
    was = mode(system, link)
    detect(system, link, "0")
    try:
        yield
    finally:
        detect(system, link, was)


def detect(system: System, link: str, mode: str) -> None:
    """``mode`` as in the kernel's setting. Without IPv6 there is none."""
    if mode and system.exists(DETECTION.format(link)):
        system.write(DETECTION.format(link), mode)


def mode(system: System, link: str) -> str:
    return system.read_or(DETECTION.format(link), "")
