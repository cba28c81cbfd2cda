"""Carries a port and its bridge from how they stand to how they should stand, without a packet lost.

The kernel takes notice of a link's first carrier at most once a second, and until then drops what is sent over it: so
the bridge gets its carrier before the port comes, from a pair of throw-away links.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError, NotFoundError
from virtkit.net import crossing, diff, standing
from virtkit.net.model import OPERATIONAL
from virtkit.net.requests import (
    create_veth,
    delete_link,
    set_alias,
    set_flooding,
    set_isolated,
    set_master,
    set_up,
    without_link_local,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    leaves = now.joined and not should.port.master
    try:
        if (joins and not now.port.empty) or (leaves and not now.bridge.empty):
            remove_leftovers(kernel, should.port)
            _pass_over(kernel, should, now.bridge, joins=joins)
        _converge(kernel, should)
    finally:
        remove_leftovers(kernel, should.port)


@contextmanager
def lent(kernel: Kernel, should: Standing) -> Iterator[None]:
    """The port may be taken out of its bridge meanwhile, as daemons do, and is back in it afterwards.

    A spare port stands in for it. Nothing passes between the two, and so nothing comes back to where it came from.
    """
    name, (near, far) = should.port.name, _warmer(should.port)
    remove_leftovers(kernel, should.port)
    try:
        _warm_up(kernel, should.bridge, near, far, joins=True)
        kernel.transaction([set_isolated(port, on=True) for port in (name, near)])
        network = kernel.network()
        port, spare = network.by_name[name], network.by_name[far]
        with crossing.way_out(port, spare), crossing.way_in(port, spare):
            try:
                yield
            finally:
                back = set_master(name, should.bridge.index, should.bridge.name)
                kernel.transaction([back, set_isolated(name, on=False), set_flooding(near, on=False), set_up(name)])
    finally:
        remove_leftovers(kernel, should.port)


def is_lent(now: Standing) -> bool:
    """Whether a run that was killed in between left a spare port in the place of the port."""
    return not now.port.master and _warmer(now.port)[0] in now.others


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
        left = diff.steps(network, now, should).all
        if not left:
            return
        kernel.transaction(left)
    raise NetworkError(f"{should.port.name}: still to do after {ROUNDS} rounds: {left[0].what}")


def _pass_over(kernel: Kernel, should: Standing, bridge: Side, *, joins: bool) -> None:
    """The change of hands itself, with a spare port that stands in for the port meanwhile."""
    near, far = _warmer(should.port)
    _warm_up(kernel, bridge, near, far, joins=joins)
    network = kernel.network()
    now = standing.read(network, should.port.name, should.bridge.name)
    port, spare = network.by_name[should.port.name], network.by_name[far]
    kernel.transaction(diff.steps(network, now, should).before)
    with crossing.way_out(port, spare) as out:
        with crossing.way_in(port, spare) as both:
            _, move, after = diff.steps(network, now, should, spare=near if out and both else "")
            kernel.transaction(move if both else [*move, *after])
        kernel.transaction(after if both else [])


def _warmer(port: Side) -> tuple[str, str]:
    """Names by the port's index: found again by another process, and never longer than a name may be."""
    return f"vkw{port.index}", f"vkp{port.index}"


def _warm_up(kernel: Kernel, bridge: Side, near: str, far: str, *, joins: bool) -> None:
    """A bridge whose carrier does not come is joined all the same: it costs a second of silence, not the host."""
    pair = (near, far)
    kernel.transaction(
        [
            create_veth(near, far),
            *(set_alias(name) for name in pair),
            *(without_link_local(name) for name in pair),
            set_master(near, bridge.index, bridge.name),
            set_flooding(near, on=joins),
            *(set_up(name) for name in pair),
        ]
    )
    deadline = time.monotonic() + CARRIER_PATIENCE
    while time.monotonic() < deadline:
        ready = {link.name for link in kernel.links() if link.operstate == OPERATIONAL}
        if {bridge.name, *pair} <= ready:
            return
        time.sleep(CARRIER_POLL)
