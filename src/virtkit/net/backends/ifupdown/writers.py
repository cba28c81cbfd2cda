"""Who writes these files besides the administrator, and how to stop it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System

PROXMOX = "/etc/pve"
PROXMOX_VE = "Proxmox VE when the network is changed in its web interface (which knows a bridge as vmbrN)"
CLOUD, DISABLED = "/etc/cloud/cloud.cfg.d", "99-disable-network-config.cfg"
CLOUD_INIT = f"cloud-init for each new instance (to stop it: echo 'network: {{config: disabled}}' > {CLOUD}/{DISABLED})"


def writer(system: System, files: Sequence[str]) -> str:
    """Empty: nobody by himself."""
    if system.exists(PROXMOX):
        return PROXMOX_VE
    by_cloud_init = any(path.rpartition("/")[2].startswith("50-cloud-init") for path in files)
    return CLOUD_INIT if by_cloud_init and not _disabled(system) else ""


def _disabled(system: System) -> bool:
    if system.exists("/etc/cloud/cloud-init.disabled"):
        return True
    names = [name for name in system.names(CLOUD) if name.endswith(".cfg")]
    said = [system.read_or(f"{CLOUD}/{name}", "") for name in names]
    return any(re.search(r"^network:\s*(\{\s*|\n\s+)config:\s*disabled\b", text, re.MULTILINE) for text in said)
