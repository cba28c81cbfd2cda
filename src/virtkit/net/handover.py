"""Carries a port and its bridge from how they stand to how they should stand, without a packet lost.

The kernel reports a bridge's first carrier at most once a second, and until then the bridge sends nothing: so the
bridge gets its carrier before the port comes, from a pair of throw-away links.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError, NotFoundError
from virtkit.net import diff, standing
from virtkit.net.model import OPERATIONAL
from virtkit.net.requests import create_veth, delete_link, set_alias, set_master, set_up, without_link_local

if TYPE_CHECKING:
    from virtkit.net.kernel import Kernel
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side, Standing

ROUNDS = 5  # one moves, one tidies up after the kernel; more only where routes hide each other
CARRIER_PATIENCE = 2.0  # seconds; 3 to 7 ms are usual
CARRIER_POLL = 0.001  # seconds


def bring(kernel: Kernel, should: Standing) -> None:
    """Until the kernel shows ``should``. NetworkError: the kernel refuses something, or does not get there."""
    now = standing.read(kernel.network(), should.port.name, should.bridge.name)
    if should.port.master and not now.bridge.index:
        raise NotFoundError(f"{should.port.master}: no such link, expected the bridge for {should.port.name}")
    joins = should.port.master == should.bridge.name and not now.joined
    try:
        if joins and not should.bridge.empty:
            remove_leftovers(kernel, should.port)
            _warm_up(kernel, now.bridge, _warmer(should.port))
        _converge(kernel, should)
    finally:
        remove_leftovers(kernel, should.port)


def remove_leftovers(kernel: Kernel, port: Side) -> None:
    """The throw-away links of a run that was killed."""
    name = _warmer(port)[0]
    if kernel.link(name):
        kernel.transaction([delete_link(name)])


def _converge(kernel: Kernel, should: Standing) -> None:
    left: list[Request] = []
    for _ in range(ROUNDS):
        network = kernel.network()
        now = standing.read(network, should.port.name, should.bridge.name)
        left = diff.requests(network, now, should)
        if not left:
            return
        kernel.transaction(left)
    raise NetworkError(f"{should.port.name}: still to do after {ROUNDS} rounds: {left[0].what}")


def _warmer(port: Side) -> tuple[str, str]:
    """Names by the port's index: found again by another process, and never longer than a name may be."""
    return f"vkw{port.index}", f"vkp{port.index}"


def _warm_up(kernel: Kernel, bridge: Side, pair: tuple[str, str]) -> None:
    """A bridge whose carrier does not come is joined all the same: it costs a second of silence, not the host."""
    near, far = pair
    kernel.transaction(
        [
            create_veth(near, far),
            *(set_alias(name) for name in pair),
            *(without_link_local(name) for name in pair),
            set_master(near, bridge.index, bridge.name),
            *(set_up(name) for name in pair),
        ]
    )
    deadline = time.monotonic() + CARRIER_PATIENCE
    while time.monotonic() < deadline:
        link = kernel.link(bridge.name)
        if link and link.operstate == OPERATIONAL:
            return
        time.sleep(CARRIER_POLL)
