"""Ports of the host that lead into a machine on QEMU's own NAT: https://libvirt.org/formatdomain.html#userspace-connection-using-passt.

libvirt has them with passt alone (since 9.0, and Debian 12 built it without); the NAT that QEMU has itself knows none.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError, VirtkitError
from virtkit.vm.xml import element, remove

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Nic
    from virtkit.vm.xml import Element

LOCAL = "127.0.0.1"  # nobody else's port unless that is said
_FORM = re.compile(r"(?:(\d+\.\d+\.\d+\.\d+|\[[\da-fA-F:]+\]):)?(\d{1,5}):(\d{1,5})(?:/(tcp|udp))?", re.ASCII)
_PROBE = """\
<domain type='qemu'><name>probe</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os>
<devices><interface type='user'><backend type='passt'/></interface></devices></domain>"""


class Forward(NamedTuple):
    address: str  # of the host
    port: int  # there
    inside: int  # the guest's
    protocol: str = "tcp"  # or udp

    def __str__(self) -> str:
        return f"{self.address}:{self.port} -> {self.inside}/{self.protocol}"


def parse(text: str) -> Forward:
    """``2222:22``, ``0.0.0.0:8080:80``, ``5353:53/udp``: the host's, then the guest's. UsageError."""
    found = _FORM.fullmatch(text)
    if found is None or not all(1 <= int(port) <= 65535 for port in found.group(2, 3)):  # noqa: PLR2004  ports
        raise UsageError(f"forward is {text!r}, expected [ADDRESS:]PORT:PORT[/tcp|/udp], the host's port first")
    address, port, inside, protocol = found.groups()
    return Forward((address or LOCAL).strip("[]"), int(port), int(inside), protocol or "tcp")


def require(libvirt: Connection, name: str, forwards: Sequence[Forward]) -> None:
    """NotSupportedError where this host's libvirt or passt is missing."""
    if not forwards:
        return
    try:
        libvirt.check(_PROBE, name)
    except VirtkitError as error:
        first = forwards[0]
        rule = f"hostfwd_add hostnet0 {first.protocol}:{first.address}:{first.port}-:{first.inside}"
        hint = f"virsh -c {libvirt.uri} qemu-monitor-command {name} --hmp '{rule}'   (each time that it runs)"
        found = f"{name}: ports are forwarded by passt, which this libvirt does not know ({error.message})"
        raise NotSupportedError(found, hint=hint) from error
    if libvirt.local and shutil.which("passt") is None:
        raise NotSupportedError(
            f"{name}: ports are forwarded by passt, which is not installed", hint="apt install passt"
        )


def elements(forwards: Sequence[Forward]) -> list[Element]:
    """What goes into an interface of type user; nothing for none: QEMU's own NAT needs no passt."""
    if not forwards:
        return []
    return [element("backend", {"type": "passt"}), *(_element(each) for each in forwards)]


def put(nic: Nic, forwards: Sequence[Forward]) -> None:
    """In the place of those that it has."""
    for old in [*nic.node.findall("portForward"), *nic.node.findall("backend")]:
        remove(nic.node, old)
    nic.node.extend(elements(forwards))


def of(nic: Nic) -> list[Forward]:
    """Those that lead one port to one."""
    found = []
    for node in nic.node.findall("portForward"):
        for each in node.findall("range"):
            start = int(each.get("start", "0"))
            inside = int(each.get("to") or start)
            found.append(Forward(node.get("address", "*"), start, inside, node.get("proto", "tcp")))
    return found


def _element(forward: Forward) -> Element:
    ports = element("range", {"start": str(forward.port), "to": str(forward.inside)})
    return element("portForward", {"proto": forward.protocol, "address": forward.address}, ports)
