"""A host and its gateway in network namespaces of their own: ``eth0`` there, ``lan0`` here, a veth pair between."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from support.dying import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
HOST_MAC, GATEWAY_MAC = "52:54:00:aa:00:11", "52:54:00:aa:00:01"
HOST4, GATEWAY4, HOST6, GATEWAY6 = "10.9.0.11", "10.9.0.1", "2001:db8:9::11", "2001:db8:9::1"
CONFIRMATIONS = {"--confirm", "--auto-confirm", "--no-confirm"}

ENTER = 'mount -t sysfs -o ro sysfs "$0/sys" && exec chroot "$0" "$@"'

PLAIN = """
link set eth0 up
addr add 10.9.0.11/24 brd 10.9.0.255 dev eth0
addr add 2001:db8:9::11/64 dev eth0 nodad
"""
DEFAULT_ROUTES = """
route add default via 10.9.0.1 metric 100
route add default via 2001:db8:9::1 metric 1024 pref high
"""
# What a host may hold on one link; each line has something that a careless move loses.
FURNITURE = """
addr add 10.9.0.12/24 dev eth0 label eth0:1
addr add 10.77.0.1 peer 10.77.0.2/32 dev eth0
addr add 192.168.50.1/24 dev eth0 noprefixroute
addr add 10.88.0.1/24 dev eth0 scope link valid_lft 3600 preferred_lft 1800
addr add 172.20.0.1/16 metric 50 dev eth0
addr add 2001:db8:9::12/64 dev eth0 valid_lft 7200 preferred_lft 3600
addr add 2001:db8:a::1/64 dev eth0 noprefixroute
addr add 2001:db8:b::1/128 dev eth0 preferred_lft 0
route add 172.31.0.0/16 via 10.9.0.2 mtu 1400 advmss 1200
route add 172.30.0.0/16 via 10.9.0.2 metric 7 proto static src 10.9.0.12
route add 192.168.50.0/24 dev eth0 metric 20 proto static scope link
route add 10.200.0.0/16 nexthop via 10.9.0.2 weight 2 nexthop via 10.9.0.3
route add 10.201.0.0/16 via 10.99.0.1 dev eth0 onlink
route add default via 10.9.0.3 table 100
route add local 10.60.0.0/24 dev eth0
route add 10.202.0.0/16 via inet6 2001:db8:9::1 dev eth0
route add 2001:db8:f::/48 via 2001:db8:9::2 mtu 1380 metric 77
route add 2001:db8:e::/48 via 2001:db8:9::2 expires 3600
route add 2001:db8:d::/48 table 100 nexthop via 2001:db8:9::2 nexthop via 2001:db8:9::3
"""


@dataclass(frozen=True)
class Lab:
    host: str  # names of the namespaces
    gateway: str
    state: Path  # virtkit's state directory
    root: Path  # the host's own (house.py)

    @property
    def guest(self) -> str:
        """The name of a further namespace, for tests that want a machine on a bridge."""
        return f"{self.host}-guest"

    def run(self, *command: str, check: bool = True, inside: str = "") -> subprocess.CompletedProcess[str]:
        there = self.command(*command, inside=inside)
        done = subprocess.run(there, capture_output=True, text=True, check=False, env=self.environment)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *command: str, inside: str = "") -> subprocess.Popen[str]:
        there, pipe = self.command(*command, inside=inside), subprocess.PIPE
        return subprocess.Popen(there, stdout=pipe, stderr=pipe, text=True, env=self.environment)

    def command(self, *command: str, inside: str = "") -> list[str]:
        """In the host's own root, with the /sys of its network namespace; ``inside`` another namespace only there."""
        if inside:
            return ["ip", "netns", "exec", inside, *command]
        return ["ip", "netns", "exec", self.host, "unshare", "-m", "sh", "-c", ENTER, str(self.root), *command]

    @property
    def environment(self) -> Mapping[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "SSH_CONNECTION"}
        return {**kept, "VIRTKIT_STATE_DIR": str(self.state)}

    def virtkit(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Nobody is here to confirm what is done with -y, unless a test says how."""
        words = set(arguments)
        alone = ["--no-confirm"] if {"bridge", "-y"} <= words and not words & CONFIRMATIONS else []
        return self.run(sys.executable, "-m", "virtkit", *arguments, *alone, check=check)

    def doomed(self, place: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """virtkit that kills itself there: ``Log.write return 3`` (support/dying)."""
        return self.run("env", f"VIRTKIT_DIES={place}", sys.executable, "-c", PROGRAM, *arguments, check=False)

    def closed(self) -> None:
        """Until no change is open any more: a guardian has done what it had to."""
        for _ in range(400):
            if not list(self.state.glob("journal/*.switch")):
                return
            time.sleep(0.05)
        raise AssertionError("a change is open after 20 s")

    def ip(self, lines: str, *, inside: str = "") -> None:
        """``ip -batch`` stops at the first line that is refused."""
        command = ["ip", "-n", inside or self.host, "-batch", "-"]
        done = subprocess.run(command, input=lines, text=True, check=False, capture_output=True)
        assert done.returncode == 0, done.stderr

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """What iproute2 sees: it knows nothing of virtkit."""
        command = ["ip", "-n", self.host, "-j", "-d", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout or "[]")
        assert isinstance(found, list)
        return [entry for entry in found if entry]

    def call(self, function: Callable[[], T]) -> T:
        """Run ``function`` in a thread that lives in the host's namespace."""

        def there() -> T:
            fd = os.open(f"/run/netns/{self.host}", os.O_RDONLY)
            try:
                assert ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            finally:
                os.close(fd)
            return function()

        with ThreadPoolExecutor(1) as threads:
            return threads.submit(there).result()


def build(lab: Lab) -> None:
    for name in (lab.host, lab.gateway):
        subprocess.run(["ip", "netns", "add", name], check=True)
        lab.ip("link set lo up", inside=name)
    lab.ip(f"link add eth0 address {HOST_MAC} type veth peer name lan0 address {GATEWAY_MAC} netns {lab.gateway}")
    lab.ip(PLAIN)
    lab.ip(
        f"link set lan0 up\naddr add {GATEWAY4}/24 dev lan0\naddr add {GATEWAY6}/64 dev lan0 nodad", inside=lab.gateway
    )
    lab.ip(DEFAULT_ROUTES)


def furnish(lab: Lab) -> None:
    lab.ip(FURNITURE)


def settle(lab: Lab) -> None:
    """Until no address is under detection of duplicates, and the links have their own."""
    for _ in range(200):
        found = [address for link in lab.json("addr", "show", "up") for address in link["addr_info"]]
        own = [address for address in found if address["local"].startswith("fe80")]
        if own and not any(address.get("tentative") for address in found):
            return
        time.sleep(0.05)
    raise AssertionError("addresses are tentative after 10 s")


@contextmanager
def undetected(lab: Lab) -> Iterator[None]:
    """Without the detection of duplicates, which takes up to 2 s: on ``eth0`` and on links that are new."""
    for value in (0, 1):
        settings = (f"net.ipv6.conf.{which}.accept_dad={value}" for which in ("eth0", "default"))
        lab.run("sysctl", "-qw", *settings)
        if not value:
            yield


def silence(lab: Lab) -> None:
    """The gateway hears nothing any more: its carrier stays."""
    for family in ("iptables", "ip6tables"):
        lab.run(family, "-I", "INPUT", "-i", "lan0", "-j", "DROP", inside=lab.gateway)
    lab.run("arptables", "-A", "INPUT", "-i", "lan0", "-j", "DROP", inside=lab.gateway)


def remove(lab: Lab) -> None:
    """With every process that still runs there: DHCP clients and other daemons that scripts started."""
    for name in (lab.host, lab.gateway, lab.guest):
        found = subprocess.run(["ip", "netns", "pids", name], check=False, capture_output=True, text=True)
        for pid in found.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
