"""By which a qcow2 image is known."""

from __future__ import annotations

MAGIC = b"QFI\xfb"
_VERSIONS = (b"\0\0\0\2", b"\0\0\0\3")


def leads(head: bytes) -> bool:
    return head[:4] == MAGIC and head[4:8] in _VERSIONS
