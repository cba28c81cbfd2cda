"""Which backend makes a link at the host's start. By link, not by host: several work side by side on many hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.net import backends
from virtkit.net.backend import Backend

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backend import Owner


def find(system: System, link: str) -> Owner | None:
    """None: nobody does; the link is set up by hand, by a boot image or by a container's runtime."""
    for backend in sorted(plugins.collect(backends, Backend, "BACKEND").values(), key=lambda found: found.precedence):
        if owner := backend.owner(system, link):
            return owner
    return None


def stranger(system: System, link: str) -> str:
    """Who configures a link that no backend of ours knows; empty: nobody, as far as can be seen."""
    wicked = f"/etc/sysconfig/network/ifcfg-{link}"  # SUSE's; ifcfg(5) of wicked
    return f"wicked ({wicked})" if system.exists(wicked) else ""


def load(name: str) -> Backend:
    return plugins.load(backends, name, Backend, "BACKEND")
