"""The changes of the recipes' own: a small LAN beside the host, in a network namespace."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import CommandError, SystemCallError, VerifyError
from virtkit.core.plan import Action
from virtkit.recipes import files  # noqa: F401  likewise
from virtkit.recipes.appliance import actions as appliance  # noqa: F401  the journal finds them here
from virtkit.recipes.appliance import fitting  # noqa: F401  likewise
from virtkit.recipes.backups import action as backups  # noqa: F401  likewise
from virtkit.recipes.making import filesystem  # noqa: F401  likewise
from virtkit.recipes.removal import volumes  # noqa: F401  likewise
from virtkit.recipes.seed import actions as seed  # noqa: F401  likewise
from virtkit.recipes.snapshots import overlays  # noqa: F401  likewise

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

FIRST_LEASE, LAST_LEASE = 100, 200  # last byte of the addresses that are handed out
LEASE_TIME = "1h"

_DHCP_PORT = ":0043 "  # 67, as /proc/net/udp writes a local address
_STOP_SECONDS = 3.0
_SETTLE_SECONDS = 2.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class RuntimeDirectory(Action):
    """Made first and removed last: while it is there, what bears the lab's names is the lab's."""

    kind: ClassVar[str] = "recipes.runtime_directory"
    sign: ClassVar[str] = "+"
    path: str

    def describe(self) -> str:
        return f"{self.path}: directory for the leases and the log"

    def capture(self, system: System) -> Json:
        """Its inode number; None where there is none."""
        return _inode(system, self.path)

    def apply(self, system: System, report: Sink) -> None:
        try:
            system.path(self.path).mkdir()
        except OSError as error:
            raise SystemCallError(f"make {self.path}", error) from error

    def verify(self, system: System) -> None:
        if not system.path(self.path).is_dir():
            raise VerifyError(self.describe(), "is not there")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            shutil.rmtree(system.path(self.path), ignore_errors=True)


@dataclass(frozen=True)
class Namespace(Action):
    kind: ClassVar[str] = "recipes.namespace"
    sign: ClassVar[str] = "+"
    name: str

    def describe(self) -> str:
        return f"{self.name}: network namespace that plays the router"

    def capture(self, system: System) -> Json:
        """The inode number: another namespace of the same name has another."""
        return _inode(system, _namespace_file(self.name))

    def apply(self, system: System, report: Sink) -> None:
        system.run(["ip", "netns", "add", self.name])

    def verify(self, system: System) -> None:
        system.run(["ip", "-n", self.name, "link", "show", "lo"])

    def undo(self, system: System, before: Json) -> None:
        if before is None and system.exists(_namespace_file(self.name)):
            system.run(["ip", "netns", "del", self.name])


@dataclass(frozen=True)
class Veth(Action):
    """A cable from the host into the namespace. The host's end is up and has no address, not even a link-local one."""

    kind: ClassVar[str] = "recipes.veth"
    sign: ClassVar[str] = "+"
    outside: str
    inside: str
    namespace: str
    address: str  # of the inside end, with its prefix length

    def describe(self) -> str:
        return f"{self.outside}: cable to {self.inside} {self.address} in {self.namespace}"

    def capture(self, system: System) -> Json:
        """The number of the host's end; None where there is none."""
        listed = system.run(["ip", "-o", "link", "show", "dev", self.outside], check=False)
        return None if listed.status else listed.stdout.partition(":")[0]

    def apply(self, system: System, report: Sink) -> None:
        inner = ["ip", "-n", self.namespace]
        ends = [self.outside, "type", "veth", "peer", "name", self.inside, "netns", self.namespace]
        system.run(["ip", "link", "add", *ends])
        system.run([*inner, "link", "set", "lo", "up"])
        system.run([*inner, "address", "add", self.address, "dev", self.inside])
        for command, link in (([*inner], self.inside), (["ip"], self.outside)):
            system.run([*command, "link", "set", link, "addrgenmode", "none", "up"])

    def verify(self, system: System) -> None:
        ends = ((self.inside, self.namespace, ["UP", self.address]), (self.outside, "", ["UP"]))
        for link, namespace, wanted in ends:
            found = _settled(system, link, namespace, wanted)
            if found != wanted:
                raise VerifyError(self.describe(), f"{link} is {' '.join(found)}, expected {' '.join(wanted)}")

    def undo(self, system: System, before: Json) -> None:
        """The kernel may be faster: it takes the cable away some time after its namespace has ended."""
        if before is not None or self.capture(system) is None:
            return
        command = ["ip", "link", "del", self.outside]
        done = system.run(command, check=False)
        if done.status and self.capture(system) is not None:
            raise CommandError(command, done.status, done.stderr)


