"""A link's name in text that people wrote: in commands, in routes, in the names of files."""

from __future__ import annotations

import re


def named(name: str) -> re.Pattern[str]:
    """``eth0`` as a word of its own, in ``dev eth0``, ``conf/eth0/rp_filter`` and ``eth0:1``; not in ``eth0.100``."""
    return re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-]|\.\d)")


def renamed(text: str, old: str, new: str) -> str:
    return named(old).sub(new.replace("\\", r"\\"), text)
