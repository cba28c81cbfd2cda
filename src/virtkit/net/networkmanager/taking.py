"""NetworkManager takes a link that is in use, and lets go of a port, without a packet lost.

It empties a link before it activates a profile on it. So it activates an *interim* profile, with which the link holds
nothing: on a bridge before the move, while that is empty still, and on a port while a spare port stands in for it.
What the kernel then moves there it leaves alone. Later it reapplies the real profile, and nothing goes down.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.net import handover, standing
from virtkit.net.kernel import Kernel
from virtkit.net.model import FROM_KERNEL, IPV4, IPV6
from virtkit.net.networkmanager import daemon, reapplying, rendering

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.model import Link
    from virtkit.net.networkmanager.daemon import Device
    from virtkit.net.networkmanager.keyfile import Keyfile
    from virtkit.net.standing import Side, Standing

MODE = 0o600  # NetworkManager does not read a profile that others may read


def known(system: System, link: str) -> Device:
    device = daemon.device(system, link)
    if device is None:
        raise NotFoundError(f"{link}: NetworkManager does not know it", hint="nmcli device")
    return device


def metrics(system: System, held: Side) -> tuple[int, int]:
    """Of a link's IPv4 and IPv6 routes whose profile names none; 0: not known.

    NetworkManager keeps it for its next start, but forgets it for a link that it has reapplied a profile to.
    """
    kept = daemon.device_file(system, held.name)
    if metric := kept.get("device", "route-metric-default-effective") if kept else "":
        return int(metric), int(metric)
    four, six = (_prefix_metric(held, family) for family in (IPV4, IPV6))
    return four, six


def _prefix_metric(held: Side, family: int) -> int:
    """Of the route to the link's own network, which has no metric of its own in a profile."""
    routes = (route for route in held.routes if route.family == family and route.protocol == FROM_KERNEL)
    return next((route.metric for route in routes if route.metric), 0)


def kernel_link(name: str) -> Link:
    with Kernel() as kernel:
        link = kernel.link(name)
    if link is None:
        raise NotFoundError(f"{name}: no such link")
    return link


def tell(system: System, path: str, profile: Keyfile) -> None:
    """A profile for a passing moment, below /run."""
    system.replace(path, profile.text.encode("utf-8", "surrogateescape"), MODE)
    daemon.load(system, [path])


def introduce(system: System, bridge: str, uuid: str) -> None:
    """The bridge is empty, and NetworkManager has been told its interim profile."""
    reapplying.detect(system, bridge, "0")
    daemon.activate(system, uuid, bridge)


def let_go(system: System, port: str, bridge: str, uuid: str) -> None:
    """For NetworkManager the port stands alone, by its interim profile; in the kernel it is as it was."""
    with Kernel() as kernel:
        now = standing.read(kernel.network(), port, bridge)
        with handover.lent(kernel, _joined(now)), reapplying.without_detection(system, port):
            daemon.activate(system, uuid, port)


def rejoin(port: str, bridge: str) -> None:
    """A run that was killed while NetworkManager had the port out left the bridge without it, beside the spare one."""
    with Kernel() as kernel:
        now = standing.read(kernel.network(), port, bridge)
        if handover.is_lent(now):
            handover.bring(kernel, _joined(now))


def _joined(now: Standing) -> Standing:
    return replace(now, port=replace(now.port.without_holdings(), up=True, master=now.bridge.name))


def take(system: System, link: str, uuid: str) -> None:
    """As the link stands, by its real profile, which NetworkManager has read."""
    device = daemon.settled(system, link)
    if device.uuid != uuid:
        daemon.activate(system, uuid, link)
        return
    daemon.wait(lambda: _unfinished(known(system, link), link))
    if daemon.applied(system, device)["connection"].get("id", "").startswith(rendering.INTERIM):
        with reapplying.without_detection(system, link):
            reapplying.reapply(system, device, link)


def take_port(system: System, port: str, uuid: str, bridge: str) -> None:
    if not daemon.is_port(system, daemon.settled(system, port)):
        daemon.activate(system, uuid, port)
    reapplying.detect(system, bridge, reapplying.mode(system, port))


def await_lease(system: System, link: str, profile: Keyfile) -> None:
    daemon.wait(lambda: unleased(system, link, profile))


def unleased(system: System, link: str, profile: Keyfile) -> str:
    """What is missing where the profile's addresses come from a DHCP server; empty: nothing."""
    device = known(system, link)
    if unfinished := _unfinished(device, link):
        return unfinished
    if rendering.method_of(profile, "ipv4") == "auto" and not device.lease4:
        return f"no DHCP client on {link}"
    if rendering.method_of(profile, "ipv6") == "dhcp" and not device.lease6:
        return f"no DHCPv6 client on {link}"
    return ""


def not_port(system: System, port: str, bridge: str) -> str:
    if daemon.is_port(system, device := known(system, port)):
        return ""
    return f"{port} is {device.said}, expected connected as a port of {bridge}"


def _unfinished(device: Device, link: str) -> str:
    """Before the carrier has come NetworkManager has not taken it."""
    return "" if device.state == daemon.ACTIVATED else f"{link} is {device.said}, expected connected"
