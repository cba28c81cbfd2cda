"""The verbs for virtual machines over libvirt: each returns data, or a Plan that only the engine carries out.

``name`` is a machine's name, UUID or, while it runs, its number. Every verb raises NotFoundError for a machine that is
not there, MachineError where libvirt or QEMU refuses, NotSupportedError where libvirt for Python is missing. They speak
to ``$LIBVIRT_DEFAULT_URI``, else to root's machines (qemu:///system) for root and to the user's own for anybody else.
"""

from __future__ import annotations

from virtkit.vm.verbs.autostart import autostart, autostarts, start_in_order
from virtkit.vm.verbs.cards import attach
from virtkit.vm.verbs.life import define, kill, restart, start, stop, undefine
from virtkit.vm.verbs.pins import pin, pin_all, unpin
from virtkit.vm.verbs.plugging import (
    hotplug_cpu,
    hotplug_disk,
    hotplug_memory,
    hotplug_nic,
    hotplug_pci,
    unplug,
    unplug_cpu,
)
from virtkit.vm.verbs.reading import (
    block_cache,
    execute,
    huge_claims,
    ip,
    list,  # noqa: A004  virsh's word
    log,
    os_info,
    qmp,
    screenshot,
    show,
    threads,
    view,
    wait_for_agent,
)
from virtkit.vm.verbs.settings import (
    add_screen,
    definition,
    diff,
    edit,
    set_cpu,
    set_disk,
    set_memory,
    set_nic,
    set_ports,
    set_serial_log,
)
from virtkit.vm.verbs.snapshots import create_snapshot, list_snapshots
from virtkit.vm.verbs.templates import template
from virtkit.vm.verbs.travel import journey, migrate
from virtkit.vm.verbs.watching import load, metrics, watch

__all__ = [
    "add_screen",
    "attach",
    "autostart",
    "autostarts",
    "block_cache",
    "create_snapshot",
    "define",
    "definition",
    "diff",
    "edit",
    "execute",
    "hotplug_cpu",
    "hotplug_disk",
    "hotplug_memory",
    "hotplug_nic",
    "hotplug_pci",
    "huge_claims",
    "ip",
    "journey",
    "kill",
    "list",
    "list_snapshots",
    "load",
    "log",
    "metrics",
    "migrate",
    "os_info",
    "pin",
    "pin_all",
    "qmp",
    "restart",
    "screenshot",
    "set_cpu",
    "set_disk",
    "set_memory",
    "set_nic",
    "set_ports",
    "set_serial_log",
    "show",
    "start",
    "start_in_order",
    "stop",
    "template",
    "threads",
    "undefine",
    "unpin",
    "unplug",
    "unplug_cpu",
    "view",
    "wait_for_agent",
    "watch",
]
