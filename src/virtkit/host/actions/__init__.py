"""What changes the host. Every action reads the machine anew, so that any process can undo it."""

from __future__ import annotations

from virtkit.host.actions.keeping import PersistKnobs
from virtkit.host.actions.knobs import SetKnob

__all__ = ["PersistKnobs", "SetKnob"]
