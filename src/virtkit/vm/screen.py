"""A machine's screen: a picture of it, and where a viewer reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotSupportedError
from virtkit.vm import library, png

if TYPE_CHECKING:
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Graphics
    from virtkit.vm.machine import Machine

_CHUNK = 1 << 20
_ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  found in others' XML, and told


class Address(NamedTuple):
    """Where a viewer reaches a screen."""

    uri: str  # as remote-viewer takes it; empty: through libvirt alone, which hands out the connection itself
    socket: str  # the socket file; empty: there is none
    host: str  # of a TCP port
    port: int
    open: bool  # whether any host may connect


def screenshot(libvirt: Connection, machine: Machine, screen: int = 0) -> bytes:
    """A PNG of what the guest shows; NotSupportedError without a video card, MachineError while it is off."""
    _require(machine)
    stream = library.Handle(libvirt.host.ask(object, "newStream", 0), machine.name)
    kind = machine.ask(str, "screenshot", stream.raw, screen, 0)
    parts = []
    while part := stream.ask(bytes, "recv", _CHUNK):
        parts.append(part)
    stream.tell("finish")
    picture = b"".join(parts)
    return picture if kind == "image/png" else png.of_ppm(picture)


def addresses(machine: Machine) -> list[Address]:
    """Each way to its screen; MachineError while it is off, NotSupportedError without any."""
    _require(machine)
    found = [_address(graphics) for graphics in machine.now().graphics if graphics.type in ("vnc", "spice")]
    if not found:
        raise _without(machine, "is reached by no viewer: it has neither VNC nor SPICE")
    return found


def _require(machine: Machine) -> None:
    if not machine.now().has_screen:
        raise _without(machine, "has no screen: it was made without a video card")
    if not machine.active:
        raise MachineError(
            f"{machine.name}: is {machine.state}, expected running", hint=f"virtkit vm start {machine.name}"
        )


def _without(machine: Machine, found: str) -> NotSupportedError:
    hint = f"virtkit vm set {machine.name} screen   (from its next start), or: virtkit vm console {machine.name}"
    return NotSupportedError(f"{machine.name}: {found}", hint=hint)


def _address(graphics: Graphics) -> Address:
    kind = graphics.type
    if graphics.socket:
        return Address(f"{kind}+unix://{graphics.socket}", graphics.socket, "", 0, open=False)
    port = next((int(port) for port in (graphics.port, graphics.tls_port) if port.isdecimal()), 0)
    if not port:
        return Address("", "", "", 0, open=False)
    everywhere = graphics.address in _ANYWHERE
    host = "localhost" if everywhere else graphics.address or "localhost"
    return Address(f"{kind}://{f'[{host}]' if ':' in host else host}:{port}", "", host, port, open=everywhere)
