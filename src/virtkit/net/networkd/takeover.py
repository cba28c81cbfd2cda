"""systemd-networkd takes over links as they stand, without a packet lost; version 252 without being started anew.

What is in the way was seen with 252, and is documented nowhere:

- it drops the addresses and routes that it finds on a link, and puts its own in their place, those of DHCP and router
  advertisements when the next answer comes. KeepConfiguration=static keeps them if they look static, so they are made
  to until it has its own. (=dhcp would keep them too, and for ever: a lease would never end.) It stands in a drop-in
  below /run until the next start of the host: if it went earlier, the next reload for whatever reason would configure
  the link anew, and drop them for a moment;
- a bridge that exists already is not "ready", and its port waits for it without end, until the kernel says something
  about the bridge: so it is made to; and so with the link-local address that it waits for;
- a port that leaves a bridge is gone, it thinks (the kernel says so to those who listen for bridges), and come anew:
  it would be put into the bridge again. So it is told before that the port is none of its business;
- what it sets anew lacks what it has no field for (mending.py).
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.progress import Note
from virtkit.net import replay, requests, standing
from virtkit.net.kernel import Kernel
from virtkit.net.mending import mend
from virtkit.net.model import FOREVER, FROM_ADVERTISEMENT, FROM_DHCP, STATIC, UNICAST
from virtkit.net.networkd import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.model import Address, Route, Slot
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side

RUNTIME = "/run/systemd/network"  # below /etc in rank, and gone with a reboot
HANDS_OFF = "[Match]\nName={link}\n\n[Link]\nUnmanaged=yes\n"
KEEP = """# Written by virtkit, until the next start of the host: no reload drops an address for a moment.
# What you take out of the files meanwhile stays on the link; take it off by: ip address del
[Network]
KeepConfiguration=static
"""
BY_ADDRESS, NONE = "0", "1"  # addr_gen_mode: fe80:: made from the MAC, none made
LAST_CHOICE = 0xFFFFFFF0  # a metric
SYSTEMD = "/run/systemd/system"  # sd_booted(3)
BRIEFLY = 3.0  # seconds; 0.3 are usual
PATIENCE = 40.0  # seconds; on a quiet host it waits 12 for a router's advertisement before a link counts as configured
POLL = 0.1  # seconds


def keep_out(system: System, link: str) -> None:
    """From now on it is none of its business. Not for a link with addresses: it would take them away."""
    _write(system, _hands_off(link), HANDS_OFF.format(link=link))
    if state.running(system):
        system.run(["networkctl", "reload"])


def let_in(system: System, *links: str) -> None:
    """From its next reload on they are its business again."""
    for link in links:
        system.remove(_hands_off(link))


def take_over(system: System, network_file: str, holder: str, others: tuple[str, ...], report: Sink) -> None:
    """``holder`` is configured by ``network_file``, and has what that file says; ``others`` follow from other files."""
    let_in(system, holder, *others)
    if not state.running(system):
        report(Note(f"{holder}: networkd takes it over", "it does not run, and will find the files when it starts"))
        return
    with Kernel() as kernel:
        before = standing.side_of(kernel.network(), holder)
        _write(system, keeper(network_file), KEEP)
        with _networks_announced(kernel, before), _as_if_static(kernel, before):
            system.run(["networkctl", "reload"])
            if not _adopted(system, kernel, holder, others, BRIEFLY) and _stuck(system, others):
                _restart(system, holder, report)
            _adopted(system, kernel, holder, others, PATIENCE)
        mend(kernel, before)


def _adopted(system: System, kernel: Kernel, holder: str, others: tuple[str, ...], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while waiting(system, holder, others):
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL)
        _speak_of(system, kernel, (holder, *others))
    return True


def _stuck(system: System, others: tuple[str, ...]) -> bool:
    """A port waits for nothing but its bridge, which version 257 takes for one that could not be made."""
    return any(state.of(system, name).get("ADMIN_STATE") != "configured" for name in others)


def _restart(system: System, holder: str, report: Sink) -> None:
    if system.exists(SYSTEMD):
        report(Note(f"{holder}: networkd takes it over", "systemd-networkd is started anew for it"))
        stopped = time.time_ns()
        system.run(["systemctl", "restart", "systemd-networkd.service"])
        deadline = time.monotonic() + PATIENCE
        while state.said_at(system, holder) < stopped and time.monotonic() < deadline:  # what it said before is stale
            time.sleep(POLL)


def waiting(system: System, holder: str, others: tuple[str, ...] = ()) -> str:
    """What is not as it should be yet; empty: all is."""
    for link in (holder, *others):
        found = state.of(system, link).get("ADMIN_STATE", "unknown")
        if found != "configured":
            return f"state of {link} is {found}, expected configured"
    return _lease_missing(system, holder)


def _lease_missing(system: System, holder: str) -> str:
    with Kernel() as kernel:
        held = standing.side_of(kernel.network(), holder)
    leased = [address.local for address in held.addresses if address.leased]
    if leased and state.lease(system, holder).get("ADDRESS") not in leased:
        return f"no DHCP client on {holder} for {leased[0]}"
    return ""


def _speak_of(system: System, kernel: Kernel, names: tuple[str, ...]) -> None:
    """What is set to what it is already makes the kernel tell everybody about it."""
    network = kernel.network()
    for name in filter(network.by_name.__contains__, names):
        link = network.by_name[name]
        own = [address for address in network.addresses_of(link) if address.automatic]
        alias = [requests.set_alias(name, link.alias)] if link.kind == "bridge" else []
        kernel.transaction([*alias, *(replay.add(address, name, at_once=False) for address in own)])
        if not own:
            _make_link_local(system, name)


@contextmanager
def _as_if_static(kernel: Kernel, side: Side) -> Iterator[None]:
    lent = [address for address in side.addresses if address.valid != FOREVER]
    routes = {route.slot: route for route in side.routes if route.protocol in (FROM_DHCP, FROM_ADVERTISEMENT)}
    static = [replace(address, preferred=FOREVER, valid=FOREVER) for address in lent]
    kernel.transaction([replay.add(address, side.name, at_once=False) for address in static])
    kernel.transaction([replay.supplant(replay.with_protocol(r, STATIC), side.name) for r in routes.values()])
    try:
        yield
    finally:
        now = standing.side_of(kernel.network(), side.name)
        kernel.transaction([*_lent_again(lent, now), *_by_their_own(routes, now)])


def _lent_again(lent: list[Address], now: Side) -> Iterator[Request]:
    """What has got no lifetime from the daemon has the one that it had."""
    endless = {address.text for address in now.addresses if address.valid == FOREVER}
    for address in lent:
        if address.text in endless:
            yield replay.add(address, now.name, at_once=False)


def _by_their_own(routes: dict[Slot, Route], now: Side) -> Iterator[Request]:
    """The daemon's own routes instead of the copies; the old ones where it has none yet."""
    own = {(route.slot, route.protocol) for route in now.routes}
    for slot, route in routes.items():
        if (slot, STATIC) in own:
            replaced = (slot, route.protocol) in own
            copy = replay.with_protocol(route, STATIC)
            yield replay.withdraw(copy, now.name) if replaced else replay.supplant(route, now.name)


