"""What changes the host. Every action reads the machine anew, so that any process can undo it."""

from __future__ import annotations

from virtkit.host.actions.keeping import PersistKnobs
from virtkit.host.actions.knobs import SetKnob
from virtkit.host.actions.ksm import RunKsm
from virtkit.host.actions.pci import BindDriver, SetVirtualFunctions

__all__ = ["BindDriver", "PersistKnobs", "RunKsm", "SetKnob", "SetVirtualFunctions"]
