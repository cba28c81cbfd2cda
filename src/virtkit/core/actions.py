"""Steps of any area's plan; the journal finds them here."""

from __future__ import annotations

from virtkit.core.deadman import Confirm

__all__ = ["Confirm"]
