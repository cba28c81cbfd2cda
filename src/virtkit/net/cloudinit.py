"""cloud-init writes the network's files of a new instance, unless it is told to leave the network alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtkit.core.system import System

FOLDER = "/etc/cloud/cloud.cfg.d"
WRITER = (
    "cloud-init for each new instance "
    f"(to stop it: echo 'network: {{config: disabled}}' > {FOLDER}/99-disable-network-config.cfg)"
)
SWITCHED_OFF = re.compile(r"^network:\s*(?:\{\s*|\n\s+)config:\s*[\"']?disabled\b", re.MULTILINE)


def writer(system: System) -> str:
    """For an :class:`Owner` whose files it wrote once; empty: it will not write them again."""
    return "" if _switched_off(system) else WRITER


def _switched_off(system: System) -> bool:
    """By a file, on the kernel's command line, or in its configuration."""
    words = system.read_or("/proc/cmdline", "").split()
    if system.exists("/etc/cloud/cloud-init.disabled") or {"cloud-init=disabled", "network-config=disabled"} & {*words}:
        return True
    paths = [f"{FOLDER}/{name}" for name in system.names(FOLDER) if name.endswith(".cfg")]
    return any(SWITCHED_OFF.search(system.read_or(path, "")) for path in ("/etc/cloud/cloud.cfg", *paths))
