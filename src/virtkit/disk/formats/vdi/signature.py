"""By which a VDI is known."""

from __future__ import annotations

SIGNATURE = 0xBEDA107F
_AT = 64  # bytes; a line of text is in front of it


def leads(head: bytes) -> bool:
    return head[_AT : _AT + 4] == SIGNATURE.to_bytes(4, "little")
