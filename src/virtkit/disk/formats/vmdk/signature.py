"""By which the files of a VMDK are known: sparse extents of three kinds, and the text that describes all."""

from __future__ import annotations

import re

MAGIC = b"KDMV"
COWD_MAGIC = b"COWD"  # of ESX
SESPARSE_MAGIC = 0x0000_0000_CAFE_BABE
_TITLE = b"# disk descriptorfile"
_TEXT = rb"(?:\xef\xbb\xbf)?(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t]*version[ \t]*=[ \t]*[123]\s"


def leads(head: bytes) -> bool:
    return head[:4] in {MAGIC, COWD_MAGIC} or is_sesparse(head) or is_text(head)


def is_sesparse(head: bytes) -> bool:
    return head[:8] == SESPARSE_MAGIC.to_bytes(8, "little")


def is_text(head: bytes) -> bool:
    """Whether a file begins as a descriptor does: comments and empty lines, then the version."""
    if head[: len(_TITLE)].lower() == _TITLE:
        return True
    return b"version" in head and re.match(_TEXT, head) is not None