@contextmanager
def _networks_announced(kernel: Kernel, side: Side) -> Iterator[None]:
    """It sets no route whose gateway is in none of the networks that it has heard of.

    Of a link that it takes for a new one it has not heard the routes that are there: so each of them comes once more,
    meanwhile, where nobody uses it.
    """
    plain = [route for route in side.routes if not any(hop.gateway for hop in route.nexthops) and not route.drifts]
    again = [replay.with_metric(route, LAST_CHOICE) for route in plain if route.type == UNICAST]
    kernel.transaction([replay.append(route, side.name) for route in again])
    try:
        yield
    finally:
        kernel.transaction([replay.withdraw(route, side.name) for route in again])


def _make_link_local(system: System, name: str) -> None:
    """A link that is up gets none when it is allowed to by netlink: it has to be forbidden and allowed again."""
    mode = f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode"
    if system.read_or(mode, "") == BY_ADDRESS:
        system.write(mode, NONE)
        system.write(mode, BY_ADDRESS)


def keeper(network_file: str) -> str:
    """The drop-in that keeps addresses; it is as old as the take-over."""
    return f"{RUNTIME}/{os.path.basename(network_file)}.d/zz-virtkit.conf"


def _hands_off(link: str) -> str:
    """Sorts before every other file, and so wins."""
    return f"{RUNTIME}/!!virtkit-{link}.network"


def _write(system: System, path: str, text: str) -> None:
    system.path(path).parent.mkdir(parents=True, exist_ok=True)
    system.replace(path, text.encode())
