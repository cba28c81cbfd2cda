"""Who has layer 3 by what netplan's files say now, and the daemon that makes it so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.netplan import checks, configuration
from virtkit.net.backends.netplan.renderer import Roles

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backends.netplan.renderer import Renderer

SECTION = "bridges"


def read(system: System, port: str, bridge: str) -> Roles:
    files = configuration.read(system)
    below = checks.definition(system, files, port)[0]
    renderer = files.renderer(below.section, below.id)
    if files.of(SECTION, bridge):
        return Roles(renderer, bridge, bridge, bridge, (port,), below.id)
    return Roles(renderer, bridge, port, below.id, (), below.id)


def daemon(name: str) -> Renderer:
    if name == "networkd":
        from virtkit.net.backends.netplan.with_networkd import WithNetworkd

        return WithNetworkd()
    if name == "NetworkManager":
        from virtkit.net.backends.netplan.with_networkmanager import WithNetworkManager

        return WithNetworkManager()
    raise NotSupportedError(f"netplan: renderer is {name}, expected networkd or NetworkManager", hint="netplan get")
