"""The way of frames while a port changes hands.

The kernel itself drops what comes in then: a bridge catches a port's frames before it lets them through, and stops
them before it lets go of them (br_add_if and del_nbp in net/bridge/br_if.c, 20 to 50 us). And what is answered over
the bridge (ICMPv6 answers over the link that asked) needs a port that is not there yet, or no more.

So for that moment there is a spare port: one end of a pair of throw-away links is a port of the bridge, and two rules
of nftables join the other end to the port that changes hands, both ways. Only frames to the host's own MAC come in
that way: those to all would be sent back to where they came from. The rules go with the socket that made them, also
when this process is killed. A tc filter would not do: to add its queue stops what the port sends. A kernel without
nftables' fwd or with a table's owner unknown (before Linux 5.12) goes without, and loses the 20 to 50 us.

A strict reverse path filter (RFC 3704; net.ipv4.conf.*.rp_filter 1) would drop frames too, because the routes do not
change in the same instant: it is loose for that moment.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.net import nft, requests
from virtkit.net.kernel import PacketFilter
from virtkit.net.model import ALL_LINKS, STRICT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.net.model import Link, Network
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side

LOOSE = 2  # a source that is reachable over any link


def way_out(port: Link, spare: Link) -> AbstractContextManager[bool]:
    """What the bridge sends to its spare port leaves by ``port``. ``spare`` is the end that is no port of the bridge.

    This way is opened before the way in and closed after it: who answers over the bridge needs it. False: the kernel
    cannot do it.
    """
    return _way(spare, port)


def way_in(port: Link, spare: Link) -> AbstractContextManager[bool]:
    """What comes in over ``port`` for this host reaches the bridge over its spare port."""
    return _way(port, spare, port.mac)


@contextmanager
def _way(link: Link, out: Link, mac: str = "") -> Iterator[bool]:
    table = f"virtkit-{link.name}"
    rules = _rules(nft.batch([nft.table(table), nft.chain(table, link), nft.forward(table, link, out, mac)]))
    with rules or nullcontext():
        yield rules is not None


def _rules(batch: list[nft.Part]) -> PacketFilter | None:
    try:
        rules = PacketFilter()
    except NetworkError:
        return None
    try:
        rules.add(batch)
    except NetworkError:
        rules.close()
        return None
    return rules


def loosened(network: Network, sides: Iterable[Side]) -> list[Request]:
    """Their reverse path filters, as far as they are strict."""
    return [
        requests.set_rp_filter(side.name, LOOSE) for side in sides if side.index and _is_strict(network, side.index)
    ]


def tightened(network: Network, sides: Iterable[tuple[Side, Side]], *, moving: bool) -> list[Request]:
    """What ``loosened`` changed, as it should be; also what a run that was killed has left loose."""
    return [
        requests.set_rp_filter(now.name, should.source_check)
        for now, should in sides
        if now.index and 0 <= should.source_check < LOOSE
        if now.source_check == LOOSE or (moving and _is_strict(network, now.index))
    ]


def _is_strict(network: Network, index: int) -> bool:
    """The kernel takes the larger one of a link's setting and that for all links (ip-sysctl.rst)."""
    checks = network.source_checks
    return max(checks.get(index, 0), checks.get(ALL_LINKS, 0)) == STRICT
