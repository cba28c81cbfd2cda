"""What a stranger's output does to a terminal, and how that is taken back: xterm's control sequences (ctlseqs)."""

from __future__ import annotations

import re

_MODE = re.compile(rb"\x1b\[\?([\d;]+)([hl])")
_USUAL = {b"7", b"25"}  # on in every terminal: lines wrap, the cursor is seen
_LONGEST = 32  # bytes of a sequence that may be torn between two readings


class Modes:
    """Watches a stream for the modes that it turns on and off: full screen, mouse, pasting, a hidden cursor."""

    def __init__(self) -> None:
        self._changed: set[bytes] = set()
        self._end = b""

    def hear(self, heard: bytes) -> None:
        said = self._end + heard
        for numbers, way in _MODE.findall(said):
            for number in numbers.split(b";"):
                usual = (way == b"h") == (number in _USUAL)
                (self._changed.discard if usual else self._changed.add)(number)
        begun = said.rfind(b"\x1b", max(len(said) - _LONGEST, 0))
        self._end = said[begun:] if begun >= 0 else b""

    def undo(self) -> bytes:
        """What brings the terminal back: colours, keypad and each mode that is not as usual."""
        back = [b"\x1b[?%s%s" % (number, b"h" if number in _USUAL else b"l") for number in sorted(self._changed)]
        return b"\x1b[0m\x1b>" + b"".join(back)
