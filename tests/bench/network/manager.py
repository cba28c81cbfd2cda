"""NetworkManager in the lab's root, which is told to make the bridge with its own means."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, HOST_MAC

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from netns.lab import Lab

CONFIGURATION = "[main]\nplugins=keyfile\ndns=none\n[logging]\nlevel=WARN\n"
STATIC = ["ipv4.method", "manual", "ipv4.addresses", f"{HOST4}/24", "ipv4.gateway", GATEWAY4]
DHCP = ["ipv4.method", "auto", "ipv4.may-fail", "no", "ipv4.dhcp-client-id", "mac"]
IPV6 = ["ipv6.method", "manual", "ipv6.addresses", f"{HOST6}/64", "ipv6.gateway", GATEWAY6]
POOL = f"{HOST4},{HOST4},120"
PATIENCE = 30  # seconds

_running: list[subprocess.Popen[str]] = []


def start_static(lab: Lab) -> None:
    _start(lab, STATIC)


def start_dhcp(lab: Lab) -> None:
    options = ["--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--port=0", "--interface=lan0", "--leasefile-ro"]
    _running.append(lab.start("dnsmasq", *options, f"--dhcp-range={POOL}", inside=lab.gateway))
    _start(lab, DHCP)


def bridge(lab: Lab) -> None:
    """The way of its documentation: a bridge profile, a port profile, and the bridge is brought up."""
    ipv4 = DHCP if _profile(lab, "ipv4.method") == "auto" else STATIC
    made = ["con-name", "br0", "ifname", "br0", "stp", "no", "bridge.mac-address", HOST_MAC, *ipv4, *IPV6]
    _nmcli(lab, "connection", "add", "type", "bridge", "autoconnect", "no", *made)
    port = ["con-name", "br0-port", "ifname", "eth0", "master", "br0", "autoconnect", "no"]
    _nmcli(lab, "connection", "add", "type", "ethernet", *port)
    _nmcli(lab, "connection", "up", "br0-port")
    _nmcli(lab, "--wait", str(PATIENCE), "connection", "up", "br0")


def stop(lab: Lab) -> None:
    while _running:
        daemon = _running.pop()
        daemon.kill()
        daemon.communicate()
    for place in ("etc/NetworkManager/system-connections", "run/NetworkManager"):
        subprocess.run(["rm", "-rf", lab.root / place], check=True)


def _start(lab: Lab, ipv4: Sequence[str]) -> None:
    """On a host whose link holds nothing yet: it is NetworkManager that makes all of it."""
    lab.ip("addr flush dev eth0")
    (lab.root / "etc/NetworkManager/system-connections").mkdir(parents=True, exist_ok=True)
    (lab.root / "etc/NetworkManager/NetworkManager.conf").write_text(CONFIGURATION)
    for left in ("pid", "system_bus_socket"):  # of the run before: it would pass for the new one
        (lab.root / "run/dbus" / left).unlink(missing_ok=True)
    _running.append(lab.start("dbus-daemon", "--system", "--nofork", "--nopidfile"))
    _until((lab.root / "run/dbus/system_bus_socket").exists)
    _running.append(lab.start("NetworkManager", "--no-daemon"))
    _until(lambda: lab.run("nmcli", "general", check=False).returncode == 0)
    profile = ["con-name", "uplink", "ifname", "eth0", *ipv4, *IPV6]
    _nmcli(lab, "connection", "add", "type", "ethernet", *profile)
    _nmcli(lab, "--wait", str(PATIENCE), "connection", "up", "uplink")


def _profile(lab: Lab, field: str) -> str:
    return lab.run("nmcli", "-g", field, "connection", "show", "uplink").stdout.strip()


def _nmcli(lab: Lab, *words: str) -> None:
    lab.run("nmcli", *words)


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"NetworkManager is not there after {PATIENCE} s")
