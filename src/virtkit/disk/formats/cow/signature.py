"""By which a COW file is known."""

from __future__ import annotations

MAGIC = b"OOOM"
SWAPPED = b"MOOO"  # version 1 was written in the byte order of its machine
_VERSIONS = (1, 2, 3)


def leads(head: bytes) -> bool:
    if head[:4] == MAGIC:
        return int.from_bytes(head[4:8], "big") in _VERSIONS
    return head[:4] == SWAPPED and int.from_bytes(head[4:8], "little") in _VERSIONS
