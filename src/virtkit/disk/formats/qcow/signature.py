"""By which a qcow image is known."""

from __future__ import annotations

MAGIC = b"QFI\xfb"
VERSION = 1


def leads(head: bytes) -> bool:
    return head.startswith(MAGIC + VERSION.to_bytes(4, "big"))
