"""Who writes netplan's files besides the administrator, and how to stop it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.netplan import document
from virtkit.net.backends.netplan.document import data

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backends.netplan.document import Data

DISABLED = "/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
CLOUD_INIT = f"cloud-init for each new instance (to stop it: echo 'network: {{config: disabled}}' > {DISABLED})"
NETWORK_MANAGER = "NetworkManager when the profile is changed in nmcli or on a desktop (so change it there)"
INSTALLED = {"00-installer-config.yaml": "Ubuntu's installer", "01-network-manager-all.yaml": "Ubuntu's installer"}


def writer(system: System, path: str) -> str:
    """Who writes the file anew; empty: nobody by himself."""
    name = path.rpartition("/")[2]
    if name == "50-cloud-init.yaml":
        return "" if _disabled(system) else CLOUD_INIT
    return NETWORK_MANAGER if re.fullmatch(r"90-NM-[0-9a-f-]+(-.*)?\.yaml", name) else ""


def origin(path: str) -> str:
    """Who wrote the file once, and never again; empty: the administrator, as far as is known."""
    return INSTALLED.get(path.rpartition("/")[2], "")


def exposed(system: System, path: str) -> bool:
    """Others than its owner may read it, which netplan warns of: it may hold Wi-Fi keys."""
    place = system.path(path)
    return place.exists() and bool(place.stat().st_mode & 0o077)


def _disabled(system: System) -> bool:
    """As cloud-init decides it: a file, the kernel's command line, or its configuration."""
    if system.exists("/etc/cloud/cloud-init.disabled"):
        return True
    words = system.read_or("/proc/cmdline", "").split()
    if {"cloud-init=disabled", "network-config=disabled"} & set(words):
        return True
    folder = "/etc/cloud/cloud.cfg.d"
    paths = [f"{folder}/{name}" for name in system.names(folder) if name.endswith(".cfg")]
    said = [found for path in ("/etc/cloud/cloud.cfg", *paths) if (found := _network_config(system, path))]
    return said[-1:] == ["disabled"]


def _network_config(system: System, path: str) -> str:
    try:
        root = document.parse(path, system.read_or(path, "")).root
    except NotSupportedError:  # cloud-init leaves such a file out
        return ""
    network = _last(data(root), "network") if root else ""
    return str(_last(network, "config")) if isinstance(network, dict) else ""


def _last(table: Data, name: str) -> Data:
    values = table.get(name, ()) if isinstance(table, dict) else ()
    return values[-1] if values else ""