@dataclass(frozen=True)
class DhcpServer(Action):
    """dnsmasq on one link of the namespace: addresses and a router, no DNS."""

    kind: ClassVar[str] = "recipes.dhcp_server"
    sign: ClassVar[str] = "+"
    namespace: str
    link: str
    address: str  # the server's and router's, with its prefix length
    directory: str

    def describe(self) -> str:
        first, last = self._range()
        return f"{self.link}: DHCP server in {self.namespace} for {first} to {last}"

    def capture(self, system: System) -> Json:
        """Whether it runs. A server that has died is the same as none."""
        return bool(self._processes(system))

    def apply(self, system: System, report: Sink) -> None:
        router = IPv4Interface(self.address)
        first, last = self._range()
        place = system.path(self.directory)
        options = [
            "--conf-file=/dev/null",
            "--port=0",
            f"--interface={self.link}",
            "--bind-interfaces",
            f"--dhcp-range={first},{last},{router.netmask},{LEASE_TIME}",
            f"--dhcp-option=option:router,{router.ip}",
            "--dhcp-authoritative",
            "--no-ping",  # nobody else hands out addresses here, and asking takes 3 s
            "--log-dhcp",
            f"--dhcp-leasefile={place}/leases",
            f"--log-facility={place}/log",
            self._mark(system),
        ]
        system.run(["ip", "netns", "exec", self.namespace, "dnsmasq", *options])

    def verify(self, system: System) -> None:
        processes = self._processes(system)
        if not processes:
            raise VerifyError(self.describe(), f"no server runs, its log is {self.directory}/log")
        if not any(_DHCP_PORT in system.read_or(f"/proc/{process}/net/udp", "") for process in processes):
            raise VerifyError(self.describe(), "nobody listens on port 67")

    def undo(self, system: System, before: Json) -> None:
        if not before:
            for signal, seconds in (("-TERM", _STOP_SECONDS), ("-KILL", _STOP_SECONDS)):
                self._stop(system, signal, seconds)

    def _range(self) -> tuple[str, str]:
        network = IPv4Interface(self.address).network
        return str(network[FIRST_LEASE]), str(network[LAST_LEASE])

    def _mark(self, system: System) -> str:
        return f"--pid-file={system.path(self.directory)}/pid"

    def _stop(self, system: System, signal: str, seconds: float) -> None:
        """Send ``signal`` and wait for the end; returns at once where nothing runs."""
        for process in self._processes(system):
            system.run(["kill", signal, process], check=False)
        until = time.monotonic() + seconds
        while self._processes(system) and time.monotonic() < until:
            time.sleep(_POLL_SECONDS)

    def _processes(self, system: System) -> list[str]:
        """The numbers of the lab's own dnsmasq: usually one, or none.

        It has written its number down or lives in the namespace (it was killed before it wrote, or the namespace's
        name is gone), and carries the lab's path on its command line: a number is reused, and a container may
        run the same lab in a namespace of its own.
        """
        written = system.read_or(f"{self.directory}/pid", "")
        home = _inode(system, _namespace_file(self.namespace))
        return [
            process
            for process in system.names("/proc")
            if process.isdecimal()
            and self._mark(system) in system.read_or(f"/proc/{process}/cmdline", "").split("\0")
            and (process == written or (home is not None and _inode(system, f"/proc/{process}/ns/net") == home))
        ]


def shown(system: System, link: str, namespace: str = "") -> list[str]:
    """A link's state and its addresses: ``["UP", "10.77.0.1/24"]``; empty where there is no such link."""
    where = ["-n", namespace] if namespace else []
    listed = system.run(["ip", *where, "-br", "address", "show", "dev", link], check=False)
    return listed.stdout.split()[1:]


def _settled(system: System, link: str, namespace: str, wanted: list[str]) -> list[str]:
    """What the link shows; the kernel tells a new cable's state a moment after it was plugged in."""
    until = time.monotonic() + _SETTLE_SECONDS
    while (found := shown(system, link, namespace)) != wanted and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    return found


def _namespace_file(name: str) -> str:
    return f"/run/netns/{name}"  # ip-netns(8)


def _inode(system: System, path: str) -> int | None:
    try:
        return os.stat(system.path(path)).st_ino
    except OSError:
        return None
