"""The variables of UEFI that a new machine begins with: fresh ones, or those of the machine that it is cloned from.

Where libvirt is to make them it looks for NAME_VARS.fd first, and takes what an earlier machine of this name left: its
boot entries, its enrolled keys.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

from virtkit.recipes.files import SetAside
from virtkit.vm import homes

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain


def fresh(domain: Domain, libvirt: Connection, system: System) -> list[Action]:
    """What gets the left-over ones out of libvirt's way; nothing where there are none, or the XML names a file."""
    if not _made_by_libvirt(domain):
        return []
    left = [path for path in homes.variables(libvirt.uri, domain.name) if system.exists(path)]
    return [_set_aside(path, system) for path in left]


def _made_by_libvirt(domain: Domain) -> bool:
    named = (domain.node.findtext("os/nvram") or "").strip()
    return not named and (domain.efi or domain.node.find("os/loader[@type='pflash']") is not None)


def _set_aside(path: str, system: System) -> SetAside:
    folder, name = os.path.split(path)
    aside = os.path.join(folder, f".{name}.left-{uuid4().hex[:8]}")
    told = f"UEFI variables that an earlier machine left, renamed to {os.path.basename(aside)}"
    return SetAside(path, aside, told, os.lstat(system.path(path)).st_blocks * 512)
