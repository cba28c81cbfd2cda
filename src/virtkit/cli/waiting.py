"""How an administrator is asked whether a change may stay: what is watched, what to type, how long it takes still."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.deadman.switch import Answer
    from virtkit.core.progress import Waiting

_TOLD_AT = (30, 10, 5)  # seconds left: a log needs no more
_AUTO = "--auto-confirm keeps it as soon as all that worked before works"
_LONGEST = 64  # bytes of a typed line


class Appeal:
    """The lines for one change: all at its first event, then only what is new."""

    def __init__(self) -> None:
        self._lost: tuple[str, ...] | None = None
        self._left = 0.0
        self.seconds = 0.0  # that there are in all

    def __call__(self, event: Waiting) -> list[str]:
        lines: list[str] = []
        if self._lost is None or event.left > self._left:
            lines, self.seconds = _opening(event), event.left
        elif any(event.left <= seconds < self._left for seconds in _TOLD_AT):
            lines = [f"{event.step}: {countdown(event)}"]
        elif event.lost != self._lost:
            lines = [f"{event.step}: {state(event)}"]
        self._lost, self._left = event.lost, event.left
        return lines


def _opening(event: Waiting) -> list[str]:
    number, here = event.change, _can_type()
    kept = "kept as soon as all that worked before works, else" if event.auto else "and"
    return [
        f"{event.step}: done, {kept} put back in {event.left:.0f} s" + ("" if event.auto else " unless you confirm it"),
        f"  to keep it, from a new connection: virtkit confirm {number}" + (" (or type y here)" if here else ""),
        f"  to have it back at once: virtkit rollback {number}" + (" (or type n here)" if here else ""),
        *([] if here or event.auto else [f"  in scripts: {_AUTO}"]),
        f"  {state(event)}",
    ]


def countdown(event: Waiting) -> str:
    return f"{event.left:.0f} s left for virtkit confirm {event.change}; {state(event)}"


def state(event: Waiting) -> str:
    """``alive: gateway 10.9.0.1, your SSH session from 10.9.0.7``; a loss comes first."""
    alive = [name for name in event.watched if not any(lost.startswith(name) for lost in event.lost)]
    said = ["LOST: " + "; ".join(event.lost)] if event.lost else []
    if alive:
        said.append("alive: " + ", ".join(alive))
    return "; ".join(said) or "nothing is watched"


def at_terminal() -> Callable[[], Answer | None]:
    """Looks whether ``y`` or ``n`` was typed meanwhile; never waits for it."""
    typed = b""

    def asked() -> Answer | None:
        nonlocal typed
        if not _can_type() or not select.select([sys.stdin], [], [], 0)[0]:
            return None
        try:
            typed += os.read(sys.stdin.fileno(), _LONGEST)
        except OSError:  # the terminal is gone
            return None
        *lines, typed = typed.split(b"\n")
        return _meant(lines[-1].strip().lower()) if lines else None

    return asked


def _can_type() -> bool:
    """A terminal that is ours: who reads in the background is stopped (SIGTTIN, termios(3))."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _meant(word: bytes) -> Answer | None:
    from virtkit.core.deadman.switch import Answer, Verdict

    if word in {b"y", b"yes", "是".encode()}:
        return Answer(Verdict.CONFIRM, "the terminal")
    if word in {b"n", b"no", "否".encode()}:
        return Answer(Verdict.ROLLBACK, "the terminal")
    return None
