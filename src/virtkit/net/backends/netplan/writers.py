"""Who writes netplan's files besides the administrator, and how to stop it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.net import cloudinit

if TYPE_CHECKING:
    from virtkit.core.system import System

NETWORK_MANAGER = "NetworkManager when the profile is changed in nmcli or on a desktop (so change it there)"
INSTALLED = {"00-installer-config.yaml": "Ubuntu's installer", "01-network-manager-all.yaml": "Ubuntu's installer"}


def writer(system: System, path: str) -> str:
    """Who writes the file anew; empty: nobody by himself."""
    name = path.rpartition("/")[2]
    if name == "50-cloud-init.yaml":
        return cloudinit.writer(system)
    return NETWORK_MANAGER if re.fullmatch(r"90-NM-[0-9a-f-]+(-.*)?\.yaml", name) else ""


def origin(path: str) -> str:
    """Who wrote the file once, and never again; empty: the administrator, as far as is known."""
    return INSTALLED.get(path.rpartition("/")[2], "")


def exposed(system: System, path: str) -> bool:
    """Others than its owner may read it, which netplan warns of: it may hold Wi-Fi keys."""
    place = system.path(path)
    return place.exists() and bool(place.stat().st_mode & 0o077)
