"""``virtkit vm view``: the desktop's viewer where there is one, else how to get there from one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.screen import Address

_FREE_PORT = 5999  # on the desk's side: VNC's own begin at 5900


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("--print", action="store_true", help="print the address and stop")
    options.output(parser)
    parser.set_defaults(run=_view)


def _view(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.system import System

    found = vm.view(args.name)
    for address in found:
        if address.open:
            console.note(f"note: port {address.port} is open to every host that reaches this one; a socket is not")
    if console.json:
        console.data([dict(address._asdict()) for address in found])
    elif args.print:
        for address in found:
            console.line(address.uri or f"{_connect()} {args.name} --attach")
    elif viewer := _viewer(args.name, found):
        System().hand_over(viewer)
    else:
        for line in _elsewhere(args.name, found[0]):
            console.line(line)
        return 1
    return 0


def _viewer(name: str, found: Sequence[Address]) -> list[str]:
    """virt-viewer asks libvirt for the connection, which works for sockets, too; nothing without a desktop."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return []
    if shutil.which("virt-viewer"):
        return [*_connect().split(), "--attach", name]
    remote = shutil.which("remote-viewer")
    return [remote, found[0].uri] if remote and found[0].uri else []


def _connect() -> str:
    from virtkit.vm import connection

    return f"virt-viewer --connect {connection.default_uri()}"


def _elsewhere(name: str, address: Address) -> list[str]:
    """What to type, here and at a desk."""
    import getpass
    import socket

    desktop = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    here = f"root@{socket.gethostname()}" if os.geteuid() == 0 else f"{getpass.getuser()}@{socket.gethostname()}"
    missing = "virt-viewer is not installed: apt install virt-viewer" if desktop else "this session has no desktop"
    lines = [f"{name}: not shown: {missing}", f"  its screen: {address.uri or 'through libvirt alone'}"]
    kind = address.uri.partition("+")[0].partition(":")[0]
    far = address.socket or f"{address.host}:{address.port}"
    if address.uri:
        lines += [
            "  from your desk, in one terminal:  " + f"ssh -NL {_FREE_PORT}:{far} {here}",
            "  and in another:                   " + f"remote-viewer {kind}://localhost:{_FREE_PORT}",
        ]
    scheme = "system" if os.geteuid() == 0 else "session"
    return [
        *lines,
        f"  or, with libvirt on your desk:    virt-viewer --connect qemu+ssh://{here}/{scheme} {name}",
        f"  a picture of it:                  virtkit vm screenshot {name}",
    ]
