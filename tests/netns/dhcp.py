"""A DHCP server at the lab's gateway."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from netns.networkd import process, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netns.lab import Lab

POOL = ("10.9.0.50", "10.9.0.99")


@contextmanager
def server(lab: Lab, *options: str, pool: tuple[str, str] = POOL) -> Iterator[Path]:
    """-> the leases that it gave, as its own file. It gives each for 2 minutes, without a ping before."""
    leases, log = lab.state.with_name("leases"), _log(lab)
    flags = ("-d", "-p", "0", "-i", "lan0", "--conf-file=/dev/null", "--pid-file=", "--no-ping", "--dhcp-authoritative")
    given = (f"--dhcp-leasefile={leases}", f"--dhcp-range={','.join(pool)},2m")
    command = lab.command("dnsmasq", *flags, *given, *options, inside=lab.gateway)
    with log.open("a") as file, process(command, stderr=file):
        until(lambda: "DHCP, IP range" in log.read_text(), "a DHCP server")
        yield leases


def acknowledged(lab: Lab) -> int:
    """How many leases the server has given or renewed."""
    return _log(lab).read_text().count("DHCPACK")


def _log(lab: Lab) -> Path:
    return lab.state.with_name("dnsmasq.log")
