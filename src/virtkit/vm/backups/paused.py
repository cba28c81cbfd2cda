"""QEMU for a machine that is off: it has the disks open, and the guest does not run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.machine import Machine

_PAUSED, _AUTODESTROY = 1, 2  # virDomainCreateFlags; whoever dies here takes that QEMU along
_GRACEFUL = 1  # VIR_DOMAIN_DESTROY_GRACEFUL: QEMU writes its bitmaps before it ends


@contextmanager
def awake(machine: Machine) -> Iterator[None]:
    """A machine that runs already is left alone."""
    if machine.active:
        yield
        return
    machine.tell("createWithFlags", _PAUSED | _AUTODESTROY)
    try:
        yield
    finally:
        machine.tell("destroyFlags", _GRACEFUL)
