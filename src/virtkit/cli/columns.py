"""How wide text is on a terminal, and where its lines break: Chinese signs take two columns, and need no space."""

from __future__ import annotations

import re

_PIECES = re.compile(r"[!-~]+|\s+|.")  # words of ASCII stay whole, other signs stand alone
_NOT_FIRST = frozenset("，。；：、！？）”』》")


def width(text: str) -> int:
    from unicodedata import east_asian_width

    return len(text) if text.isascii() else sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def wrap(text: str, columns: int, indent: str = "") -> list[str]:
    """Lines of at most ``columns``, unless a single word is longer; punctuation does not begin one."""
    lines, line = list[str](), ""
    for piece in _PIECES.findall(text):
        if line and width(indent + line + piece.rstrip()) > columns and piece not in _NOT_FIRST:
            lines.append(indent + line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, indent + line.rstrip()] if line.strip() else lines
