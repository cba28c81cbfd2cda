"""Templates, with a look at who stands on their disks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit import vm
from virtkit.core.errors import BusyError
from virtkit.recipes.making import places
from virtkit.vm import connection

if TYPE_CHECKING:
    from virtkit.core.plan import Plan


def plan_template(name: str, *, enabled: bool = True) -> Plan:
    """As ``vm.template``; BusyError where a template is to be none any more, and machines stand on its disks."""
    if not enabled:
        with connection.open() as libvirt:
            machine = libvirt.machine(name)
            own = {os.path.realpath(each.source) for each in machine.next_start().disks if each.source}
            if heirs := places.heirs(libvirt, own, but=machine.name):
                found = f"{machine.name}: machine {', '.join(heirs)} stands on its disks, which a start would change"
                raise BusyError(found, hint=f"virtkit disk rebase DISK   (of {heirs[0]}: then it stands alone)")
    return vm.template(name, enabled=enabled)
