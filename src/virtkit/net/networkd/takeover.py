"""systemd-networkd takes over links as they stand, without a packet lost and without being started anew.

Three things are in the way, all seen with 252 and none of them documented:

- it drops the addresses that it finds on a link and puts its own in their place: KeepConfiguration=yes, in a drop-in
  below /run that is gone when it has taken over, keeps them;
- a bridge that exists already is not "ready", and its port waits for it without end, until the kernel says something
  about the bridge: so it is made to;
- what it sets anew lacks what it has no field for (mending.py).
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.progress import Note
from virtkit.net import requests, standing
from virtkit.net.kernel import Kernel
from virtkit.net.mending import mend
from virtkit.net.networkd import state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.core.system import System

RUNTIME = "/run/systemd/network"  # below /etc in rank, and gone with a reboot
HANDS_OFF = "[Match]\nName={bridge}\n\n[Link]\nUnmanaged=yes\n"
KEEP = "[Network]\nKeepConfiguration=yes\n"
NETDEV_PATIENCE = 0.3  # seconds that it needs at most to look for the bridge's device after a reload
PATIENCE = 20.0  # seconds; it waits 12 for a router's advertisement before a link counts as configured
POLL = 0.05  # seconds


def keep_out(system: System, bridge: str) -> None:
    """Before a bridge is made whose MAC or name a file matches already: else it gets the port's addresses as well."""
    _write(system, _hands_off(bridge), HANDS_OFF.format(bridge=bridge))
    if state.running(system):
        system.run(["networkctl", "reload"])


def take_over(system: System, network_file: str, holder: str, others: tuple[str, ...], report: Sink) -> None:
    """``holder`` is configured by ``network_file``, and has what that file says; ``others`` follow from other files."""
    for name in (holder, *others):
        _remove(system, _hands_off(name))
    if not state.running(system):
        report(Note(f"{holder}: networkd takes it over", "it does not run, and will find the files when it starts"))
        return
    with Kernel() as kernel:
        before = standing.side_of(kernel.network(), holder)
        with _kept(system, network_file):
            system.run(["networkctl", "reload"])
            time.sleep(NETDEV_PATIENCE)
            _speak_of(kernel, (holder, *others))
            deadline = time.monotonic() + PATIENCE
            while time.monotonic() < deadline and waiting(system, holder, others):
                time.sleep(POLL)
        mend(kernel, before)


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


def _speak_of(kernel: Kernel, names: tuple[str, ...]) -> None:
    """An alias that is set, even to what it is, makes the kernel tell everybody about the link."""
    for name in names:
        link = kernel.link(name)
        if link and link.kind == "bridge":
            kernel.transaction([requests.set_alias(name, link.alias)])


@contextmanager
def _kept(system: System, network_file: str) -> Iterator[None]:
    drop_in = f"{RUNTIME}/{os.path.basename(network_file)}.d/zz-virtkit.conf"
    _write(system, drop_in, KEEP)
    try:
        yield
    finally:
        _remove(system, drop_in)


def _hands_off(bridge: str) -> str:
    return f"{RUNTIME}/00-virtkit-{bridge}.network"


def _write(system: System, path: str, text: str) -> None:
    system.path(path).parent.mkdir(parents=True, exist_ok=True)
    system.replace(path, text.encode())


def _remove(system: System, path: str) -> None:
    system.remove(path)
    if path.endswith(".conf") and not system.names(os.path.dirname(path)) and system.exists(os.path.dirname(path)):
        system.path(path).parent.rmdir()
